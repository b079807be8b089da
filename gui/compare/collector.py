"""Collects answers from the ledger, from the layouts, from kept results, and from an opened result file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from foliolab.framework.errors import FolioLabError, ResultFileError, UsageError
from foliolab.framework.run import defaults
from foliolab.gui.compare import answers, measure, reference, store
from foliolab.gui.compare.answer import Answer, failed, unknown
from foliolab.gui.compare.measure import Cell

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.report.result_files import PolicyResult
    from foliolab.framework.verify.ledger import Ledger
    from foliolab.gui.window.library import Library

QUESTION_OF: Final = {"precision": "precise", "compare": "cost", "consequences": "proc", "replay-trace": "precise"}
"""The question that a result answers, by the kind of the result."""
READ: Final[dict[str, Callable[[Any, str, str], Answer]]] = {
    "precision": lambda result, policy, baseline: answers.precise(result, policy),
    "compare": answers.cost,
    "consequences": lambda result, policy, baseline: answers.proc(result, policy),
    "replay-trace": lambda result, policy, baseline: answers.replayed(result, policy),
}
"""What reads the answer about a policy out of a result, by its kind; the baseline of costs may be empty: its own."""


class Collector:
    """Finds the answer to every question about every policy.

    Args:
        library: the policies.
        baseline: the policy with which costs are compared; the first one if it does not exist.

    Attributes:
        baseline: the policy with which costs are compared.
        opened: the result of an opened file; None if the matrix shows the results of this host.
        lent: the answers of an opened session, which stand in place of those of this host; None for none.
    """

    def __init__(self, library: Library, baseline: str = "") -> None:
        self._library = library
        self.baseline = baseline
        self.opened: PolicyResult | None = None
        self.lent: reference.Reference | None = None
        self._ledger: Ledger | None = None
        self._known: dict[tuple[Cell, str], tuple[bytes, Answer]] = {}
        self._together: dict[str, store.Kept | None] = {}
        self._most_bits = 0.0
        self._results: dict[tuple[str, str], tuple[bytes, PolicyResult]] = {}
        self._failed: dict[Cell, tuple[str, str]] = {}

    def begin(self) -> None:
        """Read the ledger and what is kept again, and choose a baseline if there is none."""
        self._ledger = self._library.ledger()
        self._together.clear()
        self._most_bits = 0.0
        names = [policy.name for policy in self._library.policies]
        if not self._library.usable([self.baseline]) and names:
            self.baseline = names[0]

    def policies(self) -> list[str]:
        """All rows that the matrix can have: the policies of the opened result, else all of the library."""
        if self.opened is not None:
            return policies_of(self.opened)
        return [policy.name for policy in self._library.policies]

    def first(self) -> list[str]:
        """The rows that it has at first: those that a comparison compares by default, the baseline, and one's own."""
        every, own = self.policies(), self.own()
        usual = {*defaults.POLICIES.split(","), self.baseline, *own}
        found = [policy for policy in every if policy in usual and policy not in own]
        found += [policy for policy in every if policy in own]
        return found if self.opened is None and len(found) > 1 else every

    def own(self) -> set[str]:
        """The policies of the opened files."""
        return {name for file in self._library.files for name in self._library.names_of(file)}

    def summary(self, policy: str) -> str:
        """The summary of a policy."""
        with suppress(FolioLabError):
            return self._library.scheme(policy).policy.summary
        return "not installed here"

    def note_failure(self, cell: Cell, why: str, hint: str) -> None:
        """Record that a cell could not be measured; this holds until the text of the policy changes."""
        self._failed[cell] = (self._digest(cell.policy), "\n".join(part for part in (why, hint) if part))

    def has_failed(self, cell: Cell) -> bool:
        """Whether a cell could not be measured last."""
        return cell in self._failed

    def forget_failure(self, cell: Cell) -> None:
        """Forget that a cell could not be measured."""
        self._failed.pop(cell, None)

    def answer(self, cell: Cell) -> Answer:
        """The answer of a cell; an error becomes an answer, too."""
        try:
            return self._answer(cell)
        except FolioLabError as fault:
            return failed(str(fault))
        except Exception as fault:  # the code of a plugin can raise anything
            return failed(f"{type(fault).__name__}: {fault}")

    def _answer(self, cell: Cell) -> Answer:
        if self.opened is not None and QUESTION_OF[self.opened.kind] == cell.question:
            return _dated(READ[self.opened.kind](self.opened, cell.policy, ""), self.opened)
        try:
            scheme = self._library.scheme(cell.policy)
        except UsageError:
            return unknown(why=f"{cell.policy} is not installed here.")
        command = self.command(cell)
        if cell in self._failed and self._failed[cell][0] == self._digest(cell.policy):
            return failed(self._failed[cell][1], command)
        return self._of_policy(scheme, cell, command)

    def _of_policy(self, scheme: Scheme, cell: Cell, command: tuple[str, ...]) -> Answer:
        if cell.question == "memory":
            return self._memory(scheme, command)
        if cell.question == "right":
            return self._right(scheme, command)
        if cell.question == "cost" and cell.policy == self.baseline:
            return answers.base(self.baseline)
        return self._kept(cell, command)

    def command(self, cell: Cell) -> tuple[str, ...]:
        """The words of the command line that measures a cell, with the policy files that it needs."""
        words = measure.command(cell, self._library.registry, self.baseline)
        texts = {cell.policy, self.baseline} if cell.question == "cost" else {cell.policy}
        for file in self._library.files if words and "--plugin" not in words else ():
            if any(text.partition(":")[0] in self._library.names_of(file) for text in texts):
                words += ("--plugin", file)
        return words

    def _digest(self, policy: str) -> str:
        with suppress(FolioLabError):
            return store.digest(self._library.scheme(policy))
        return ""

    def _memory(self, scheme: Scheme, command: tuple[str, ...]) -> Answer:
        """The memory of a policy, on one scale with all others."""
        if not self._most_bits:
            for policy in self._library.policies:
                with suppress(Exception):  # a plugin's policy that cannot be laid out says so in its own row
                    curve = answers.memory(policy.with_parameters(), ()).curve
                    self._most_bits = max(self._most_bits, *(bits for _, bits in curve.points))
        answer = answers.memory(scheme, command)
        top = max(self._most_bits, *(bits for _, bits in answer.curve.points))
        return replace(answer, curve=replace(answer.curve, top=top))

    # -- right -----------------------------------------------------------------------------------------
    def _right(self, scheme: Scheme, command: tuple[str, ...]) -> Answer:
        checked = self._library.checks.get(scheme.policy.name)
        if checked is not None and checked.state == "failed":  # what is not even compiled keeps no claim
            return failed(f"The check after the last save failed: {checked.message}", command)
        ledger = self._ledger or self._library.ledger()
        found = ledger.verdicts(scheme)
        if found:
            return answers.right(scheme, found, command)
        record = ledger.earlier(scheme)
        if record is None:
            return answers.right(scheme, {}, command)
        return _aged(answers.right(scheme, {one.claim: one for one in record.verdicts}, command))

    def _kept(self, cell: Cell, command: tuple[str, ...]) -> Answer:
        """What this host has measured, else what the reference result says."""
        about = [cell.policy, *([self.baseline] if cell.question == "cost" else [])]
        if self.lent is not None and (kept := self.lent.about(cell.question, about)) is not None:
            baseline = self.baseline if cell.question == "cost" else ""
            answer = replace(self._read(cell, kept, baseline), command=command, reference=self.lent.origin)
            return _aged(answer) if store.is_old(kept, self._library.scheme, about) else answer
        own = [store.find(cell.question, cell.policy), self._of_all(cell.question)]
        found = [kept for kept in own if kept is not None and kept.digests.keys() >= set(about)]
        # An answer about the present texts is better than one about older ones; then the newer is better.
        found.sort(key=self.started, reverse=True)
        found.sort(key=lambda kept: store.is_old(kept, self._library.scheme, about))
        shipped = reference.shipped()
        kept = found[0] if found else shipped.about(cell.question, about) if shipped is not None else None
        if kept is None:
            return unknown(command)
        baseline = self.baseline if cell.question == "cost" else ""
        answer = self._read(cell, kept, baseline) if found else _of_reference(cell, baseline)
        answer = replace(answer, command=command)
        return _aged(answer) if store.is_old(kept, self._library.scheme, about) else answer

    def _of_all(self, question: str) -> store.Kept | None:
        """What was measured about all policies together; read once after each `begin`."""
        if question not in self._together:
            self._together[question] = store.find(question, store.EVERY)
        return self._together[question]

    def _read(self, cell: Cell, kept: store.Kept, baseline: str) -> Answer:
        raw = bytes(kept.result)
        known = self._known.get((cell, baseline))
        if known is None or known[0] != raw:
            result = self._result(kept)
            known = (raw, _dated(READ[result.kind](result, cell.policy, baseline), result))
            self._known[cell, baseline] = known
        return known[1]

    def started(self, kept: store.Kept) -> str:
        """When a kept answer was measured.

        Raises:
            ResultFileError: it is damaged.
        """
        return self._result(kept).started

    def _result(self, kept: store.Kept) -> PolicyResult:
        key, raw = (kept.question, kept.policy), bytes(kept.result)
        known = self._results.get(key)
        if known is None or known[0] != raw:
            known = self._results[key] = (raw, _decoded(kept.question, raw))
        return known[1]


@cache
def _of_reference(cell: Cell, baseline: str) -> Answer:
    """What the shipped reference result says; unknown if it says nothing about the policy and the baseline."""
    shipped = reference.shipped()
    kept = shipped.about(cell.question, {cell.policy, *filter(None, [baseline])}) if shipped is not None else None
    if shipped is None or kept is None:
        return unknown()
    result = _result_of_reference(cell.question)
    answer = _dated(READ[result.kind](result, cell.policy, baseline), result)
    return replace(answer, reference=shipped.origin)


@cache
def _result_of_reference(question: str) -> PolicyResult:
    shipped = reference.shipped()
    assert shipped is not None
    return _decoded(question, bytes(next(one for one in shipped.answers if one.question == question).result))


def policies_of(result: PolicyResult) -> list[str]:
    """The policies of a result, in its order."""
    from foliolab.framework.precision.result import PrecisionResult
    from foliolab.framework.replay.result import ReplayResult
    from foliolab.framework.results.result import Result

    if isinstance(result, Result):
        return list(result.config.policies)
    if isinstance(result, ReplayResult):
        return [one.policy for one in result.policies]
    if isinstance(result, PrecisionResult):
        return [policy.name for policy in result.policies]
    return list(dict.fromkeys(outcome.policy for source in result.sources for outcome in source.outcomes))


def _decoded(question: str, raw: bytes) -> PolicyResult:
    """Decode a kept result.

    Raises:
        ResultFileError: the kept result is damaged.
    """
    from foliolab.framework.consequences.result import ConsequencesResult
    from foliolab.framework.precision.result import PrecisionResult
    from foliolab.framework.results.result import Result

    kinds: dict[str, type[PolicyResult]] = {"precise": PrecisionResult, "cost": Result, "proc": ConsequencesResult}
    try:
        return msgspec.json.decode(raw, type=kinds[question])
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise ResultFileError(f"the kept result is damaged: {fault}", "measure the cell again") from fault


def _dated(answer: Answer, result: PolicyResult) -> Answer:
    """Say when and by which version an answer was measured."""
    if not answer.known:
        return answer
    started, version = result.started[:16].replace("T", " "), result.versions.get("foliolab", "of unknown version")
    return replace(answer, sentence=f"{answer.sentence} Measured on {started} by FolioLab {version}.")


def _aged(answer: Answer) -> Answer:
    return replace(
        answer, old="of an older text of the policy", sentence=f"{answer.sentence} The policy's text has changed since."
    )
