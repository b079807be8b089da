"""Attack a policy's text, and show counterexamples.

Four attacks run side by side: all interleavings of a few threads, random operations against the page tables, the
solver over free MM IDs and counts, and the declared widths of fields. Each claim of the policy is held, refuted or
undecided. A refuted claim comes with a counterexample, which `foliolab step` walks through.
Exit codes: 0 every claim is held, 1 one is refuted, 5 none is refuted but one is undecided, 130 interrupted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.report.verify import Shown
    from foliolab.framework.verify.attack import Attack, Budget
    from foliolab.framework.verify.verifier import Verification

FOLDER: Final = Path("counterexamples")
SECONDS: Final = 60.0
SOON_PLAYED: Final = 5
"""The largest order whose counterexample is repeated after Ctrl-C, too; larger folios take too long."""
MEMORY: Final = "1G"

All = Annotated[bool, typer.Option("--all", help="Attack all policies; print a table of all claims.")]
Seconds = Annotated[float, typer.Option("--budget", min=0.1, metavar="SECONDS", help="Time for each policy.")]
Attacks = Annotated[
    list[str] | None,
    typer.Option("--attacks", metavar="LIST", help="explored, random, symbolic or structural. [all]"),
]
Memory = Annotated[str, typer.Option(metavar="SIZE", help="Memory for the states of a search.")]
Tso = Annotated[bool, typer.Option("--tso", help="Explore with store buffers (x86-TSO).")]
Jobs = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="0: attacks run one after the other, in this process; else side by side."),
]
Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write all verdicts and counterexamples.")]
Sarif = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the verdicts as SARIF 2.1.0.")]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the verdicts as JUnit XML.")]
Findings = Annotated[
    Path | None,
    typer.Option("--save-findings", metavar="FILE", help="Write verdicts to ship with policies."),
]


def run(  # noqa: PLR0913  (one parameter per option)
    policies: _common.Names = None,
    every: All = False,
    budget: Seconds = SECONDS,
    attacks: Attacks = None,
    memory: Memory = MEMORY,
    seed: _common.Seed = 1,
    tso: Tso = False,
    jobs: Jobs = 1,
    output: _common.Examples = FOLDER,
    json: Json = None,
    sarif: Sarif = None,
    junit: Junit = None,
    save_findings: Findings = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Attack policies, and write counterexamples."""
    for path in (json, sarif, junit, save_findings):
        _common.writable(path)
    found = _common.registry(plugin, strict)
    schemes = _schemes(found, policies, every, plugin)
    _common.warn(found)
    from foliolab.framework.plugins.declaration import location_of
    from foliolab.framework.plugins.selection import parse_memory, split
    from foliolab.framework.report import verify as report
    from foliolab.framework.report import verify_files
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.verify import attacks as known
    from foliolab.framework.verify import ledger
    from foliolab.framework.verify.attack import Budget
    from foliolab.framework.verify.verifier import Verdicts

    _check_output(output)
    limit = parse_memory(memory)
    chosen = known.chosen(split(attacks or ()), tso)
    page = TerminalPage()
    command = _common.typed()
    done: list[Verification] = []
    entries: list[verify_files.Entry] = []
    for scheme in schemes:
        allowed = Budget(budget, limit, seed)
        verification = _attack(found, scheme, chosen, allowed, jobs, command)
        ledger.keep(verification, scheme)
        shown = _shown(scheme, verification, output, not any(one.refuted for one in done))
        report.render(verification, shown, page)
        done.append(verification)
        entries.append((verification, shown, location_of(scheme.policy)))
        page.line()
        if verification.interrupted:
            break
    together = Verdicts(verifications=done, command=command)
    if len(done) > 1:
        report.matrix(done, page)
    if json is not None:
        together.save(json)
    if save_findings is not None:
        ledger.save(map(ledger.shipped_record, done, schemes), save_findings)
    verify_files.write(entries, {"sarif": sarif, "junit": junit})
    if together.interrupted:
        raise typer.Exit(_common.INTERRUPTED)
    if together.refuted:
        raise typer.Exit(ExitCode.COMPARISON_FAILED)
    if together.undecided:
        raise typer.Exit(ExitCode.UNDECIDED)


def _schemes(found: Registry, written: list[str] | None, every: bool, plugin: list[Path] | None) -> list[Scheme]:
    if every and written:
        raise UsageError("--all already means every policy", "leave out --all or the names")
    return found.parse_policies(["all"]) if every else _common.schemes(found, written, plugin)


def _check_output(output: Path) -> None:
    if output.suffix == ".json":
        _common.writable(output)
    elif output.exists() and not output.is_dir():
        raise UsageError(f"{output} is not a folder", "name a folder for counterexamples, or a file that ends in .json")


def _attack(
    found: Registry, scheme: Scheme, attacks: Sequence[Attack], budget: Budget, jobs: int, command: str
) -> Verification:
    from foliolab.framework.report.progress import Attacks as Shower
    from foliolab.framework.verify import verifier

    kind, source = found.origin(scheme)
    plugin = os.path.abspath(source) if kind == "file" else ""
    with Shower(scheme.name, budget.seconds) as tell:
        return verifier.verify(scheme, attacks, budget, tell, jobs, command=command, plugin=plugin)


# -- counterexamples -----------------------------------------------------------------------------
def _shown(scheme: Scheme, verification: Verification, output: Path, first: bool) -> list[Shown]:
    """Write the counterexample of each broken law, and play it for the table, if that is soon done."""
    from foliolab.framework.report.verify import Shown
    from foliolab.framework.verify.timeline import Timeline

    shown: list[Shown] = []
    for finding in verification.refuted:
        example = finding.counterexample
        if example is None:
            continue
        path, command = _common.write_counterexample(example, output, first and not shown)
        late = verification.interrupted and example.shape.get("max_order", 0) > SOON_PLAYED
        shown.append(Shown(finding, None if late else Timeline(example, scheme), path, command))
    return shown
