"""A counterexample as a litmus test in herd7's C, for the Linux kernel memory model (`tools/memory-model`).

Each thread becomes a process that repeats its accesses on the path that it took. The condition `exists` names the
values that the threads read, so herd7 says whether the memory model allows what the counterexample shows. Left out are
locations that one thread alone uses or that nobody writes.

The path is straight: what a value decides in the source (a branch, another value) is not in the test. Where the model
allows the outcome of the test although the source has such a dependency, look at the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import UsageError
from foliolab.framework.escaping import line as one_line
from foliolab.framework.machine.primitives import EFFECTS
from foliolab.framework.report.interleaving import short_location
from foliolab.framework.verify.counterexample import MODELS
from foliolab.framework.verify.playback import Frame
from foliolab.framework.verify.timeline import Timeline

SUFFIX: Final = ".litmus"
LARGEST: Final = (1 << 62) - 1
"""herd7's integers have 63 bits."""
MOST_ACCESSES: Final = 200
"""Accesses of a test at most. herd7 needs hours for a few dozen already."""
_EFFECT: Final = {function.__name__: effect for function, effect in EFFECTS.items()}
_LOADS: Final = {
    "load": "*{x}", "READ_ONCE": "READ_ONCE(*{x})", "smp_load_acquire": "smp_load_acquire({x})",
    "atomic_read": "atomic_read({x})", "test_bit": "READ_ONCE(*{x})",
}  # fmt: skip
_STORES: Final = {
    "store": "*{x} = {new}", "WRITE_ONCE": "WRITE_ONCE(*{x}, {new})", "atomic_set": "atomic_set({x}, {new})",
    "smp_store_release": "smp_store_release({x}, {new})",
}  # fmt: skip
_SILENT: Final = {
    "atomic_add": "atomic_add({by}, {x})", "atomic_sub": "atomic_sub({less}, {x})", "atomic_inc": "atomic_inc({x})",
    "atomic_dec": "atomic_dec({x})", "set_bit": "atomic_or({mask}, {x})", "clear_bit": "atomic_andnot({mask}, {x})",
}  # fmt: skip
"""Atomic operations that return nothing, and order nothing."""
_RETURNS: Final = {
    "atomic_add_return": "atomic_add_return({by}, {x})", "atomic_sub_return": "atomic_sub_return({less}, {x})",
    "atomic_inc_return": "atomic_inc_return({x})", "atomic_dec_return": "atomic_dec_return({x})",
    "atomic_inc_and_test": "atomic_inc_return({x})", "atomic_dec_and_test": "atomic_dec_return({x})",
    "atomic_sub_and_test": "atomic_sub_return({less}, {x})", "atomic_add_negative": "atomic_add_return({by}, {x})",
}  # fmt: skip
"""What returns the new value. A test of it is as ordered as the value itself."""
_FETCHES: Final = {
    "atomic_fetch_add": "atomic_fetch_add({by}, {x})", "xchg": "xchg({x}, {new})",
    "cmpxchg": "cmpxchg({x}, {old}, {new})", "test_and_set_bit": "atomic_fetch_or({mask}, {x})",
    "test_and_clear_bit": "atomic_fetch_andnot({mask}, {x})",
    "test_and_set_bit_lock": "atomic_fetch_or_acquire({mask}, {x})",
    "clear_bit_unlock": "atomic_fetch_andnot_release({mask}, {x})",
}  # fmt: skip
"""What returns the old value."""


@dataclass
class _Location:
    """A location of the test: a field, or a part of one where fields overlap, since a location is accessed as a whole.

    Args:
        name: in the test.
        first, last: its bytes in the memory; `last` is the first one behind it.
        signed: whether its values are.
        atomic: whether an operation on atomic_t accesses it.
        threads, writers: those who access it, and who write it.
    """

    name: str
    first: int
    last: int
    signed: bool
    atomic: bool = False
    threads: set[int] = field(default_factory=set)
    writers: set[int] = field(default_factory=set)

    @property
    def shared(self) -> bool:
        """Whether several threads access it, and one of them writes."""
        return len(self.threads) > 1 and bool(self.writers)

    def held(self, machine: Machine) -> int:
        """The value that the location holds in a machine's memory."""
        data = machine.vm.buffer[self.first : self.last].tobytes()
        return int.from_bytes(data, "little", signed=self.signed)

    def part(self, frame: Frame, value: int) -> int:
        """What it holds if the field of an access, to which it belongs, holds `value`."""
        size = self.last - self.first
        found = value >> (self.first - frame.offset) * 8 & (1 << size * 8) - 1
        return found - (1 << size * 8) if self.signed and found >> (size * 8 - 1) else found


@dataclass
class _Process:
    """A process of the test, as it grows.

    Attributes:
        lines: its statements.
        values: those that its registers end with, in their order.
        locations: the names of those that it accesses.
    """

    lines: list[str] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    locations: list[str] = field(default_factory=list)

    def register(self, value: int) -> str:
        """A new register, which ends with a value."""
        self.values.append(value)
        return f"r{len(self.values) - 1}"


def litmus(timeline: Timeline, command: str) -> str:
    """The text of the litmus test.

    Args:
        timeline: the counterexample, played.
        command: the command that repeats it, for the head.

    Raises:
        UsageError: it has no threads, no location that threads share, or is too large.
    """
    if not timeline.threaded:
        raise UsageError(
            "a counterexample of operations one after another is no litmus test",
            "--litmus is for interleavings: those that the attack `explored` finds",
        )
    return _Test(timeline, command).text()


class _Test:
    def __init__(self, timeline: Timeline, command: str) -> None:
        self.timeline = timeline
        self.command = command
        self.first = next((step for step, frame in enumerate(timeline.frames) if frame.thread >= 0), 0)
        self.locations = [one for one in _locations(timeline.frames) if one.shared]
        self.processes = [_Process() for _ in timeline.counterexample.threads]
        self.barriers = list(timeline.playback.barriers)
        if not self.locations:
            raise UsageError("no location is shared by two threads", "there is nothing that a memory model could order")

    def text(self) -> str:
        """The text of the test: head, initial values, processes, condition."""
        initial = self._values(self.first - 1)
        self._follow()
        if (accesses := sum(len(one.lines) for one in self.processes)) > MOST_ACCESSES:
            raise UsageError(
                f"the test would have {accesses:,} accesses, and {MOST_ACCESSES} are allowed",
                "verify a smaller program: --program FILE",
            )
        held = "\n".join(f"\t{text};" for text in initial)
        processes = [self._process(number, one) for number, one in enumerate(self.processes)]
        return "\n\n".join([self._head(), f"{{\n{held}\n}}", *processes, self._exists()]) + "\n"

    def _values(self, step: int) -> list[str]:
        """What the locations hold after a step."""
        machine = self.timeline.at(step)
        return [f"{one.name}={_number(one.held(machine))}" for one in self.locations]

    def _follow(self) -> None:
        for step, frame in enumerate(self.timeline.frames):
            while self.barriers and self.barriers[0][1] <= step:
                thread, _, name = self.barriers.pop(0)
                self.processes[thread].lines.append(f"{name}();")
            if frame.thread >= 0 and frame.bits:
                self._access(frame)

    def _access(self, frame: Frame) -> None:
        process = self.processes[frame.thread]
        source = _comment(short_location(frame.location))
        for where in _touched(frame, [one for one in self.locations if _covers(frame, one)]):
            if where.name not in process.locations:
                process.locations.append(where.name)
            for statement in _statements(frame, where, process):
                process.lines.append(f"{statement}; // {source}")

    def _head(self) -> str:
        example = self.timeline.counterexample
        name = re.sub(r"[^0-9A-Za-z]+", "-", f"{example.policy}-{example.law}").strip("-")
        head = [
            f"{example.policy}: the law `{example.law}` is broken",
            *(f"thread {number}: {'; '.join(texts)}" for number, texts in enumerate(example.threads)),
            f"Found under {example.memory_model}: {MODELS[example.memory_model]}.",
            self.command,
            "The path of each thread in the counterexample; branches and the dependencies of values are left out.",
            "herd7 -conf linux-kernel.cfg THIS (tools/memory-model; atomic_or and its like need a recent one)",
        ]
        return "\n".join([f"C {name}", "", "(*", *(f" * {_comment(line)}" for line in head), " *)"])

    def _process(self, number: int, process: _Process) -> str:
        atomic = {one.name for one in self.locations if one.atomic}
        given = ", ".join(f"{'atomic_t' if name in atomic else 'int'} *{name}" for name in process.locations)
        registers = [f"int r{at};" for at in range(len(process.values))]
        return "\n".join([f"P{number}({given})", "{", *(f"\t{line}" for line in [*registers, *process.lines]), "}"])

    def _exists(self) -> str:
        read = [
            f"{number}:r{at}={_number(value)}"
            for number, process in enumerate(self.processes)
            for at, value in enumerate(process.values)
        ]
        final = self._values(len(self.timeline.frames) - 1)
        return "exists (" + " /\\\n\t".join([*read, *final]) + ")"


def _locations(frames: list[Frame]) -> list[_Location]:
    """The locations of all threads' accesses."""
    accesses = [frame for frame in frames if frame.thread >= 0 and frame.bits]
    fields = {(frame.offset, frame.offset + frame.bits // 8): frame for frame in accesses}
    ends = sorted({byte for pair in fields for byte in pair})
    found: list[_Location] = []
    for first, last in pairwise(ends):
        within = [frame for (begin, end), frame in fields.items() if begin <= first and last <= end]
        if within:
            narrowest = min(within, key=lambda one: one.bits)
            name = _identifier(narrowest.field) + (f"_{first}" if narrowest.offset != first else "")
            whole = narrowest.bits == (last - first) * 8
            while name in {one.name for one in found}:
                name += "_"
            found.append(_Location(name, first, last, narrowest.signed and whole))
    for frame in accesses:
        for one in _touched(frame, [one for one in found if _covers(frame, one)]):
            one.threads.add(frame.thread)
            one.writers |= {frame.thread} if _writes(frame.op) else set()
            one.atomic |= _EFFECT[frame.op] == "atomic" or frame.op.startswith("atomic_")
    return found


def _covers(frame: Frame, where: _Location) -> bool:
    """Whether a location is part of the field that is accessed."""
    return frame.offset <= where.first < frame.offset + frame.bits // 8


def _touched(frame: Frame, within: list[_Location]) -> list[_Location]:
    """Which locations of a field an access touches: all, or of an atomic operation the one that it changes.

    Raises:
        UsageError: an atomic operation changes several of them.
    """
    if len(within) < 2 or _EFFECT[frame.op] not in ("atomic", "update"):
        return within
    changed = [one for one in within if one.part(frame, frame.old) != one.part(frame, frame.new)]
    if len(changed) > 1:
        raise UsageError(
            f"{frame.op} at {short_location(frame.location)} changes fields that overlap, at once",
            "herd7 has no accesses to a part of a location",
        )
    return changed or within[:1]


def _writes(op: str) -> bool:
    return _EFFECT.get(op) not in ("load", "wait")


def _identifier(name: str) -> str:
    """A field's name as one of C."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")


def _statements(frame: Frame, where: _Location, process: _Process) -> Iterator[str]:
    """The statements of an access to a location; the process gets their registers."""
    op, x = frame.op, where.name
    before, after = where.part(frame, frame.old), where.part(frame, frame.new)
    given = {
        "x": x, "old": _number(before), "new": _number(after), "by": _number(after - before),
        "less": _number(before - after), "mask": _number(before ^ after),
    }  # fmt: skip
    if op in _LOADS:
        yield f"{process.register(before)} = " + _LOADS[op].format(**given)
    elif op in _SILENT:
        yield _SILENT[op].format(**given)
    elif op in _RETURNS:
        yield f"{process.register(after)} = " + _RETURNS[op].format(**given)
    elif op == "cmpxchg" and before == after:
        yield f"{process.register(before)} = READ_ONCE(*{x})"  # it failed, and a failed one orders nothing
    elif op in _FETCHES:
        yield f"{process.register(before)} = " + _FETCHES[op].format(**given)
    elif op == "__clear_bit_unlock":
        read = process.register(before)
        yield f"{read} = READ_ONCE(*{x})"
        yield f"smp_store_release({x}, {read} - {given['less']})"
    else:
        yield _STORES.get(op, _STORES["store"]).format(**given)


def _number(value: int) -> str:
    """A number of herd7's.

    Raises:
        UsageError: it has more than 62 bits.
    """
    if abs(value) > LARGEST:
        raise UsageError(
            f"a value of the counterexample, {value:#x}, needs more than the 62 bits that herd7 has",
            "--html or --mail shows it",
        )
    return str(value)


def _comment(text: str) -> str:
    found = one_line(text).encode("ascii", "replace").decode()
    return found.replace("(*", "( *").replace("*)", "* )")
