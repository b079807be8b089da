"""Measure what this kernel does besides the modelled work.

For each operation, this is a time per page and a time per folio.

BENCH.json is what `foliolab kernel bench --json` wrote. MODEL.json is what `foliolab compare --json` wrote on the same
host; it must have the policy of this kernel. A file that is not given is measured now.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _common
from foliolab.framework.cli.kernel import _measuring
from foliolab.framework.errors import ResultFileError, UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result


Bench = Annotated[Path | None, typer.Argument(metavar="[BENCH.json]", show_default=False)]
Model = Annotated[Path | None, typer.Argument(metavar="[MODEL.json]", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where to write the calibration. [a file for this kernel in your data folder]"),
]
Own = Annotated[
    str | None,
    typer.Option(
        "--policy", metavar="POLICY", help="The policy that the benchmarked kernel has. [the one that says so]"
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=_common.MOST_SEED, metavar="N", help="Seed of the resampling.")]


def run(
    bench: Bench = None,
    model: Model = None,
    out: Out = None,
    policy: Own = None,
    seed: Seed = 1,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Fit the difference between kernel and model over the folio sizes. Published figures are not used."""
    from foliolab.framework import calibration
    from foliolab.framework.report import calibration as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.results.result import Result

    found = _common.registry(plugin, strict)
    _common.warn(found)
    given = Result.load(bench) if bench is not None else None
    target = out or _stored(given)
    _common.writable(target)
    scheme = found.policy(policy, typed=True) if policy else _matching(found, given)
    kept = target.with_name(f"{target.stem}.bench.json")
    measured = given or _bench(seed, kept)
    modelled = Result.load(model) if model is not None else _measuring.model_times(found, measured, scheme, seed)
    for result in (measured, modelled):
        if not result.complete:
            _common.say(f"`{result.command}` was interrupted: what it lacks is not calibrated")
    reuses = "reuse" in scheme.capabilities
    with intake.named(model or bench or target):
        made = calibration.calibrate(measured, modelled, scheme.name, dict(scheme.values), reuses, seed)
    made.save(target)
    if given is None:
        kept.unlink(missing_ok=True)
    report.render(made, TerminalPage())
    uses = "`foliolab compare`" if out is None else f"`foliolab compare --calibration {shlex.quote(str(out))}`"
    _common.put(f"Written to {target}; {uses} predicts with it.\n")


def _stored(bench: Result | None) -> Path:
    """The path of the calibration of the benchmarked kernel, in a folder that exists.

    Raises:
        ResultFileError: the folder cannot be made.
    """
    from foliolab.framework import calibration, host

    path = calibration.default_path(bench.kernel if bench is not None else host.kernel())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultFileError(
            f"the folder {path.parent} cannot be made: {error.strerror}", "name a file with --out, or set FOLIOLAB_DATA"
        ) from error
    return path


def _bench(seed: int, kept: Path) -> Result:
    """The kernel's benchmarks, as `foliolab kernel bench` measures them.

    Args:
        kept: where they are kept until they are calibrated.

    Raises:
        KernelError: the kernel cannot be measured here.
        UsageError: there is too little memory.
    """
    from foliolab.framework import host
    from foliolab.framework.cli.kernel import bench as verb
    from foliolab.framework.kernel import bench
    from foliolab.framework.plugins.selection import parse_memory
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results.saving import Saving

    request = bench.BenchRequest(
        benchmarks=_measuring.benchmarks(None),
        sizes=_measuring.sizes(None),
        memory=parse_memory(verb.MEMORY),
        rounds=verb.ROUNDS,
        seed=seed,
        children=host.cores(),
        command=_common.typed(),
    )
    _measuring.enough_memory(request)
    saving = Saving(kept)
    with Progress() as progress:
        result = bench.bench(request, progress, saving.partial)
    _common.save(result, saving, result.complete)
    saving.check()
    _common.say(f"the benchmarks are in {kept}; `foliolab kernel calibrate {kept}` goes on from there")
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)
    return result


def _matching(found: Registry, bench: Result | None) -> Scheme:
    """The policy that models the benchmarked kernel, which is the running one.

    Raises:
        UsageError: the benchmarks come from another kernel, or no policy models this kernel.
    """
    from foliolab.framework import host
    from foliolab.framework.kernel import running

    kernel = host.kernel()
    if bench is not None and bench.kernel != kernel:
        raise UsageError(
            f"the benchmarks ran under Linux {bench.kernel}, this is {kernel}", "name its policy: --policy"
        )
    scheme = running.matching(found)
    if scheme is None:
        raise UsageError(f"no policy models the kernel {kernel}", "name one: --policy")
    if note := running.read().note:
        _common.say(note)
    return scheme
