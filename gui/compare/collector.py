"""Collects the answers: from the ledger, the layouts, what was kept, and result files that were opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from foliolab.framework.errors import FolioLabError, ResultFileError, UsageError
from foliolab.gui.compare import answers, measure, store
from foliolab.gui.compare.answer import Answer, failed, unknown
from foliolab.gui.compare.measure import Cell

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.results.difference import AnyResult
    from foliolab.framework.verify.ledger import Ledger
    from foliolab.gui.window.library import Library

QUESTION_OF: Final = {"precision": "precise", "compare": "cost", "consequences": "proc"}
"""The question that a result file answers, by its kind."""
READ: Final[dict[str, Callable[[Any, str], Answer]]] = {
    "precise": answers.precise,
    "cost": answers.cost,
    "proc": answers.proc,
}


class Collector:
    """Knows the answer to every question about every policy.

    Args:
        library: what there is.

    Attributes:
        baseline: what costs are compared with.
        opened: a result that was opened from a file; None: one's own.
    """

    def __init__(self, library: Library, baseline: str = "") -> None:
        self._library = library
        self.baseline = baseline
        self.opened: AnyResult | None = None
        self._ledger: Ledger | None = None
        self._known: dict[Cell, tuple[bytes, Answer]] = {}
        self._failed: dict[Cell, tuple[str, str]] = {}

    def begin(self) -> None:
        """Look at the ledger anew."""
        self._ledger = self._library.ledger()
        names = [policy.name for policy in self._library.policies]
        if not self._library.usable([self.baseline]) and names:
            self.baseline = names[0]

    def policies(self) -> list[str]:
        """The rows: those of an opened result, else every policy that can be used."""
        if self.opened is not None:
            return policies_of(self.opened)
        return [policy.name for policy in self._library.policies]

    def summary(self, policy: str) -> str:
        """One line about a policy."""
        with suppress(FolioLabError):
            return self._library.scheme(policy).policy.summary
        return "not installed here"

    def note_failure(self, cell: Cell, why: str, hint: str) -> None:
        """Measuring it failed; forgotten when its text changes."""
        self._failed[cell] = (self._digest(cell.policy), "\n".join(part for part in (why, hint) if part))

    def forget_failure(self, cell: Cell) -> None:
        """It is measured anew."""
        self._failed.pop(cell, None)

    def answer(self, cell: Cell) -> Answer:
        """What is known about a cell; what cannot be read is an answer, too."""
        try:
            return self._answer(cell)
        except FolioLabError as fault:
            return failed(str(fault))
        except Exception as fault:  # a third party's declaration can raise anything
            return failed(f"{type(fault).__name__}: {fault}")

    def _answer(self, cell: Cell) -> Answer:
        if self.opened is not None and QUESTION_OF[self.opened.kind] == cell.question:
            return READ[cell.question](self.opened, cell.policy)
        try:
            scheme = self._library.scheme(cell.policy)
        except UsageError:
            return unknown(why=f"{cell.policy} is not installed here.")
        command = self.command(cell)
        if cell in self._failed and self._failed[cell][0] == self._digest(cell.policy):
            return failed(self._failed[cell][1], command)
        return self._of(scheme, cell, command)

    def _of(self, scheme: Scheme, cell: Cell, command: tuple[str, ...]) -> Answer:
        if cell.question == "memory":
            return answers.memory(scheme, command)
        if cell.question == "right":
            return self._right(scheme, command)
        if cell.question == "cost" and cell.policy == self.baseline:
            return answers.base(self.baseline)
        return self._kept(cell, command)

    def command(self, cell: Cell) -> tuple[str, ...]:
        """The words of the command that measures a cell."""
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

    # -- right -----------------------------------------------------------------------------------------
    def _right(self, scheme: Scheme, command: tuple[str, ...]) -> Answer:
        ledger = self._ledger or self._library.ledger()
        found = ledger.verdicts(scheme)
        if found:
            return answers.right(scheme, found, command)
        record = ledger.earlier(scheme)
        if record is None:
            return answers.right(scheme, {}, command)
        return _aged(answers.right(scheme, {one.claim: one for one in record.verdicts}, command))

    # -- what was kept ---------------------------------------------------------------------------------
    def _kept(self, cell: Cell, command: tuple[str, ...]) -> Answer:
        kept = store.find(cell.question, cell.policy)
        if kept is None or (cell.question == "cost" and self.baseline not in kept.digests):
            return unknown(command)
        known = self._known.get(cell)
        raw = bytes(kept.result)
        if known is None or known[0] != raw:
            known = (raw, READ[cell.question](_decoded(cell.question, raw), cell.policy))
            self._known[cell] = known
        return _aged(known[1]) if store.is_old(kept, self._library.scheme) else known[1]


def policies_of(result: AnyResult) -> list[str]:
    """The policies of a result, in its order."""
    from foliolab.framework.precision.result import PrecisionResult
    from foliolab.framework.results.result import Result

    if isinstance(result, Result):
        return list(result.config.policies)
    if isinstance(result, PrecisionResult):
        return [policy.name for policy in result.policies]
    return list(dict.fromkeys(outcome.policy for course in result.sources for outcome in course.outcomes))


def _decoded(question: str, raw: bytes) -> object:
    """A kept result.

    Raises:
        ResultFileError: it is damaged.
    """
    from foliolab.framework.consequences.result import ConsequencesResult
    from foliolab.framework.precision.result import PrecisionResult
    from foliolab.framework.results.result import Result

    kinds: dict[str, type] = {"precise": PrecisionResult, "cost": Result, "proc": ConsequencesResult}
    try:
        return msgspec.json.decode(raw, type=kinds[question])
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise ResultFileError(f"what was kept is damaged: {fault}", "measure it anew") from fault


def _aged(answer: Answer) -> Answer:
    return replace(
        answer, old="of an older text of the policy", sentence=f"{answer.sentence} The policy's text has changed since."
    )
