"""Repeats a counterexample step by step on the interpreted engine, and checks the laws independently of the attack.

The window and `foliolab step` show the result. A refutation counts only if its law breaks here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import fault
from foliolab.framework.engine.check import MANY_OWNERS, Violation, unmarked, violations
from foliolab.framework.engine.machine import OUTCOMES, Machine
from foliolab.framework.engine.operation import Operation, several_mms
from foliolab.framework.engine.structs import PG_anon_exclusive
from foliolab.framework.engine.truth import heads_of, scan
from foliolab.framework.errors import FolioLabError
from foliolab.framework.machine.primitives import BARRIERS, pfn_folio
from foliolab.framework.verify.counterexample import Counterexample, Turn
from foliolab.framework.verify.field_names import name_of
from foliolab.framework.verify.laws import Watch, failure, spoils
from foliolab.framework.verify.scheduler import Access, Scheduler

MOST_AFTERWARDS: Final = 2000
"""Accesses that a thread may do after the end of the schedule. A thread that does more counts as endless."""


@dataclass(frozen=True)
class Frame:
    """One step: an access, a whole operation, or a store that leaves its store buffer.

    Args:
        thread: the thread; -1 for the set-up.
        operation: the operation that the step belongs to.
        op: the primitive; "" for a whole operation; "flush" for a store that takes effect.
        field: the accessed field, such as folio._mm_ids (see `field_names.name_of`).
        old, new: the field's value before and after.
        location: file and line of the access.
        mappings: the number of PTEs and PMDs that map the folio, by MM, from the page tables.
        answer: the operation's result, if the operation ends with this step.
        offset, bits: of the accessed field: its first byte in the memory, and its width; -1 and 0 without one.
        signed: whether the field's values are.
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
    offset: int = -1
    bits: int = 0
    signed: bool = False


ANSWERS: Final = {True: "maybe shared", False: "exclusive", None: "no answer"}


@dataclass
class Playback:
    """The result of playing a counterexample.

    Args:
        violations: in the order in which they were found.
        states: for each step the bytes of memory that it changed: (offset, bytes).
        turns: of threads: the number of frames after each operation of the set-up, and after each turn.
        barriers: of threads: (thread, its frames so far, primitive) of each barrier, which is no step.
    """

    frames: list[Frame] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    states: list[list[tuple[int, bytes]]] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    barriers: list[tuple[int, int, str]] = field(default_factory=list)


def struct_pages(machine: Machine, folio: tuple[int, int]) -> range:
    """The bytes of a folio's struct pages. `folio`: its head and its number of pages."""
    stride = machine.layouts["page"].size
    return range(folio[0] * stride, (folio[0] + folio[1]) * stride)


def counted(machine: Machine, folio: tuple[int, int]) -> Callable[[int], bool]:
    """Which accesses are steps of a schedule: those to the folio's struct pages and to page tables.

    Other accesses (to statistics of the CPU, the MM, the allocator, other folios) belong to the step before them. No
    other thread reads that memory, except the allocator's free lists, which the verifier does not examine.

    Args:
        folio: (head, pages) of the folio that the threads share.

    Returns:
        a predicate: whether an access at a byte offset counts.
    """
    pages = struct_pages(machine, folio)
    tables = range(machine.map.pgds[0], machine.map.scratch)
    return lambda offset: offset in pages or offset in tables


def play(counterexample: Counterexample, scheme: Scheme) -> Playback:
    """Play a counterexample.

    Raises:
        UsageError: the counterexample names an operation or a thread that does not exist.
        ModelError: the modelled kernel refuses an operation.
    """
    machine = counterexample.machine(scheme)
    player = _SequencePlayer(machine) if len(counterexample.threads) == 1 and not counterexample.schedule else None
    if player is not None:
        return player.run(counterexample)
    played = _SchedulePlayer(machine, counterexample).run()
    if counterexample.scenario:
        from foliolab.framework.verify.interleavings import broken_expectations

        played.violations += broken_expectations(counterexample, scheme)
    return played


def confirm(counterexample: Counterexample, scheme: Scheme) -> bool:
    """Whether the law that a counterexample names breaks when the interpreted engine plays it."""
    try:
        if len(counterexample.threads) == 1 and not counterexample.schedule:
            found = _SequencePlayer(counterexample.machine(scheme)).violations(counterexample)
        else:
            found = play(counterexample, scheme).violations
    except FolioLabError:
        return False
    return any(one.law == counterexample.law for one in found)


class _Recorder:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.playback = Playback()
        self.touched: set[int] = set()
        """Indexes of the 64-bit words that were accessed since the last frame."""
        self._before = machine.snapshot()

    def frame(self, frame: Frame, touched_only: bool = False) -> None:
        """Record a step. `touched_only`: compare only the touched words with the state before."""
        now = self.machine.vm.buffer
        old, new = self._before.view(np.uint64), now.view(np.uint64)
        words = (
            [word for word in self.touched if old[word] != new[word]] if touched_only else np.flatnonzero(old != new)
        )
        self.touched.clear()
        changed = [(int(word) * 8, now[word * 8 : word * 8 + 8].tobytes()) for word in words]
        for word in words:
            self._before[word * 8 : word * 8 + 8] = now[word * 8 : word * 8 + 8]
        self.playback.frames.append(frame)
        self.playback.states.append(changed)

    def mappings(self, head: int, pages: int) -> tuple[int, ...]:
        """The number of PTEs and PMDs that map a folio, by MM."""
        found = []
        for mm in range(self.machine.shape.nr_mms):
            table, huge = self.machine.ptes(mm), self.machine.pmds(mm)
            frames = (table[(table & np.uint64(1)) != 0] >> np.uint64(12)).astype(np.int64)
            heads = (huge[huge != 0] >> np.uint64(12)).astype(np.int64)
            found.append(int(((frames >= head) & (frames < head + pages)).sum() + (heads == head).sum()))
        return tuple(found)


class _Watch(Watch):
    """A watch that marks its own accesses (`looking`), so that they are not recorded."""

    looking = False

    def _look(self) -> list[Violation]:
        self.looking = True
        try:
            return super()._look()
        finally:
            self.looking = False


class _SequencePlayer:
    """Plays a single thread: whole operations, with every law checked after each."""

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
        """The violations, without a recording."""
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
        answers = ", ".join(f"folio {head}: {ANSWERS[self.watch.shared(head)]}" for head in folios[:3])
        return Frame(thread, str(operation), mappings=mappings, answer=answers)

    def _access(self, operation: str, thread: int, access: Access) -> None:
        """Record an access to a field of the policy as a step of its own, so that operations can be inspected."""
        if access.ref.owner in ("folio", "page") and not self.watch.looking:
            name = name_of(self.machine, access.ref)
            frame = Frame(thread, operation, access.op, name, access.old, access.new, access.location)
            self.recorder.frame(frame, touched_only=True)
        self.recorder.touched.add(access.ref.off // 8)  # the access takes effect after this call


def _ends(counterexample: Counterexample, broken: list[Violation]) -> bool:
    """Whether a sequence has broken its law, or cannot break it any more."""
    return any(one.law == counterexample.law for one in broken) or spoils(broken)


class _Observer:
    def __init__(self, seen: Callable[[Access], None]) -> None:
        self.seen = seen

    def access(self, op: str, ref: Any, old: int, new: int) -> None:
        from foliolab.framework.verify.scheduler import location

        self.seen(Access(0, op, ref, old, new, location()))


def folio_of_interest(machine: Machine) -> tuple[int, int]:
    """(head, pages) of the first large folio in use, which is the one that the threads share."""
    _, nr_pages_of = heads_of(machine)
    large = np.flatnonzero(nr_pages_of > 1)
    head = int(large[0]) if large.size else 0
    return head, int(max(nr_pages_of[head], 1))


@dataclass
class _Question:
    """A lockless query (`maybe_shared`) or a write fault in progress.

    Its answer is wrong only if it was wrong at every moment between its begin and its end.

    Args:
        folio: (head, pages).
        mm: the writing MM; -1 for a query.
        alone: whether at most one MM mapped the folio at some moment so far.
        free: whether at some moment so far at most one MM mapped the folio, and every reference was a mapping.
    """

    folio: tuple[int, int]
    mm: int
    alone: bool = False
    free: bool = False


class _SchedulePlayer:
    """Plays several threads under a schedule of accesses."""

    def __init__(self, machine: Machine, counterexample: Counterexample) -> None:
        self.machine = machine
        self.counterexample = counterexample
        self.recorder = _Recorder(machine)
        self.playback = self.recorder.playback
        self.doing = [""] * len(counterexample.threads)
        self.questions: dict[int, _Question] = {}
        self.waiting: dict[int, _Question] = {}
        """The questions of operations before their first counted access."""
        self.folio = (0, 1)
        self.most_owners = 0
        """The most MMs that mapped the folio at a time, since it was last unmapped."""

    def run(self) -> Playback:
        for text in self.counterexample.setup:
            operation = Operation.parse(text)
            answer = self.machine.apply(operation)
            self.folio = folio_of_interest(self.machine)
            self._now()
            self.recorder.frame(Frame(-1, text, answer="" if answer is None else str(answer)))
            self.playback.turns.append(len(self.playback.frames))
        self.steps = counted(self.machine, self.folio)
        threads = range(len(self.counterexample.threads))
        self.machine.several = several_mms([self.counterexample.operations(t) for t in threads])
        weak = struct_pages(self.machine, self.folio)
        self.scheduler = Scheduler(self.machine.vm, self.steps, self.counterexample.memory_model, self._seen, weak)
        BARRIERS.observer = self._barrier
        try:
            self.scheduler.start([partial(self._thread, number) for number in threads])
            for turn in self.counterexample.turns:
                self._turn(turn)
                self.playback.turns.append(len(self.playback.frames))
            self._finish()
        finally:
            BARRIERS.observer = None
            self.scheduler.close()
        for thread, cause in sorted(self.scheduler.faults.items()):
            self.playback.violations.append(_violation_of(thread, cause))
        if not self.playback.violations:
            most = np.full(self.machine.shape.nr_pages, MANY_OWNERS)
            most[self.folio[0]] = self.most_owners
            truth = scan(self.machine)
            self.playback.violations += violations(self.machine, truth, most)
            texts = (*self.counterexample.setup, *(text for thread in self.counterexample.threads for text in thread))
            if not any("swap" in text for text in texts):
                self.playback.violations += unmarked(self.machine, truth)
        return self.playback

    def _turn(self, turn: Turn) -> None:
        thread = turn.thread
        if not turn.flush:
            self.scheduler.advance(thread, turn.accesses, turn if turn.older or turn.waits else None)
        elif self.scheduler.flush(thread, turn.flush):
            self.recorder.frame(Frame(thread, self.doing[thread], "flush", mappings=self._now()))

    def _finish(self) -> None:
        """Let all threads run to their ends, in turn. A thread that cannot end is a violation."""
        scheduler, threads = self.scheduler, range(len(self.counterexample.threads))
        if self.playback.violations:
            return
        before: list[bytes] = []
        while (waiting := [t for t in threads if t not in scheduler.done]) and self._moved(before):
            for thread in waiting:
                while scheduler.flush(thread):
                    pass
                scheduler.advance(thread, MOST_AFTERWARDS)
            if any(t not in scheduler.done and t not in scheduler.waits for t in waiting):
                message = f"a thread does not end within {MOST_AFTERWARDS} accesses"
                self.playback.violations.append(Violation("termination", message))
                return
        if waiting:
            locks = "; ".join(f"thread {t} waits for {lock}" for t, lock in sorted(scheduler.waits.items()))
            self.playback.violations.append(Violation("deadlock", f"no thread can make progress: {locks}"))

    def _moved(self, before: list[bytes]) -> bool:
        """Whether memory has changed since the last call. Threads that all wait for locks change nothing."""
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
            if question := self._question(operation):
                self.waiting[number] = question
            machine.cpu = number  # no other thread runs until the next access
            self.scheduler.begin()
            for function, numbers in machine.bind_operation(operation).entries:
                answers.append(machine.entry_point(function)(*numbers))
            self._begin(number)
            self._answered(number, operation, answers)
            if self.scheduler.locks[number]:
                self.scheduler.locks[number].clear()
                message = f"thread {number}: an operation ends with a lock still held"
                self.playback.violations.append(Violation("lost-lock", message))
            self.scheduler.settle()
            answer = _answer_text(operation, answers)
            self.recorder.frame(Frame(number, text, mappings=self._now(), answer=answer))

    def _question(self, operation: Operation) -> _Question | None:
        """The question that an operation asks the policy, if any."""
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
        """Begin a thread's operation, at its first counted access: before that it has read no shared state."""
        if number in self.waiting:
            self.questions[number] = self.waiting.pop(number)

    def _answered(self, number: int, operation: Operation, answers: list[int]) -> None:
        question = self.questions.pop(number, None)
        if question is None:
            return
        head, _ = question.folio
        self._observe(question)
        if operation.name == "maybe_shared" and not answers[-1] and not question.alone:
            message = f"thread {number}: folio {head} is called exclusive while several MMs map it all the time"
            self.playback.violations.append(Violation("safe", message, "safe"))
        if operation.name == "write" and answers[-1] & 7 == fault.REUSED:
            others = [mm for mm, n in enumerate(self._now()) if n and mm != question.mm]
            who = f"thread {number}: MM {question.mm} reuses page {operation.get('start')} of folio {head}"
            if others:
                self.playback.violations.append(Violation("reuse", f"{who}, which MM {others[0]} maps", "reuse"))
            elif not question.free:
                message = f"{who}, which another MM or reference holds all the time"
                self.playback.violations.append(Violation("reuse", message, "reuse"))

    # -- after each access -------------------------------------------------------------------------------
    def _references(self) -> int:
        return pfn_folio(self.machine.vm, self.folio[0])._refcount.peek()

    def _now(self) -> tuple[int, ...]:
        mappings = self.recorder.mappings(*self.folio)
        owners = sum(n > 0 for n in mappings)
        self.most_owners = max(self.most_owners, owners) if owners else 0
        return mappings

    def _observe(self, question: _Question) -> None:
        mappings = self._now()
        alone = sum(n > 0 for n in mappings) <= 1
        question.alone |= alone
        question.free |= alone and self._references() <= sum(mappings)

    def _seen(self, access: Access) -> None:
        if self.steps(access.ref.off):
            self._begin(access.thread)
        name = name_of(self.machine, access.ref, self.folio)
        mappings = self._now()
        operation = self.doing[access.thread]
        frame = Frame(access.thread, operation, access.op, name, access.old, access.new, access.location, mappings)
        ctype = access.ref.ctype
        signed = ctype.signed or ctype.bits == 64
        self.recorder.frame(replace(frame, offset=access.ref.off, bits=ctype.bits, signed=signed))
        for question in self.questions.values():
            self._observe(question)

    def _barrier(self, name: str) -> None:
        self.scheduler.settle()
        self.scheduler.barrier(name)
        self.playback.barriers.append((self.scheduler.current, len(self.playback.frames), name))


def _answer_text(operation: Operation, answers: list[int]) -> str:
    if operation.name == "maybe_shared":
        return "maybe shared" if answers[-1] else "exclusive"
    if operation.name == "write":
        return OUTCOMES.get(answers[-1] & 7, "not mapped")
    return "done"


def _violation_of(thread: int, cause: BaseException) -> Violation:
    """The violation of a thread that ended by an exception."""
    broken = failure(cause)
    return Violation(broken.law, f"thread {thread}: {broken}", broken.claim)
