"""A counterexample as a file: a machine, what runs on it in which order, and the law that breaks."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from foliolab.framework import document
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import UsageError

SCHEMA: Final = 1
"""The newest schema that this FolioLab writes and reads."""

MemoryModel = Literal["sc", "tso"]
Turn = tuple[int, int]
"""A thread, and how many memory accesses it does before another one has its turn; FLUSH instead of a number lets
the oldest store that waits in its store buffer take effect."""

FLUSH: Final = 0


class Counterexample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shows that a law does not hold.

    Attributes:
        policy: as a user would write it, such as mm-id-slots:slots=3.
        digest: of the policy's text when this was found.
        plugin: the file that the policy comes from; empty for installed ones.
        attack: who found it.
        law: the law that breaks, a name out of `laws.LAWS`.
        claim: the capability that is refuted; empty where every policy owes the law.
        message: what happens, in one sentence.
        shape: the machine, as keywords of `engine.Shape`.
        setup: operations that run first, whole.
        threads: the operations of each thread; thread t runs on CPU t.
        schedule: whose turn it is for how many memory accesses, such as "0*12 1*3 0*4"; "0!" lets the oldest store
            in a store buffer out; empty for a single thread whose operations run whole. Accesses to the struct
            pages of the folio and to page tables count (see `playback.counted`).
        memory_model: sc, or tso: plain stores of a thread wait in its store buffer.
        command: what found it.
    """

    policy: str
    attack: str
    law: str
    claim: str
    message: str
    shape: dict[str, int]
    setup: list[str] = msgspec.field(default_factory=list)
    threads: list[list[str]] = msgspec.field(default_factory=list)
    schedule: str = ""
    memory_model: MemoryModel = "sc"
    digest: str = ""
    plugin: str = ""
    command: str = ""
    schema: int = SCHEMA

    def machine(self, scheme: Scheme) -> Machine:
        """The machine that it runs on, interpreted, before anything has happened.

        Raises:
            UsageError: the file names no such machine.
        """
        try:
            shape: Any = self.shape  # the one flag among them is 0 or 1
            return Machine(scheme, Shape(**shape), "interpreted")
        except TypeError as fault:
            raise UsageError(f"the counterexample's machine is not understood: {fault}") from fault

    @property
    def turns(self) -> list[Turn]:
        """The schedule, read.

        Raises:
            UsageError: it is not written so, or names a thread that there is not.
        """
        found: list[Turn] = []
        for word in self.schedule.split():
            if word.endswith("!"):
                thread, count = word[:-1], str(FLUSH)
            else:
                thread, star, count = word.partition("*")
                count = count if star else "1"
            if not (thread.isdecimal() and count.isdecimal() and int(thread) < len(self.threads)):
                raise UsageError(
                    f"schedule: {word!r} is no turn of one of the {len(self.threads)} threads",
                    "a turn is written thread*accesses, such as 0*12",
                )
            found.append((int(thread), int(count)))
        return found

    def operations(self, thread: int) -> list[Operation]:
        """What a thread does."""
        return [Operation.parse(text) for text in self.threads[thread]]


def schedule_text(turns: list[Turn]) -> str:
    """A schedule as text; turns of the same thread in a row become one."""
    merged: list[list[int]] = []
    for thread, count in turns:
        if count != FLUSH and merged and merged[-1][0] == thread and merged[-1][1] != FLUSH:
            merged[-1][1] += count
        else:
            merged.append([thread, count])
    return " ".join(f"{thread}!" if count == FLUSH else f"{thread}*{count}" for thread, count in merged)


def place(counterexample: Counterexample, output: Path, first: bool = True) -> Path:
    """Where a counterexample is written.

    Args:
        counterexample: which.
        output: a folder, or a file (one that ends in .json) for the first of several; others go beside it.
        first: whether it is the first.
    """
    policy = re.sub(r"[^\w.-]+", "-", counterexample.policy)
    if output.suffix != ".json":
        return output / f"{policy}-{counterexample.law}.json"
    return output if first else output.with_name(f"{output.stem}-{policy}-{counterexample.law}.json")


def save(counterexample: Counterexample, path: str | os.PathLike[str]) -> None:
    """Write a counterexample, atomically.

    Raises:
        ResultFileError: the place cannot be written to.
    """
    document.save(counterexample, path)


def load(path: str | os.PathLike[str]) -> Counterexample:
    """Read a counterexample.

    Raises:
        ResultFileError: there is none, it is damaged, or its schema is newer.
    """
    return document.load(path, Counterexample, SCHEMA, "counterexample", "foliolab verify")
