"""Attack a policy's text, and show counterexamples.

Four attacks run side by side: all interleavings of a few threads, random operations against the page tables, the
solver over free MM IDs and counts, and the declared widths of fields. With --caller the operations proceed as that
caller says, and all attacks that run operations look for laws that break. Each claim of the policy is held, partly held
(by some attacks, while others could not decide), refuted or undecided. A refuted claim comes with a counterexample,
which `foliolab step` walks through.
Exit codes: 0 every claim is held, 1 one is refuted, 5 none is refuted but one is undecided or only partly held,
130 interrupted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.report.verify import Shown
    from foliolab.framework.report.verify_files import Entry
    from foliolab.framework.verify.attack import Attack, Budget, Progress
    from foliolab.framework.verify.counterexample import Counterexample, MemoryModel
    from foliolab.framework.verify.explored.programs import Program
    from foliolab.framework.verify.finding import Finding
    from foliolab.framework.verify.verifier import Verdicts, Verification

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
Model = Annotated[
    str | None,
    typer.Option(
        "--memory-model",
        metavar="MODEL",
        help="Explore under sc, tso (x86: stores wait in buffers) or armv8 (early loads, late stores). [sc]",
    ),
]
Tso = Annotated[bool, typer.Option("--tso", hidden=True, help="The same as --memory-model tso.")]
ProgramFile = Annotated[
    Path | None,
    typer.Option(
        "--program",
        metavar="FILE",
        help="Explore only this program, in every interleaving: a scenario with steps at once, or a counterexample.",
    ),
]
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
    memory_model: Model = None,
    tso: Tso = False,
    program: ProgramFile = None,
    caller: _common.CallerName = None,
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
    schemes = _common.under(found, _schemes(found, policies, every, plugin), caller)
    _common.warn(found)
    from foliolab.framework.plugins.selection import parse_memory, split
    from foliolab.framework.report import verify as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.verify import attacks as known
    from foliolab.framework.verify import ledger
    from foliolab.framework.verify.attack import Budget

    _check_output(output)
    if program and save_findings:
        raise UsageError("one program is no finding about a policy", "leave out --save-findings")
    calls = any(scheme.caller for scheme in schemes)
    one = _program(program, schemes[0]) if program else None
    chosen = known.chosen(split(attacks or ()), _model(memory_model, tso), one, calls)
    limit = parse_memory(memory)
    page = TerminalPage()
    command = _common.typed()
    kept = _Verdicts(schemes, command, json, save_findings, {"sarif": sarif, "junit": junit})
    for scheme in schemes:
        examples = _Examples(output, not any(one.refuted for one in kept.done))
        allowed = Budget(budget, limit, seed)  # its time begins here
        verification = _attack(found, scheme, chosen, allowed, jobs, command, examples)
        if not program:  # one program says little about a policy
            ledger.keep(verification, scheme)
        kept.add(verification)
        shown = _shown(scheme, verification, examples)
        report.render(verification, shown, page)
        kept.write_forms(scheme, shown)
        page.line()
        if verification.interrupted:
            break
    if len(kept.done) > 1:
        report.matrix(kept.done, page)
    raise typer.Exit(_code(kept.close()))


class _Verdicts:
    """Writes the verdicts in every form that was asked for, after each policy.

    Args:
        json: the file of all verdicts and counterexamples, if it was asked for.
        findings: the file of verdicts to ship, if it was asked for.
        forms: the files of other forms by the form's name.
    """

    def __init__(
        self,
        schemes: Sequence[Scheme],
        command: str,
        json: Path | None,
        findings: Path | None,
        forms: Mapping[str, Path | None],
    ) -> None:
        from foliolab.framework.results.saving import Saving

        self.done: list[Verification] = []
        self._entries: list[Entry] = []
        self._schemes = schemes
        self._command = command
        self._json = Saving(json, share=1)
        self._findings = Saving(findings, always_beside=True, share=1)
        self._forms = forms

    def add(self, verification: Verification) -> None:
        """Write the verdicts after one more policy."""
        self.done.append(verification)
        self._json.partial(self._together)
        self._findings.partly(self._write_findings)

    def write_forms(self, scheme: Scheme, shown: Sequence[Shown]) -> None:
        """Write the other forms, once the verdicts of the policy are printed."""
        from foliolab.framework.plugins.declaration import location_of
        from foliolab.framework.report import verify_files

        self._entries.append((self.done[-1], shown, location_of(scheme.policy)))
        verify_files.write(self._entries, self._forms)

    def close(self) -> Verdicts:
        """Write the whole, and fail if something could not be written."""
        together = self._together()
        whole = not together.interrupted
        _common.save(together, self._json, whole)
        _common.tell(self._findings.final(self._write_findings, whole))
        self._json.check()
        self._findings.check()
        return together

    def _together(self) -> Verdicts:
        from foliolab.framework.verify.verifier import Verdicts

        complete = len(self.done) == len(self._schemes)
        return Verdicts(verifications=self.done, command=self._command, complete=complete)

    def _write_findings(self, path: Path) -> None:
        from foliolab.framework.verify import ledger

        ledger.save(map(ledger.shipped_record, self.done, self._schemes), path)


def _code(found: Verdicts) -> int:
    if found.interrupted:
        return _common.INTERRUPTED
    if found.refuted:
        return ExitCode.COMPARISON_FAILED
    return ExitCode.UNDECIDED if found.undecided else ExitCode.GOOD


def _schemes(found: Registry, written: list[str] | None, every: bool, plugin: list[Path] | None) -> list[Scheme]:
    if every and written:
        raise UsageError("--all already means every policy", "leave out --all or the names")
    return found.parse_policies(["all"]) if every else _common.schemes(found, written, plugin)


def _model(written: str | None, tso: bool) -> MemoryModel:
    """The memory model of that name. `tso`: whether the older way to write tso is there, too.

    Raises:
        UsageError: there is none, or the two differ.
    """
    from foliolab.framework.plugins.selection import nearest
    from foliolab.framework.verify.counterexample import MODELS

    for model in MODELS:
        if model == (("tso" if tso else "sc") if written is None else written):
            if tso and model != "tso":
                raise UsageError("--tso is --memory-model tso, and another model is given", "leave out one of them")
            return model
    raise UsageError(f"there is no memory model {written!r}", nearest(written or "", MODELS, "memory models are"))


def _program(file: Path, scheme: Scheme) -> Program:
    """The program of a scenario with steps at once, or of a counterexample's file.

    Raises:
        ResultFileError: it is neither.
        UsageError: it has one thread only.
    """
    if file.suffix == ".scenario":
        from foliolab.framework.scenario.parser import load
        from foliolab.framework.verify.interleavings import program

        return program(load(file), scheme)
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.explored.programs import program_of

    return program_of(Counterexample.load(file), str(file))


def _check_output(output: Path) -> None:
    if output.suffix == ".json":
        _common.writable(output)
    elif os.path.exists(output) and not os.path.isdir(output):
        raise UsageError(f"{output} is not a folder", "name a folder for counterexamples, or a file that ends in .json")


def _attack(
    found: Registry,
    scheme: Scheme,
    attacks: Sequence[Attack],
    budget: Budget,
    jobs: int,
    command: str,
    examples: _Examples,
) -> Verification:
    from foliolab.framework.report.progress import Attacks as Shower
    from foliolab.framework.verify import verifier
    from foliolab.framework.verify.finding import Finding

    kind, source = found.origin(scheme)
    plugin = os.path.abspath(source) if kind == "file" else ""
    with Shower(scheme.name, budget.seconds) as show:

        def tell(news: Progress | Finding) -> None:
            if isinstance(news, Finding) and news.counterexample is not None:
                examples.early(news.counterexample)  # before it is announced
            show(news)

        return verifier.verify(scheme, attacks, budget, tell, jobs, command=command, plugin=plugin)


# -- counterexamples -----------------------------------------------------------------------------
class _Examples:
    """Writes the counterexamples of a policy: as they are found, and at the end the shortest of each law.

    Args:
        output: the folder, or a file for the first of all.
        first: whether no policy before had one.
    """

    def __init__(self, output: Path, first: bool) -> None:
        self.output = output
        self.first = first
        self._early: dict[str, Path] = {}
        self._final: set[Path] = set()

    def early(self, example: Counterexample) -> None:
        """Write a counterexample when it is found, unless one of its law was before."""
        if example.law not in self._early:
            path, _ = _common.write_counterexample(example, self.output, self.first and not self._early)
            if path:
                self._early[example.law] = Path(path)

    def final(self, example: Counterexample) -> tuple[str, str]:
        """Write one of the counterexamples of the verification: its file, and the command that steps through it."""
        path, command = _common.write_counterexample(example, self.output, self.first and not self._final)
        self._final.add(Path(path))
        return path, command

    def close(self) -> None:
        """Remove what did not stand: another file has the law's shortest example, or it was not confirmed."""
        for path in set(self._early.values()) - self._final:
            path.unlink(missing_ok=True)


def _shown(scheme: Scheme, verification: Verification, examples: _Examples) -> list[Shown]:
    """Write the counterexample of each broken law, and play it for the table, if that is soon done."""
    from foliolab.framework.report.verify import Shown
    from foliolab.framework.verify.timeline import Timeline

    shown: list[Shown] = []
    for finding in verification.refuted:
        example = finding.counterexample
        if example is None:
            continue
        path, command = examples.final(example)
        late = verification.interrupted and example.shape.get("max_order", 0) > SOON_PLAYED
        shown.append(Shown(finding, None if late else Timeline(example, scheme), path, command))
    examples.close()
    return shown
