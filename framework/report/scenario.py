"""`foliolab run`: what each step of a scenario did, failed expectations, a summary in words; and as JSON.

A wrong verdict has a word and a sign; colour is never its only mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from foliolab.framework.report.pages.page import Column, Page, Style, Words
from foliolab.framework.report.words import broken
from foliolab.framework.scenario.formatter import region_text, step_text
from foliolab.framework.scenario.record import Record, Verdict
from foliolab.framework.scenario.result import Interleavings, ScenarioResult, ScenarioRun

SIGNS: Final[dict[str, tuple[str, Style]]] = {
    "right": ("", ""),
    "false shared": ("▲", "doubtful"),
    "unsafe": ("✗", "bad"),
}
"""For each kind of verdict its sign and its tone."""

DIFFERS: Final[tuple[str, Style]] = ("≠", "bad")
"""Sign and tone of a kernel that differs from its model."""


# -- the table ----------------------------------------------------------------------------------------
@dataclass
class _Row:
    line: str = ""
    step: str = ""
    owners: str = ""
    cells: list[Words] = field(default_factory=list)


def render(result: ScenarioResult, page: Page) -> None:
    """Write one scenario's result on a page."""
    scenario = result.scenario
    page.line(f"{scenario.name}  {scenario.source}", "strong")
    for line in scenario.text:
        page.line(f"  {line}")
    for region in scenario.regions:
        page.line(f"  {region_text(region)}", "quiet")
    page.line()
    rows = list(_Table(result, page).rows())
    columns = [
        Column("line", [page.text(row.line) for row in rows], right=True),
        Column("step", [page.text(row.step) for row in rows]),
        Column("owners", [page.text(row.owners) for row in rows]),
    ]
    heads = [broken(run.by) for run in result.runs] + (["kernel"] if result.kernel else [])
    groups = [[Column(head, [row.cells[number] for row in rows])] for number, head in enumerate(heads)]
    page.tables("", columns if result.runs else columns[:2], groups)
    page.line()
    _failures(result, page)
    for sentence in _words(result):
        page.line(sentence)


class _Table:
    def __init__(self, result: ScenarioResult, page: Page) -> None:
        self.result = result
        self.page = page
        self.differs = {difference.number for difference in result.differences}
        self.apart = [
            set() if run.binding else {difference.number for difference in run.differences} for run in result.runs
        ]
        """For each policy that does not model the kernel, the steps at which the kernel did something else."""
        self.last: dict[str, tuple[object, ...]] = {}
        self.several = sum(r.folios for r in result.scenario.regions if r.order) > 1

    def rows(self) -> Iterator[_Row]:
        """A row for each step with the first folio that changed, then a row for each further folio that changed."""
        for number, step in enumerate(self.result.scenario.steps):
            records = [run.records[number] for run in self.result.runs]
            folios = self._changed(records)
            first = folios[0] if folios else ()
            yield _Row(
                str(step.line or ""),
                step_text(step, answer=False),
                self._owners(first),
                [*self._marked(number, self._cells(records, first)), *self._kernel(number)],
            )
            for more in folios[1:]:
                end = [self.page.text("")] if self.result.kernel else []
                yield _Row("", "", self._owners(more), [*self._cells([None] * len(records), more), *end])

    def _changed(self, records: Sequence[Record]) -> list[tuple[Verdict | None, ...]]:
        """What each policy says about each folio that changed; of equal folios in a region, only the first one."""
        by_name = [{verdict.folio: verdict for verdict in record.verdicts} for record in records]
        found: dict[tuple[object, ...], tuple[Verdict | None, ...]] = {}
        for name in dict.fromkeys(name for verdicts in by_name for name in verdicts):
            verdicts = tuple(of_run.get(name) for of_run in by_name)
            state = tuple(v and (v.owners, v.shared) for v in verdicts)
            if self.last.get(name) != state:
                self.last[name] = state
                found.setdefault((name.partition("[")[0], state), verdicts)
        return list(found.values())

    def _owners(self, verdicts: Sequence[Verdict | None]) -> str:
        known = next((verdict for verdict in verdicts if verdict), None)
        if known is None:
            return ""
        return f"{known.folio}: {known.owners}" if self.several else str(known.owners)

    def _cells(self, records: Sequence[Record | None], verdicts: Sequence[Verdict | None]) -> Iterator[Words]:
        truth = next((verdict.owners for verdict in verdicts if verdict), 0)
        for number, (run, record) in enumerate(zip(self.result.runs, records, strict=True)):
            outcome = _text_of(run, record) if record else ""
            cell = self.page.text(f"{outcome}; " if outcome and verdicts else outcome)
            if verdicts:
                verdict = verdicts[number]
                cell += self._verdict(verdict, truth) if verdict else self.page.text("freed")
            yield cell

    def _marked(self, number: int, cells: Iterator[Words]) -> Iterator[Words]:
        """The cells of a step, with a sign where the kernel did something else than the policy."""
        sign, style = DIFFERS
        for apart, cell in zip(self.apart, cells, strict=True):
            yield self.page.text(f"{sign} ", style) + cell if number in apart else cell

    def _verdict(self, verdict: Verdict, truth: int) -> Words:
        sign, style = SIGNS[verdict.kind]
        answer = verdict.kind if verdict.kind != "right" else "shared" if verdict.shared else "exclusive"
        other = "" if verdict.owners == truth else f" (owners: {verdict.owners})"
        return self.page.text(f"{sign} {answer}{other}".lstrip(), style)

    def _kernel(self, number: int) -> list[Words]:
        if self.result.kernel is None:
            return []
        outcome = self.result.kernel.records[number].text
        if number not in self.differs:
            return [self.page.text(outcome)]
        sign, style = DIFFERS
        return [self.page.text(f"{sign} differs {outcome}".rstrip(), style)]


def _text_of(run: ScenarioRun, record: Record) -> str:
    """What a step did; where interleavings differ, each of them."""
    if run.interleavings is None:
        return record.text
    number = next(at for at, one in enumerate(run.records) if one is record)
    return " or ".join(filter(None, run.interleavings.texts(number)))


# -- words --------------------------------------------------------------------------------------------
def _all_runs(result: ScenarioResult) -> list[ScenarioRun]:
    return [*result.runs, *([result.kernel] if result.kernel else [])]


def _failures(result: ScenarioResult, page: Page) -> None:
    steps = result.scenario.steps
    for run in _all_runs(result):
        for failure in run.failures:
            location = f"{result.scenario.source}:{failure.line}"
            text = f"{location}: {run.by}: expected {failure.expected}, found {failure.found or 'nothing'}"
            page.line(f"Failed: {text} (after {failure.step})", "bad")
        for failure in run.wrong:
            location = f"{result.scenario.source}:{failure.line}"
            text = f"{location}: {run.by}: wrong: {failure.found}; right would be: {failure.expected}"
            page.line(f"Failed: {text} (after {failure.step})", "bad")
    for run in result.runs:
        for difference in run.differences:
            step = steps[difference.number]
            text = f"{step_text(step, answer=False)}: {difference.aspect}: {difference.what}"
            cause = f" ({difference.cause})" if difference.cause else ""
            who = "" if run.binding else f"{run.by}: "
            page.line(
                f"Differs: {result.scenario.source}:{step.line}: {who}{text}{cause}", "bad" if run.binding else "quiet"
            )


def _words(result: ScenarioResult) -> Iterator[str]:
    runs = _all_runs(result)
    expected = sum(run.expected for run in runs)
    failed = sum(len(run.failures) for run in runs)
    wrong = [f"{len(run.wrong)} of {run.by}" for run in runs if run.wrong]
    for run in result.runs:
        if run.interleavings is not None:
            yield _explored(run.by, run.interleavings)
    if expected:
        yield f"{expected - failed} of {expected} expectations hold" + (f", {failed} failed." if failed else ".")
    if wrong:
        yield f"Wrong, whatever the scenario expects: {', '.join(wrong)}."
    for kind in ("false shared", "unsafe"):
        counts = [
            f"{number} of {sum(len(record.verdicts) for record in run.records)} verdicts of {run.by}"
            for run in result.runs
            if (number := run.verdicts(kind))
        ]
        if counts:
            yield f"{kind.capitalize()}: {', '.join(counts)}."
    if result.skipped:
        yield f"Not run on this kernel: {result.skipped}."
    elif result.kernel:
        steps = len(result.scenario.steps)
        for run in result.runs:
            same = steps - len({difference.number for difference in run.differences})
            yield f"{result.kernel.by} did what {run.by} says in {same} of {steps} steps."
        if result.runs and not result.model:
            yield f"No policy here models {result.kernel.by}, so no difference is a failure."
    if result.discarded:
        yield f"{result.discarded} attempts were discarded because the kernel moved pages."


def _explored(by: str, found: Interleavings) -> str:
    """How far the interleavings of the steps at once were explored."""
    nr = len(found.outcomes)
    outcomes = f"{nr} outcome{'s' if nr != 1 else ''}"
    which = f"those that were explored ({found.bound})" if found.bound else "every interleaving"
    return f"{by}: {outcomes} of {which}, {found.states:,} states. An expectation holds only if it holds in all."


def summary(results: Sequence[ScenarioResult], page: Page) -> None:
    """Write how many scenarios are good and bad."""
    bad = [result.scenario.name for result in results if not result.good]
    skipped: dict[str, list[str]] = {}
    for result in results:
        if result.skipped:
            skipped.setdefault(result.skipped, []).append(result.scenario.name)
    page.line(f"{len(results)} scenarios: {len(results) - len(bad)} good, {len(bad)} bad", "strong")
    if bad:
        page.line(f"  bad: {', '.join(bad)}", "bad")
    for reason, names in skipped.items():
        page.line(f"  not run on this kernel: {reason} ({', '.join(names)})")


# -- JSON ---------------------------------------------------------------------------------------------
def data(results: Sequence[ScenarioResult]) -> dict[str, Any]:
    """Results as JSON values."""
    return {"schema": 1, "scenarios": [_scenario(result) for result in results]}


def _scenario(result: ScenarioResult) -> dict[str, Any]:
    scenario = result.scenario
    return {
        "name": scenario.name,
        "file": scenario.source,
        "text": " ".join(scenario.text),
        "good": result.good,
        "steps": [{"line": step.line, "step": step_text(step, answer=False)} for step in scenario.steps],
        "policies": {run.by: _run(run) for run in result.runs},
        "kernel": {"release": result.kernel.by, "model": result.model, **_run(result.kernel)}
        if result.kernel
        else None,
        "skipped": result.skipped,
        "differences": [vars(difference) for difference in result.differences],
        "discarded": result.discarded,
    }


def _run(run: ScenarioRun) -> dict[str, Any]:
    return {
        "expected": run.expected,
        **_interleavings(run),
        "failures": [vars(failure) for failure in run.failures],
        "wrong": [vars(failure) for failure in run.wrong],
        "differences": [vars(difference) for difference in run.differences],
        "steps": [
            {
                "outcomes": list(record.outcomes),
                "answer": record.answer,
                "folios": [vars(verdict) | {"kind": verdict.kind} for verdict in record.verdicts],
                "present": {name: int(view.present.sum()) for name, view in record.views.items()},
            }
            for record in run.records
        ],
    }


def _interleavings(run: ScenarioRun) -> dict[str, Any]:
    found = run.interleavings
    if found is None:
        return {}
    outcomes = [{"schedule": one.schedule, "steps": [record.text for record in one.records]} for one in found.outcomes]
    return {
        "interleavings": {"states": found.states, "bound": found.bound, "shown": run.schedule, "outcomes": outcomes}
    }
