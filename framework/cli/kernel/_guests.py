"""`foliolab kernel check`, `count` and `bench` on kernels in guests: which kernels, what is played, what is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foliolab.framework.cli import _common
from foliolab.framework.cli.kernel import _line, _saving
from foliolab.framework.errors import FolioLabError, KernelError, NothingMeasured, UsageError
from foliolab.framework.plugins.selection import split

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.kernel.images.store import Image
    from foliolab.framework.kernel.matrix import Plan, Row
    from foliolab.framework.kernel.session import RunningKernel
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.scenario.generate import Mix

MISMATCH = 1
MOST_MEMORY = 128 << 20
"""A guest has 512 MiB, and a copy takes as much again."""

Kernels = Annotated[
    list[str] | None,
    typer.Option(
        "--kernel",
        metavar="LIST",
        help=f"Kernels to boot as guests, {_common.LISTS}: 6.12, or Base, MM-ID, No-Mapcount as a series has them.",
    ),
]
ImageFile = Annotated[
    Path | None, typer.Option("--image", metavar="FILE", help="A kernel file of yours to boot as a guest.")
]
Initrd = Annotated[Path | None, typer.Option(metavar="FILE", help="An initramfs to put before FolioLab's own.")]


def images(
    registry: Registry, names: list[str] | None, file: Path | None, initrd: Path | None, all_: bool = False
) -> list[Image]:
    """The kernels that the user named, each once. What a configuration such as Base means is said.

    Raises:
        UsageError: a file cannot be read, or --initrd has no kernel.
        KernelError: a kernel is not at hand.
    """
    from foliolab.framework.kernel.images import store

    if initrd is not None and file is None:
        raise UsageError("--initrd goes with a kernel", "name it with --image")
    found = {one.name: one for one in (_image(name, registry) for name in split(names or []))}
    if all_:
        named = {one.release for one in found.values()}
        found |= {one.name: one for one in store.images() if one.release not in named}
        if not found:
            raise KernelError("no kernel is at hand", "fetch some: foliolab kernel get 6.12 7.3")
    if file is not None:
        made = store.of_file(file, initrd)
        found[made.name] = made
    return [*found.values()]


def _image(name: str, registry: Registry) -> Image:
    """The kernel at hand that a user's name means: a release, the end of one that was built, or a configuration.

    Raises:
        KernelError: there is none.
    """
    from foliolab.framework.kernel.images import configured, store

    try:
        return store.image(name)
    except KernelError:
        if (wanted := configured.configuration(name, registry)) is None:
            raise
    image = configured.configured(wanted, registry, store.images())
    _common.say(f"{image.name} is {image.release} ({image.kernel.tracking}), which {wanted.policy} models")
    return image


def say_difference(chosen: Sequence[Image]) -> None:
    """Say what each kernel differs in from the first, besides the name under which it is compared."""
    from foliolab.framework.kernel.images import configured

    for other in chosen[1:]:
        _common.say(configured.difference(chosen[0], other))


def columns(found: Registry, written: str | None, identify: bool) -> list[Scheme]:
    """The policies that kernels are held against: those named, all for --identify, else those that model a kernel."""
    if written is not None:
        return [found.policy(name, typed=True) for name in split([written])]
    chosen = [policy for policy in found.policies.values() if identify or policy.models is not None]
    return [policy.with_parameters() for policy in chosen]


def plan(scenarios: int, seed: int, mix: Mix, cpus: int, identify: bool) -> Plan:
    """What each kernel plays. To identify a kernel, one difference is enough to leave a policy out."""
    from foliolab.framework.kernel.matrix import DIFFERENCES, Plan

    return Plan(scenarios, seed, mix, 1 if identify else DIFFERENCES, cpus)


def identify_running(
    session: RunningKernel,
    possible: tuple[Mix, list[str]],
    schemes: Sequence[Scheme],
    plan: Plan,
    json: bool,
    save: Path | None,
) -> None:
    """Find the policies that the running kernel behaves like.

    Args:
        session: not entered yet.
        possible: the mix that this host allows, and what was left out.
    """
    from foliolab.framework.kernel import matrix, running

    kernel = running.read()
    row = matrix.Row(kernel.release, kernel.described, matrix.claims(kernel, schemes), session.name)
    matrix.fill(row, session, schemes, plan, _progress(), possible=possible)
    _line.clear()
    finish([row], schemes, True, json, save)


def check(
    chosen: Sequence[Image],
    schemes: Sequence[Scheme],
    plan: Plan,
    identify: bool,
    json: bool,
    save: Path | None,
    witnesses_file: Path | None = None,
) -> None:
    """Hold policies against kernels in guests, and print what was found.

    Args:
        save: the folder for disagreements.
        witnesses_file: that the kernels are added to.
    """
    from foliolab.framework.kernel import matrix, witnesses
    from foliolab.framework.kernel.guest.qemu import kvm_missing, qemu

    note = kvm_missing(qemu())
    if not json:
        _common.say("guests run under KVM" if not note else f"guests run under TCG, which is slower ({note})")
    rows = []
    for row in matrix.rows(chosen, schemes, plan, progress=_progress()):
        _line.clear()
        if row.lost:
            _common.say(f"{row.name}: {row.lost}")
        rows.append(row)
        if witnesses_file is not None:
            witnesses.keep(schemes, rows, witnesses_file)
    _line.clear()
    order = [image.name for image in chosen]
    rows.sort(key=lambda row: order.index(row.name))
    finish(rows, schemes, identify, json, save)
    if len(rows) < len(chosen) or not all(found.complete for row in rows for found in row.agreements.values()):
        raise typer.Exit(_common.INTERRUPTED)


def finish(rows: Sequence[Row], schemes: Sequence[Scheme], identify: bool, json: bool, save: Path | None) -> None:
    """Print rows, and end with the exit code that they deserve.

    Raises:
        NothingMeasured: nothing was compared.
        FolioLabError: a kernel was lost.
    """
    from foliolab.framework.report import kernelmatrix
    from foliolab.framework.report.pages.plain_text import Plain

    if save is not None:
        _save(rows, save)
    if json:
        _common.print_json(kernelmatrix.data(rows))
    elif rows:
        kernelmatrix.render(rows, [scheme.name for scheme in schemes], Plain(), identify)
    if not any(row.writes for row in rows):
        reason = next((row.lost for row in rows if row.lost), "it was interrupted")
        raise NothingMeasured("no scenario was compared", reason)
    if any(row.refuted_claims for row in rows):
        raise typer.Exit(MISMATCH)
    if lost := [row for row in rows if row.lost]:
        raise FolioLabError(f"{len(lost)} of {len(rows)} kernels were lost", f"{lost[0].name}: {lost[0].lost}")


def _save(rows: Sequence[Row], folder: Path) -> None:
    for row in rows:
        for name, found in row.agreements.items():
            if found.disagreements:
                _saving.save(found.disagreements, folder / row.name / name)


def _progress() -> Callable[[str, int, int], None]:
    """A function that shows how far the two kernels are that were heard of last."""
    state: dict[str, str] = {}

    def show(name: str, scenarios: int, writes: int) -> None:
        state[name] = f"{name}: {scenarios} scenarios, {writes:,} writes"
        _line.show("; ".join([*state.values()][-2:]))

    return show


def workloads(written: list[str] | None) -> list[str]:
    """The microbenchmarks of guests that the user named, each once, in the order of the report.

    Raises:
        UsageError: there is no such workload.
    """
    from foliolab.framework.kernel.counting.cells import WORKLOADS
    from foliolab.framework.plugins.selection import nearest

    asked = split(written or ["all"])
    for name in asked:
        if name not in (*WORKLOADS, "all"):
            raise UsageError(f"guests do not play {name!r}", nearest(name, WORKLOADS, "workloads are"))
    return [name for name in WORKLOADS if name in asked or "all" in asked]


def memory_of(written: str) -> int:
    """The bytes of memory that a workload works on in a guest.

    Raises:
        UsageError: the amount is no multiple of 2M, or more than a guest has for it.
    """
    from foliolab.framework.kernel.settings import PMD_KIB
    from foliolab.framework.plugins.selection import parse_memory, size_text

    amount = parse_memory(written)
    if amount % (PMD_KIB << 10) or amount > MOST_MEMORY:
        raise UsageError(
            f"{written} is no amount of memory for guests", f"name a multiple of 2M up to {size_text(MOST_MEMORY)}"
        )
    return amount


def bench(
    registry: Registry,
    names: list[str],
    benchmarks: list[str] | None,
    sizes: list[str] | None,
    memory: str,
    rounds_and_seed: tuple[int, int],
    json: Path | None,
    csv: Path | None,
) -> None:
    """Measure kernels in guests, and print how they compare with the first."""
    from foliolab.framework.kernel import guestbench
    from foliolab.framework.plugins.selection import parse_sizes
    from foliolab.framework.report.comparison import csvfile, terminal
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results import comparison
    from foliolab.framework.results.saving import Saving

    rounds, seed = rounds_and_seed
    chosen = images(registry, names, None, None)
    request = guestbench.Request(
        images=chosen,
        benchmarks=workloads(benchmarks),
        sizes=[4 << order for order in parse_sizes(sizes or ["all"])],
        memory=memory_of(memory),
        rounds=rounds,
        seed=seed,
        command=_common.typed(),
    )
    saving, table = Saving(json), Saving(csv, always_beside=True)
    with Progress() as progress:
        result = guestbench.bench(request, progress)
    _common.save(result, saving, result.complete)
    rows = comparison.compare(result, published=guestbench.published(chosen, registry))
    _common.tell(table.final(lambda path: csvfile.write(rows, path, None), result.complete))
    terminal.render(result, rows, TerminalPage())
    _common.end_comparison(result, rows, saving, table)
