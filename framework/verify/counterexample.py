"""The file of a counterexample: a machine, threads of operations, their schedule, and the law that breaks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from foliolab.framework import intake
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.document import Document, Name, Number
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import UsageError

MemoryModel = Literal["sc", "tso"]
Turn = tuple[int, int]
"""A thread and the number of its memory accesses before the next turn. With FLUSH as the number, the oldest store in
the thread's store buffer takes effect."""

FLUSH: Final = 0


class Counterexample(Document, frozen=True, kw_only=True):
    """A run that breaks a law.

    Attributes:
        policy: as a user writes it, such as mm-id-slots:slots=4.
        digest: of the policy's text when the counterexample was found.
        plugin: the file that the policy comes from, which is never loaded because this file names it; empty for an
            installed policy.
        attack: the attack that found it.
        law: the broken law, see `foliolab reference laws`.
        claim: the refuted capability; empty where every policy owes the law.
        message: what happens, in one sentence.
        shape: the size of the machine, see Shape.
        setup: operations that run first, each as a whole.
        threads: the operations of each thread; thread t runs on CPU t.
        schedule: the turns, such as "0*12 1*3 0*4": a thread and its number of memory accesses. In "0!" the oldest
            store in the buffer of thread 0 takes effect. Accesses to the folio's struct pages and to page tables
            count (see `playback.counted`). Empty for a single thread whose operations run as a whole.
        memory_model: sc (sequentially consistent), or tso: plain stores of a thread wait in its store buffer.
        command: the command line that found it.
        scenario: the text of the scenario whose expectation breaks (law `expectation`); else empty.
    """

    WHAT = "counterexample"
    MADE_BY = "foliolab verify"
    MOST_BYTES = 4 << 20

    policy: Name
    attack: str
    law: str
    claim: str
    message: str
    shape: dict[str, Number]
    setup: list[str] = msgspec.field(default_factory=list)
    threads: list[list[str]] = msgspec.field(default_factory=list)
    schedule: str = ""
    memory_model: MemoryModel = "sc"
    digest: str = ""
    plugin: str = ""
    command: str = ""
    scenario: str = ""

    def check(self) -> None:
        """Refuse a law, claim, machine, thread or operation that does not exist, and what would take too long to play.

        Raises:
            UsageError: says what is wrong.
        """
        from foliolab.framework.verify.bounds import check

        check(self)

    def machine(self, scheme: Scheme) -> Machine:
        """An interpreted machine of the counterexample's shape, in its initial state.

        Raises:
            UsageError: the shape is not valid.
        """
        try:
            shape: Any = self.shape  # one keyword is a flag, stored as 0 or 1
            return Machine(scheme, Shape(**shape), "interpreted")
        except TypeError as fault:
            raise UsageError(f"the counterexample's shape is not valid: {fault}") from fault

    @property
    def turns(self) -> list[Turn]:
        """The parsed schedule.

        Raises:
            UsageError: the schedule has a syntax error, or names a thread that does not exist.
        """
        found: list[Turn] = []
        for word in self.schedule.split():
            if word.endswith("!"):
                thread, count = word[:-1], str(FLUSH)
            else:
                thread, star, count = word.partition("*")
                count = count if star else "1"
            who, times = intake.number(thread), intake.number(count)
            if who is None or times is None or times < 0 or not 0 <= who < len(self.threads):
                raise UsageError(
                    f"schedule: {intake.excerpt(word)} is not a turn of one of the {len(self.threads)} threads",
                    "a turn is written thread*accesses, such as 0*12",
                )
            found.append((who, times))
        return found

    def stepping(self, path: str | Path) -> list[str]:
        """The command that steps through this counterexample in a file."""
        return ["foliolab", "step", str(path), *(["--plugin", self.plugin] if self.plugin else [])]

    def operations(self, thread: int) -> list[Operation]:
        return [Operation.parse(text) for text in self.threads[thread]]


def schedule_text(turns: list[Turn]) -> str:
    """A schedule as text; adjacent turns of one thread are merged."""
    merged: list[list[int]] = []
    for thread, count in turns:
        if count != FLUSH and merged and merged[-1][0] == thread and merged[-1][1] != FLUSH:
            merged[-1][1] += count
        else:
            merged.append([thread, count])
    return " ".join(f"{thread}!" if count == FLUSH else f"{thread}*{count}" for thread, count in merged)


def path_for(counterexample: Counterexample, output: Path, first: bool = True) -> Path:
    """The file that a counterexample is written to.

    Args:
        output: a folder, or a file (with suffix .json) for the first of several; the others go beside it.
        first: whether this is the first counterexample.
    """
    policy = re.sub(r"[^\w.-]+", "-", counterexample.policy)
    if output.suffix != ".json":
        return output / f"{policy}-{counterexample.law}.json"
    return output if first else output.with_name(f"{output.stem}-{policy}-{counterexample.law}.json")
