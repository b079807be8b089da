"""The steps between `at once` and `end`: which may run at the same time, and with which others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

from foliolab.framework.scenario.refusal import Refused
from foliolab.framework.scenario.syntax import AT_ONCE, MOST_AT_ONCE, Region, ScenarioStep

_CLOSES: Final = frozenset({"munmap", "mremap", "mprotect"})
"""Actions after which, or while which, the pages may not be written."""
_USES: Final = _CLOSES | {"write", "pin", "vmsplice", "dontneed"}
"""Actions for which the pages must be there."""
_REPLACES: Final = _CLOSES | {"write", "pin", "dontneed"}
"""Actions after which a page may be another one."""
PRESENT: Final = frozenset({"write", "pin", "migrate"})
"""Actions that can run at once with others on present pages only."""
_DROPS: Final = frozenset({"munmap", "mremap", "dontneed"})
"""Actions after which a page may be absent."""


class Group:
    """The steps that run at once, as far as they are known.

    Args:
        regions: of the scenario.
        process_of: the process of each process and thread.
    """

    def __init__(self, regions: Sequence[Region], process_of: Mapping[str, str]) -> None:
        self.regions = regions
        self.process_of = process_of
        self.steps: list[ScenarioStep] = []

    def finish(self) -> None:
        """Check that it is a group.

        Raises:
            Refused: nothing runs at once.
        """
        if len({step.process for step in self.steps}) < 2:
            self._refuse("process", "at once takes steps of two or more processes or threads", "add one of another one")

    def add(self, step: ScenarioStep) -> None:
        """Add a step.

        Raises:
            Refused: it cannot run at once with the others.
        """
        if step.action not in AT_ONCE:
            self._refuse("action", f"{step.action} cannot run at once", f"what can: {', '.join(sorted(AT_ONCE))}")
        if step.process in {one.name for one in self.steps if one.action == "fork"}:
            self._refuse("process", f"{step.process} is forked at once with this", "let it act below end")
        if len({one.process for one in (*self.steps, step)}) > MOST_AT_ONCE:
            self._refuse("process", f"more than {MOST_AT_ONCE} processes and threads at once", "use fewer")
        if step.action == "exit" and self.process_of[step.process] != step.process:
            self._refuse("action", "the exit of a thread changes no memory", "write it below end")
        for other in self.steps:
            if other.process == step.process:
                self._after(other, step)
            else:
                self._beside(other, step)
        self.steps.append(step)
        self._migrations()

    def dropped(self) -> list[ScenarioStep]:
        """The steps after which pages may be absent, whatever other threads do."""
        return [step for step in self.steps if step.action == "dontneed"]

    def _migrations(self) -> None:
        """Check what runs at once with a migration."""
        moves = [step for step in self.steps if step.action == "migrate"]
        if moves and any(region.pmd for region in self.regions):
            self._refuse("action", "migrate at once where PMDs map memory", "write pte: no entry of a PMD is modelled")
        if len(moves) > 1:
            self._refuse("action", "there is a migrate at once already", "each holds the folio's lock: write one")
        for move in moves:
            forks = [step for step in self.steps if step.action == "fork" and step.process != move.process]
            if sum(self.process_of[step.process] == self.process_of[move.process] for step in forks) > 1:
                self._refuse("action", "two threads fork at once with migrate", "let one of them fork")

    def _after(self, before: ScenarioStep, step: ScenarioStep) -> None:
        """Check a step against an earlier one of the same process or thread."""
        if step.action in PRESENT and before.action in _DROPS and _meet(before, step):
            self._refuse("pages", f"{step.pages} of {step.process} is not present", "write it above at once")
        if step.action == "vmsplice" and before.action in _REPLACES and _meet(before, step):
            self._refuse("pages", f"{before.process} changes {step.pages} at once with this", "take it above at once")
        if before.action == "pin" and (step.action == "exit" or step.name == before.name):
            self._refuse("process", f"{before.name} is pinned at once with this", f"let {step.action} be below end")

    def _beside(self, other: ScenarioStep, step: ScenarioStep) -> None:
        """Check a step against one of another process or thread."""
        if step.name and step.name == other.name:
            self._refuse("name", f"{other.process} does {other.action} with {step.name} at once with this",
                         "use another name, or write it below end")  # fmt: skip
        if self.process_of[step.process] != self.process_of[other.process]:
            return
        if any(region.pmd for region in self.regions):
            self._refuse("process", f"{step.process} and {other.process} are threads of one process, and PMDs may map "
                         "its memory", "write pte: PMDs are not modelled under the locks of threads")  # fmt: skip
        for one, another in ((step, other), (other, step)):
            for clashes, what, hint in _CLASHES:
                if clashes(one, another):
                    self._refuse("action", f"{one.process}: {what.format(one=one, another=another)}", hint)

    @staticmethod
    def _refuse(operand: str, what: str, hint: str) -> NoReturn:
        raise Refused(operand, what, hint)


def _meet(one: ScenarioStep, other: ScenarioStep) -> bool:
    """Whether two steps name a page in common."""
    return any(a.meets(b) for a in (one.pages, one.to) for b in (other.pages, other.to) if a and b)


_CLASHES: Final[tuple[tuple[Callable[[ScenarioStep, ScenarioStep], bool], str, str], ...]] = (
    (
        lambda one, another: one.action == "exit",
        "exit ends {another.process}, a thread that does {another.action} at once with this", "write it below end",
    ),
    (
        lambda one, another: one.action in _CLOSES and another.action in _USES and _meet(one, another),
        "beside {one.action}, {another.action} of {another.process} may meet memory that it may not write, a signal",
        "let the threads use different pages",
    ),
    (
        lambda one, another: one.action in _CLOSES and another.action == "fork",
        "beside {one.action}, what {another.process} forks is not known", "write one of them above at once",
    ),
    (
        lambda one, another: one.action == "vmsplice" and another.action in _REPLACES and _meet(one, another),
        "{another.process} changes {one.pages} at once with this", "take it above at once",
    ),
    (
        lambda one, another: one.action == another.action == "fork" and one.pages is not None,
        "MADV_DONTFORK is for the forks of all threads", "fork without pages above at once",
    ),
)  # fmt: skip
"""For a step and one of another thread of its process: whether they cannot run at once, why, and what to do."""
