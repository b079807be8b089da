"""The timeline of a counterexample: its steps, and the machine's state after each."""

from __future__ import annotations

import linecache
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import heads_of, scan
from foliolab.framework.machine.layout import CTYPES, Field
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.playback import Frame, Playback, folio_of_interest, play

MOST_ELEMENTS: Final = 64
"""Of an array with more elements than this, only those that differ from their initial value are listed."""


@dataclass(frozen=True)
class Value:
    """One element of a field of the policy.

    Args:
        name: as `field_names.name_of` writes it.
        value: what is stored there.
    """

    name: str
    value: int
    stored: Stored


@dataclass(frozen=True)
class Change:
    """An element of a field of the policy that changed.

    Args:
        name: as `field_names.name_of` writes it.
        old, new: before and after.
    """

    name: str
    old: int
    new: int
    stored: Stored


class Timeline:
    """A counterexample after it was played, for access to every step. Step -1 is the initial state.

    Attributes:
        folio: (head, pages) of the folio that the threads share; its fields are named without a frame number.

    Raises:
        UsageError: the counterexample names an operation or a thread that does not exist.
        ModelError: the modelled kernel refuses an operation.
    """

    def __init__(self, counterexample: Counterexample, scheme: Scheme) -> None:
        self.counterexample = counterexample
        self.scheme = scheme
        self.playback: Playback = play(counterexample, scheme)
        self.machine: Machine = counterexample.machine(scheme)
        self._start = self.machine.snapshot()
        self._step = -1
        self._values: dict[int, dict[str, Value]] = {}
        self.folio = (-1, 0)
        if self.threaded:
            self.folio = folio_of_interest(self.at(min(len(counterexample.setup), len(self.frames)) - 1))

    @property
    def threaded(self) -> bool:
        """Whether the counterexample is a schedule of accesses, not a sequence of whole operations."""
        return len(self.counterexample.threads) > 1 or bool(self.counterexample.schedule)

    @property
    def frames(self) -> list[Frame]:
        return self.playback.frames

    @property
    def breaks(self) -> bool:
        return any(one.law == self.counterexample.law for one in self.playback.violations)

    def at(self, step: int) -> Machine:
        """The machine in its state after a step. Every call returns the same object."""
        if step < self._step:
            self.machine.restore(self._start)
            self._step = -1
        buffer = self.machine.vm.buffer
        for changed in self.playback.states[self._step + 1 : step + 1]:
            for offset, data in changed:
                buffer[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        self._step = max(step, -1)
        return self.machine

    def values(self, step: int) -> dict[str, Value]:
        """The policy's fields of every large folio in use, of its pages and of every MM, by name."""
        if step not in self._values:
            self._values[step] = values_of(self.at(step), self.folio)
        return self._values[step]

    def changes(self, first: int, last: int) -> list[Change]:
        """The elements of the policy's fields that differ between the state before `first` and that after `last`.

        The fields of a new folio are compared with their initial values.
        """
        before, after = self.values(first - 1), self.values(last)
        found = []
        for name, now in after.items():
            init = now.stored.init
            old = before[name].value if name in before else now.value if init is None else init
            if old != now.value:
                found.append(Change(name, old, now.value, now.stored))
        for name, then in before.items():
            if name not in after and then.stored.count > MOST_ELEMENTS and then.stored.init is not None:
                found.append(Change(name, then.value, then.stored.init, then.stored))
        return found

    def mappings(self, step: int) -> dict[int, tuple[int, ...]]:
        """For each large folio mapped after a step, by head: the number of PTEs and PMDs that map it, by MM."""
        truth = scan(self.at(step))
        heads = [int(head) for head in truth.folios() if truth.nr_pages_of[head] > 1]
        return {head: tuple(int(count) for count in truth.mappings[:, head]) for head in heads}

    def source(self, step: int) -> str:
        file, _, line = self.frames[step].location.rpartition(":")
        return linecache.getline(file, int(line)).strip() if line.isdecimal() else ""


def values_of(machine: Machine, folio: tuple[int, int] = (-1, 0), only: Collection[int] = ()) -> dict[str, Value]:
    """The policy's fields of large folios in use, of their pages and of every MM, by name.

    Args:
        machine: in the state to look at.
        folio: (head, pages) of the folio that is named without its frame number.
        only: the heads of the folios to look at; all of them if empty.
    """
    heads, nr_pages_of = heads_of(machine)
    large = np.flatnonzero(nr_pages_of > 1)
    large = large[np.isin(large, list(only))] if only else large
    layouts, stride = machine.layouts, machine.layouts["page"].size
    found: list[Value] = []
    for stored in machine.scheme.fields:
        if stored.overlays:
            continue  # another view of bytes that are listed already
        field = layouts[stored.per].by_name[stored.name]
        if stored.per == "mm":
            for mm, start in enumerate(machine.map.mms):
                if machine.is_alive(mm):
                    found += _elements(machine, f"mm{mm}", start, field, stored)
        elif stored.per == "folio":
            for head in large[nr_pages_of[large] > stored.page].tolist():
                owner = "folio" if head == folio[0] else f"folio{head}"
                found += _elements(machine, owner, head * stride, field, stored)
        else:
            for frame in np.flatnonzero(np.isin(heads, large)).tolist():
                inside = folio[0] <= frame < folio[0] + folio[1]
                owner = f"page[{frame - folio[0]}]" if inside else f"frame{frame}"
                found += _elements(machine, owner, frame * stride, field, stored)
    return {value.name: value for value in found}


def _elements(machine: Machine, owner: str, start: int, field: Field, stored: Stored) -> list[Value]:
    """The elements of a field of one object (see MOST_ELEMENTS)."""
    code = CTYPES[stored.ctype]
    raw = machine.vm.raw[code.code]
    first = (start + field.offset) // code.bytes
    return [
        Value(f"{owner}.{stored.name}{f'[{i}]' if stored.count > 1 else ''}", int(raw[first + i]), stored)
        for i in range(stored.count)
        if stored.count <= MOST_ELEMENTS or raw[first + i] != stored.init
    ]
