"""The file of a counterexample: a machine, threads of operations, their schedule, and the law that breaks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from foliolab.framework import intake
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.document import Document, Name, Number
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import UsageError

MemoryModel = Literal["sc", "tso", "armv8"]
MODELS: Final[dict[MemoryModel, str]] = {
    "sc": "sequentially consistent",
    "tso": "x86-TSO, stores wait in buffers",
    "armv8": "Armv8, loads may be early and stores late",
}
"""The memory models, in words."""


class Turn(NamedTuple):
    """A turn of a thread in a schedule.

    Args:
        accesses: the number of its memory accesses before the next turn.
        flush: without accesses: which store in the thread's store buffer takes effect, 1 for the oldest.
        older: Armv8: how many writes to its field the access ignores. It reads what was there before them.
        waits: Armv8: whether the access is a store that waits, so that later stores overtake it.
    """

    thread: int
    accesses: int = 0
    flush: int = 0
    older: int = 0
    waits: bool = False

    @property
    def text(self) -> str:
        """The turn as a schedule has it."""
        if self.flush:
            return f"{self.thread}!{self.flush if self.flush > 1 else ''}"
        if self.older:
            return f"{self.thread}?{self.older}"
        return f"{self.thread}+" if self.waits else f"{self.thread}*{self.accesses}"


_TURN: Final = re.compile(
    r"(?P<thread>\d{1,9})(?:\*(?P<accesses>\d{1,9})|(?P<flush>!\d{0,9})|\?(?P<older>\d{1,9})|(?P<waits>\+))?"
)


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
            store in the buffer of thread 0 takes effect, in "0!2" the second one. In "0?2" thread 0 does one access,
            which reads what its field held before the two latest writes to it; in "0+" one that stores, and waits in
            the buffer (both armv8). Accesses to the folio's struct pages and to page tables count (see
            `playback.counted`). Empty for a single thread whose operations run as a whole.
        memory_model: sc (sequentially consistent); tso: plain stores of a thread wait in its store buffer; armv8: what
            no barrier orders may be seen in another order.
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
            turn = _turn(word)
            if turn is None or turn.thread >= len(self.threads):
                raise UsageError(
                    f"schedule: {intake.excerpt(word)} is not a turn of one of the {len(self.threads)} threads",
                    "a turn is written thread*accesses, such as 0*12",
                )
            if (turn.older or turn.waits or turn.flush > 1) and self.memory_model != "armv8":
                raise UsageError(
                    f"schedule: {word} is possible with the memory model armv8, and this one is {self.memory_model}",
                    "set memory_model to armv8",
                )
            found.append(turn)
        return found

    def stepping(self, path: str | Path) -> list[str]:
        """The command that steps through this counterexample in a file."""
        return ["foliolab", "step", str(path), *(["--plugin", self.plugin] if self.plugin else [])]

    def operations(self, thread: int) -> list[Operation]:
        return [Operation.parse(text) for text in self.threads[thread]]


def _turn(word: str) -> Turn | None:
    """A turn as a schedule has it; None if the word is none."""
    found = _TURN.fullmatch(word)
    if found is None or not word.isascii():
        return None
    thread = int(found["thread"])
    if found["flush"]:
        slot = int(found["flush"][1:] or 1)
        return Turn(thread, flush=slot) if slot else None
    if found["older"]:
        return Turn(thread, 1, older=int(found["older"])) if int(found["older"]) else None
    return Turn(thread, 1, waits=True) if found["waits"] else Turn(thread, int(found["accesses"] or 1))


def schedule_text(turns: Iterable[Turn]) -> str:
    """A schedule as text; adjacent turns of one thread are merged."""
    merged: list[Turn] = []
    for turn in turns:
        before = merged[-1] if merged else None
        plain = before is not None and not any((*turn[2:], *before[2:]))
        if before is not None and plain and before.thread == turn.thread:
            merged[-1] = Turn(turn.thread, before.accesses + turn.accesses)
        else:
            merged.append(turn)
    return " ".join(turn.text for turn in merged)


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
