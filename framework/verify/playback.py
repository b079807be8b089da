"""A counterexample, repeated step by step on the interpreted engine: what the window and `foliolab step` show.

Nothing here knows how it was found. The laws are checked anew: a counterexample that does not break its law here
is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import entrypoints, fault
from foliolab.framework.engine.check import Violation, violations
from foliolab.framework.engine.machine import OUTCOMES, Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.structs import PG_anon_exclusive
from foliolab.framework.engine.truth import heads_of, scan
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.counterexample import FLUSH, Counterexample
from foliolab.framework.verify.field_names import name_of
from foliolab.framework.verify.laws import Watch, failure, spoils
from foliolab.framework.verify.scheduler import Access, Scheduler

STUCK: Final = 2000
"""Accesses that a thread may do after the schedule's end without coming to its own: more is no progress."""


@dataclass(frozen=True)
class Frame:
    """One step: an access, a whole operation of the set-up, or a store that leaves its buffer.

    Args:
        thread: whose; -1: the set-up.
        operation: the operation that it belongs to.
        op: the primitive, "" for a whole operation, "flush" for a store that takes effect.
        field: what was accessed, such as folio._mm_ids (see `naming.name_of`).
        old, new: its value before and after.
        location: file and line.
        mappings: PTEs and PMDs of the folio by MM, from the page tables.
        answer: what the operation answered, where it ended with this step.
    """

    thread: int
    operation: str
    op: str = ""
    field: str = ""
    old: int = 0
    new: int = 0
    location: str = ""
    mappings: tuple[int, ...] = ()
    answer: str = ""


SAID: Final = {True: "maybe shared", False: "exclusive", None: "no answer"}


@dataclass
class Playback:
    """A counterexample's timeline.

    Args:
        frames: its steps.
        violations: what broke, in the order it was found.
        states: the memory after each frame, as the bytes that differ from before: (offset, bytes).
    """

    frames: list[Frame] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    states: list[list[tuple[int, bytes]]] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    """Of threads: how many frames there were after each operation of the set-up, and after each turn."""


def counted(machine: Machine, folio: tuple[int, int]) -> Callable[[int], bool]:
    """Which accesses are steps of a schedule: those to the folio's struct pages and to page tables.

    What a thread does elsewhere (statistics of its CPU, its MM, the allocator, other folios) runs on with the step
    before it: nobody else looks there, or, as with the allocator's free lists, it is not what is examined.

    Args:
        machine: where.
        folio: (head, pages) of the folio that the threads share.

    Returns:
        whether an access at a byte offset counts.
    """
    stride = machine.layouts["page"].size
    pages = range(folio[0] * stride, (folio[0] + folio[1]) * stride)
    tables = range(machine.map.pgds[0], machine.map.scratch)
    return lambda offset: offset in pages or offset in tables


def play(counterexample: Counterexample, scheme: Scheme) -> Playback:
    """Repeat a counterexample.

    Raises:
        UsageError: the file names operations or turns that there are not.
        ModelError: the modelled kernel refuses one of its operations.
    """
    machine = counterexample.machine(scheme)
    player = _Sequence(machine) if len(counterexample.threads) == 1 and not counterexample.schedule else None
    if player is not None:
        return player.run(counterexample)
    return _Threads(machine, counterexample).run()


def confirm(counterexample: Counterexample, scheme: Scheme) -> bool:
    """Whether the law that it says is broken breaks when the interpreted engine repeats it."""
    try:
        if len(counterexample.threads) == 1 and not counterexample.schedule:
            found = _Sequence(counterexample.machine(scheme)).violations(counterexample)
        else:
            found = play(counterexample, scheme).violations
    except FolioLabError:
        return False
    return any(one.law == counterexample.law for one in found)


class _Recorder:
    """Keeps a frame and the changed bytes of each step."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.playback = Playback()
        self.touched: set[int] = set()
        """Words of 64 bits that were accessed since the last frame."""
        self._before = machine.snapshot()

    def frame(self, frame: Frame, hasty: bool = False) -> None:
        """A step; `hasty`: nothing but what was touched since the last one can have changed."""
        now = self.machine.vm.buffer
        old, new = self._before.view(np.uint64), now.view(np.uint64)
        words = [word for word in self.touched if old[word] != new[word]] if hasty else np.flatnonzero(old != new)
        self.touched.clear()
        changed = [(int(word) * 8, now[word * 8 : word * 8 + 8].tobytes()) for word in words]
        for word in words:
            self._before[word * 8 : word * 8 + 8] = now[word * 8 : word * 8 + 8]
        self.playback.frames.append(frame)
        self.playback.states.append(changed)

    def mappings(self, head: int, pages: int) -> tuple[int, ...]:
        """PTEs and PMDs by MM that map a folio."""
        found = []
        for mm in range(self.machine.shape.nr_mms):
            table, huge = self.machine.ptes(mm), self.machine.pmds(mm)
            frames = (table[(table & np.uint64(1)) != 0] >> np.uint64(12)).astype(np.int64)
            heads = (huge[huge != 0] >> np.uint64(12)).astype(np.int64)
            found.append(int(((frames >= head) & (frames < head + pages)).sum() + (heads == head).sum()))
        return tuple(found)


class _Watch(Watch):
    """A watch that says when it looks itself: those accesses are not the operation's."""

    looking = False

    def _look(self) -> list[Violation]:
        self.looking = True
        try:
            return super()._look()
        finally:
            self.looking = False


class _Sequence:
    """One thread: whole operations, one after the other, every law after each."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.recorder = _Recorder(machine)
        self.watch = _Watch(machine)

    def run(self, counterexample: Counterexample) -> Playback:
        watch = self.watch
        recorder = self.recorder
        setup = [Operation.parse(text) for text in counterexample.setup]
        for number, operation in enumerate([*setup, *counterexample.operations(0)]):
            now = partial(self._access, str(operation), -1 if number < len(setup) else 0)
            self.machine.vm.observer = _Observer(now)
            try:
                broken = watch.apply(operation)
            finally:
                self.machine.vm.observer = None
            recorder.playback.violations += broken
            recorder.frame(self._whole(operation, -1 if number < len(setup) else 0))
            if _ends(counterexample, broken):
                break
        return recorder.playback

    def violations(self, counterexample: Counterexample) -> list[Violation]:
        """What breaks, without a record of how."""
        found: list[Violation] = []
        for text in [*counterexample.setup, *counterexample.threads[0]]:
            broken = self.watch.apply(Operation.parse(text))
            found += broken
            if _ends(counterexample, broken):
                break
        return found

    def _whole(self, operation: Operation, thread: int) -> Frame:
        truth = scan(self.machine)
        folios = [int(head) for head in truth.folios() if truth.nr_pages_of[head] > 1]
        mappings = tuple(int(n) for n in truth.mappings[:, folios].sum(axis=1)) if folios else ()
        answers = ", ".join(f"folio {head}: {SAID[self.watch.shared(head)]}" for head in folios[:3])
        return Frame(thread, str(operation), mappings=mappings, answer=answers)

    def _access(self, operation: str, thread: int, access: Access) -> None:
        """Accesses to the policy's own fields are steps of their own, so that one can look inside an operation."""
        if access.ref.owner in ("folio", "page") and not self.watch.looking:
            name = name_of(self.machine, access.ref)
            frame = Frame(thread, operation, access.op, name, access.old, access.new, access.location)
            self.recorder.frame(frame, hasty=True)
        self.recorder.touched.add(access.ref.off // 8)  # it has its effect after this


def _ends(counterexample: Counterexample, broken: list[Violation]) -> bool:
    """Whether a sequence has shown what it is to show, or can no longer."""
    return any(one.law == counterexample.law for one in broken) or spoils(broken)


class _Observer:
    """Tells of each access of a sequence."""

    def __init__(self, seen: Callable[[Access], None]) -> None:
        self.seen = seen

    def access(self, op: str, ref: Any, old: int, new: int) -> None:
        """See `machine.memory.Observer`."""
        from foliolab.framework.verify.scheduler import location

        self.seen(Access(0, op, ref, old, new, location()))


def folio_of_interest(machine: Machine) -> tuple[int, int]:
    """(head, pages) of the first large folio in use: the one that threads share."""
    _, nr_pages_of = heads_of(machine)
    large = np.flatnonzero(nr_pages_of > 1)
    head = int(large[0]) if large.size else 0
    return head, int(max(nr_pages_of[head], 1))


@dataclass
class _Question:
    """A lock-less question or a write fault that is being answered.

    Args:
        folio: (head, pages).
        mm: who writes; -1 for a question.
        alone: whether at some moment so far at most one MM mapped the folio.
        free: whether at some moment so far nobody held another reference.
    """

    folio: tuple[int, int]
    mm: int
    alone: bool = False
    free: bool = False


class _Threads:
    """Several threads under a schedule of accesses."""

    def __init__(self, machine: Machine, counterexample: Counterexample) -> None:
        self.machine = machine
        self.counterexample = counterexample
        self.recorder = _Recorder(machine)
        self.playback = self.recorder.playback
        self.doing = [""] * len(counterexample.threads)
        self.questions: dict[int, _Question] = {}
        self.held: dict[int, int] = {}
        """References that finished operations took, by the folio's head."""
        self.waiting: dict[int, tuple[Operation, _Question | None]] = {}
        """Operations whose first access is still to come, with what they ask."""
        self.folio = (0, 1)

    def run(self) -> Playback:
        for text in self.counterexample.setup:
            operation = Operation.parse(text)
            answer = self.machine.apply(operation)
            self._hold(operation, before=False)
            self.recorder.frame(Frame(-1, text, answer="" if answer is None else str(answer)))
            self.playback.turns.append(len(self.playback.frames))
        self.folio = folio_of_interest(self.machine)
        self.steps = counted(self.machine, self.folio)
        self.scheduler = Scheduler(self.machine.vm, self.steps, self.counterexample.memory_model, self._seen)
        threads = range(len(self.counterexample.threads))
        try:
            self.scheduler.start([partial(self._thread, number) for number in threads])
            for thread, count in self.counterexample.turns:
                self._turn(thread, count)
                self.playback.turns.append(len(self.playback.frames))
            self._finish()
        finally:
            self.scheduler.close()
        for thread, cause in sorted(self.scheduler.faults.items()):
            self.playback.violations.append(_violation_of(thread, cause))
        if not self.playback.violations:
            self.playback.violations += violations(self.machine)
        return self.playback

    def _turn(self, thread: int, count: int) -> None:
        if count != FLUSH:
            self.scheduler.advance(thread, count)
        elif self.scheduler.flush(thread):
            self.recorder.frame(Frame(thread, self.doing[thread], "flush", mappings=self._now()))

    def _finish(self) -> None:
        """Let everybody come to an end, in turn; what keeps somebody from it is a violation."""
        scheduler, threads = self.scheduler, range(len(self.counterexample.threads))
        if self.playback.violations:
            return
        before: list[bytes] = []
        while (waiting := [t for t in threads if t not in scheduler.done]) and self._moved(before):
            for thread in waiting:
                while scheduler.flush(thread):
                    pass
                scheduler.advance(thread, STUCK)
            if any(t not in scheduler.done and t not in scheduler.waits for t in waiting):
                message = f"somebody does not end within {STUCK} accesses"
                self.playback.violations.append(Violation("termination", message))
                return
        if waiting:
            locks = "; ".join(f"thread {t} waits for {lock}" for t, lock in sorted(scheduler.waits.items()))
            self.playback.violations.append(Violation("deadlock", f"nobody can go on: {locks}"))

    def _moved(self, before: list[bytes]) -> bool:
        """Whether memory is another one than when this was asked last: who waits for a lock only looks."""
        now = self.machine.vm.buffer.tobytes()
        moved = before != [now]
        before[:] = [now]
        return moved

    # -- in the threads ----------------------------------------------------------------------------------
    def _thread(self, number: int) -> None:
        machine = self.machine
        for text in self.counterexample.threads[number]:
            operation = Operation.parse(text)
            self.doing[number] = text
            answers = []
            self.waiting[number] = operation, self._question(operation)
            machine.cpu = number  # nobody else runs until the next access
            for function, numbers in machine.bind_operation(operation).entries:
                memories = [machine.vm, machine.contents][: entrypoints.KERNELS[function].count("m")]
                answers.append(function(*memories, *numbers))
            self._begin(number)
            self._answered(number, operation, answers)
            if self.scheduler.locks[number]:
                self.scheduler.locks[number].clear()
                message = f"thread {number}: an operation ends with a lock still held"
                self.playback.violations.append(Violation("lost-lock", message))
            self._hold(operation, before=False)
            self.scheduler.settle()
            told = _answer_text(operation, answers)
            self.recorder.frame(Frame(number, text, mappings=self._now(), answer=told))

    def _hold(self, operation: Operation, before: bool) -> None:
        """References that a thread holds for certain: taken by what has ended, not given back by what has begun."""
        sign = {"get_user": 1, "pin": 1, "put_user": -1, "unpin": -1}.get(operation.name, 0)
        if sign and before == (sign < 0):
            head = self.folio[0]
            self.held[head] = self.held.get(head, 0) + sign * operation.get("nr", 1)

    def _question(self, operation: Operation) -> _Question | None:
        """What an operation asks."""
        if operation.name == "maybe_shared":
            return _Question(self.folio, -1)
        if operation.name == "write":
            frame = self.machine.frame(operation.get("mm"), operation.get("start"))
            head, pages = self.folio
            exclusive = frame >= 0 and int(self.machine.column("page", "flags")[frame]) >> PG_anon_exclusive & 1
            if head <= frame < head + pages and not exclusive:
                return _Question(self.folio, operation.get("mm"))
        return None

    def _begin(self, number: int) -> None:
        """A thread's operation begins with its first access that counts: before, it has looked at nothing."""
        if number in self.waiting:
            operation, question = self.waiting.pop(number)
            self._hold(operation, before=True)
            if question is not None:
                self.questions[number] = question

    def _answered(self, number: int, operation: Operation, answers: list[int]) -> None:
        question = self.questions.pop(number, None)
        if question is None:
            return
        head, _ = question.folio
        self._witness(question)
        if operation.name == "maybe_shared" and not answers[-1] and not question.alone:
            message = f"thread {number}: folio {head} is called exclusive while several MMs map it all the time"
            self.playback.violations.append(Violation("safe", message, "safe"))
        if operation.name == "write" and answers[-1] & 7 == fault.REUSED:
            others = [mm for mm, n in enumerate(self._now()) if n and mm != question.mm]
            who = f"thread {number}: MM {question.mm} reuses page {operation.get('start')} of folio {head}"
            if others:
                self.playback.violations.append(Violation("reuse", f"{who}, which MM {others[0]} maps", "reuse"))
            elif not question.free:
                message = f"{who}, to which somebody holds a reference all the time"
                self.playback.violations.append(Violation("reuse", message, "reuse"))

    # -- after each access -------------------------------------------------------------------------------
    def _now(self) -> tuple[int, ...]:
        return self.recorder.mappings(*self.folio)

    def _witness(self, question: _Question) -> None:
        question.alone |= sum(n > 0 for n in self._now()) <= 1
        question.free |= not self.held.get(question.folio[0])

    def _seen(self, access: Access) -> None:
        if self.steps(access.ref.off):
            self._begin(access.thread)
        name = name_of(self.machine, access.ref, self.folio)
        mappings = self._now()
        operation = self.doing[access.thread]
        self.recorder.frame(
            Frame(access.thread, operation, access.op, name, access.old, access.new, access.location, mappings)
        )
        for question in self.questions.values():
            self._witness(question)


def _answer_text(operation: Operation, answers: list[int]) -> str:
    """What an operation of a thread answered, as far as its caller decides by it."""
    if operation.name == "maybe_shared":
        return "maybe shared" if answers[-1] else "exclusive"
    if operation.name == "write":
        return OUTCOMES.get(answers[-1] & 7, "not mapped")
    return "done"


def _violation_of(thread: int, cause: BaseException) -> Violation:
    """What a thread's end by an exception says."""
    broken = failure(cause)
    return Violation(broken.law, f"thread {thread}: {broken}", broken.claim)
