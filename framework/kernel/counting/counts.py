"""Counts of the functions of a kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import msgspec

from foliolab.framework.document import Count


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was executed in kernel mode.

    Attributes:
        instructions: a repeated string instruction counts once.
        locked: those of them with a LOCK prefix, and xchg with memory.
        loads, stores: accesses of instructions other than repeated string instructions.
        string_loaded, string_stored: bytes, by repeated string instructions.
        near, far: lines of 64 bytes that a simulated L1 did not have; near: L2 had them, or its streamer had brought
            them (`caches.h`). Without those of repeated string instructions.
    """

    instructions: Count = 0
    locked: Count = 0
    loads: Count = 0
    stores: Count = 0
    string_loaded: Count = 0
    string_stored: Count = 0
    near: Count = 0
    far: Count = 0

    @property
    def executed(self) -> Self:
        """What was executed, without the lines of the simulated cache: these depend on addresses."""
        return msgspec.structs.replace(self, near=0, far=0)

    def __add__(self, other: Self) -> Counts:
        mine, its = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Counts(*(one + another for one, another in zip(mine, its, strict=True)))


Functions = Mapping[str, Counts]
"""Counts by the kernel's function."""


def total(counts: Iterable[Counts]) -> Counts:
    """The counts of several plays or functions, added."""
    return sum(counts, start=Counts())
