"""Why a policy answers as it does: what its text reads for the answer, line by line, and which step changed that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework import engine
from foliolab.framework.explore.accesses import Access, location_of_reader
from foliolab.framework.verify.field_names import bits_of, field_of, name_of, value_text

if TYPE_CHECKING:
    from foliolab.framework.engine.machine import Machine
    from foliolab.framework.explore.lane import Lane
    from foliolab.framework.machine.ref import Ref
    from foliolab.framework.verify.timeline import Timeline

Place = tuple[int, int]
"""Bytes of a machine's memory: the first one, and how many."""
FOLDED: Final = 4
"""Reads by one line from which they are one reason: a loop over counters or page tables."""
FEW_BITS: Final = 3
"""Named bits of a field that are all shown; of more only those that are set."""
FIRST_WINDOW: Final = 64
"""Steps that are searched first for a change."""
WIDER: Final = 4
"""How much longer each further stretch of steps is."""
_ENGINE: Final = str(Path(engine.__file__).parent)


@dataclass(frozen=True)
class Reason:
    """What one line of the policy's text read.

    Args:
        access: the read; the last one if the line read several times.
        count: how many reads.
    """

    access: Access
    count: int = 1

    @property
    def text(self) -> str:
        """What was read, such as `_mm_ids: shared = 1`, or `16 × READ_ONCE of _owners`."""
        name = self.access.field.partition(".")[2] or self.access.field
        if self.count > 1:
            return f"{self.count} × {self.access.op} of {name.partition('[')[0]}"
        stored = self.access.stored
        if stored is None or not stored.bits:
            return f"{name} = {value_text(self.access.field, self.access.old, stored)}"
        values = [(bits.name, bits_of(self.access.old, bits)) for bits in stored.bits]
        shown = values if len(values) <= FEW_BITS else [one for one in values if one[1]]
        return f"{name}: {', '.join(f'{bit} = {value}' for bit, value in shown) or '0'}"


@dataclass(frozen=True)
class Answer:
    """A policy's answer with its reasons.

    Args:
        shared: whether it says maybe shared; None if it has no answer.
        reasons: in the order of the reads.
    """

    shared: bool | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass
class _Reader:
    """An observer of memory that records what is read."""

    machine: Machine
    folio: tuple[int, int]
    found: list[Access] = field(default_factory=list)

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """See `machine.memory.Observer`."""
        location = location_of_reader()
        name = name_of(self.machine, ref, self.folio)
        stored = field_of(self.machine.scheme, name)
        self.found.append(Access(op, name, old, new, *location, -1, ref.off, ref.ctype.bytes, stored))


def answer_of(machine: Machine, head: int, pages: int) -> Answer:
    """Ask a policy about a folio on the interpreted engine, in the machine's memory, which stays as it is.

    Args:
        machine: the policy's machine, native or interpreted.
        head, pages: the folio's first frame, and how many it has.
    """
    reader = _Reader(machine, (head, pages))
    kept = machine.vm.observer
    machine.vm.observer = reader
    try:
        shared = machine.with_execution("interpreted").maybe_shared(head)
    except Exception:  # whatever a policy's own code raises, for example because a lock is held
        return Answer()
    finally:
        machine.vm.observer = kept
    return Answer(shared, _folded(reader.found))


def _folded(found: list[Access]) -> tuple[Reason, ...]:
    """The reads of the policy's own text, or else of the engine's; those of a loop together."""
    own = [access for access in found if not access.file.startswith(_ENGINE)] or found
    reasons: list[Reason] = []
    for _, group in groupby(own, key=lambda access: (access.file, access.line)):
        line = list(group)
        reasons += [Reason(line[-1], len(line))] if len(line) >= FOLDED else [Reason(access) for access in line]
    return tuple(reasons)


def last_change(lane: Lane, place: Place, stop: Callable[[], bool]) -> int | None:
    """The last step before the present one that changed bytes of memory; the lane is as it was afterwards.

    Args:
        lane: the lane.
        place: the bytes.
        stop: called now and then; if it returns True, the search ends.

    Returns:
        the number of the step; None if none changed it, or the search ended before.
    """
    here, end = lane.position, lane.position - 1
    kept = lane.take_wrongs()
    width, found = FIRST_WINDOW, None
    try:
        while end > 0 and found is None and not stop():
            begin = max(end - width, 0)
            found = _last_change_within(lane, place, begin, end, stop)
            end, width = begin, width * WIDER
    finally:
        lane.goto(here)
        lane.take_wrongs()
        lane.put_back(kept)
    return found


def _last_change_within(lane: Lane, place: Place, begin: int, end: int, stop: Callable[[], bool]) -> int | None:
    """The last of the steps begin…end-1 that changed bytes of memory."""
    assert lane.machine is not None
    buffer, (first, nr) = lane.machine.vm.buffer, place
    lane.goto(begin)
    before, found = bytes(buffer[first : first + nr]), None
    for step in range(begin, end):
        lane.run(step + 1)
        if step % 256 == 0 and stop():
            return None
        now = bytes(buffer[first : first + nr])
        if now != before:
            before, found = now, step
    return found


def last_change_in(timeline: Timeline, place: Place, before: int) -> int | None:
    """The last step of a counterexample before a given one that changed bytes of memory; None if none did."""
    first, nr = place
    for step in range(before - 1, -1, -1):
        for offset, data in timeline.playback.states[step]:
            if offset < first + nr and first < offset + len(data):
                return step
    return None
