"""One run of a thread's text: with the answers that are known, then on as if nobody interfered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.engine import entrypoints
from foliolab.framework.engine.answers import wrong_answer
from foliolab.framework.engine.check import Violation
from foliolab.framework.errors import FolioLabError, LostLock, UsageError
from foliolab.framework.isolation.blame import location_outside
from foliolab.framework.isolation.limits import TooSlow, limited
from foliolab.framework.machine.primitives import u64
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.history import Boundary, Ended, History, Lead
from foliolab.framework.verify.explored.sharing import Reclassified
from foliolab.framework.verify.explored.world import Call
from foliolab.framework.verify.laws import failure

if TYPE_CHECKING:
    from foliolab.framework.verify.explored.trie import Behaviour

MOST_STEPS: Final = 4000
"""Steps that one call may take."""
MOST_ACCESSES: Final = 60_000
"""Accesses that one run of a thread's text may do."""
SECONDS: Final = 5.0
"""How long one run may take: a loop may do nothing at all."""


class Stop(BaseException):
    """The step that the text has come to is all that was to be found out."""


class Endless(Exception):
    """The text does not come to an end."""


class Asymmetric(Exception):
    """The text asks which MM it runs for, so threads that do the same are not interchangeable."""


class Run:
    """One run of a thread's text.

    Args:
        behaviour: what it adds to.
        last: the node whose step has just answered, and what; None: none, it is the start.
        live: the shared words as they are then.
    """

    def __init__(self, behaviour: Behaviour, last: tuple[int, int] | None, live: list[int]) -> None:
        self.behaviour = behaviour
        self.world = behaviour.world
        self.program = behaviour.program
        self.sharing = behaviour.sharing
        self.telling = behaviour.sort.telling
        self.last = last
        self.live = list(live)
        self.flags = 0
        self.inside = 0
        self._new_segment()
        self.accesses = 0
        self.first_node = -1
        self.raw: Any = self.world.machine.vm.raw["q"]
        self.steps = 0
        self._entered = 0
        self._log: dict[int, int] = {}
        self._dirty: list[int] = []
        self._places = behaviour.places

    # -- calls -----------------------------------------------------------------------------------------
    def start(self, boundary: int, history: History) -> int:
        """Run from a boundary with what is known; the first node that it came to."""
        self._begin(boundary, history)
        asker = self.behaviour.text.asker
        asker.run = self
        try:
            with limited(SECONDS):
                self._calls()
        except Stop:
            pass
        except TooSlow:
            self._fault(Violation("termination", f"{_running()}: does not end within {SECONDS:g} s"))
        except (Endless, RecursionError) as fault:
            what = "recurses without end" if isinstance(fault, RecursionError) else str(fault)
            self._fault(Violation("termination", f"{location_outside(fault) or _running()}: {what}"))
        except FolioLabError as fault:
            self._fault(_broken(fault))
        except (Asymmetric, Reclassified):
            raise
        except Exception as fault:  # whatever the author's text raises
            where = wrong_answer(fault) or location_outside(fault) or self.program.calls[self.call].operation.text
            self._fault(Violation("raises", f"{where}: {type(fault).__name__}: {fault}"))
        finally:
            asker.run = None
            for word, value in self._log.items():
                self.raw[word] = value
        return self.first_node

    def _begin(self, boundary: int, history: History) -> None:
        here = self.behaviour.boundaries[boundary]
        self.boundary = boundary
        self.history = history
        self.call = here.call
        for word, value in here.overlay:
            self._log[word] = self.raw[word]
            self.raw[word] = value
        self.mappings = dict(zip(self.program.mms, here.mappings, strict=True))
        self.mapped = {mm for mm, count in self.mappings.items() if count}
        self.seen = len(self.mapped)
        self.held, self.taken, self.freed = here.held, here.taken, list(here.freed)
        self.stored = here.stored
        self.locks: set[tuple[int, int]] = set()

    def _calls(self) -> None:
        machine = self.world.machine
        memories = (machine.vm, machine.contents)
        while self.call < len(self.program.calls):
            call = self.program.calls[self.call]
            self.position = self._entered = 0
            self.reads: list[tuple[int, int, int, int]] = []
            answer = self.behaviour.text.kernels[call.function](*memories[: call.memories], *call.numbers)
            self._end(call, answer)
            self.call += 1
            self.steps = 0
            self.history = []
            self.boundary = self.behaviour.number(self._here())
        self._arrive(s.DONE, (0, 0, 0))

    def _end(self, call: Call, answer: int) -> None:
        if call.function is entrypoints.maybe_shared and not answer:
            if not self.position:
                self.mark()
            self.flags |= n.EXCLUSIVE
        if call.holds > 0 or (call.holds < 0 and not self.position):
            self.held += call.holds
        if call.last and self.locks:
            self.flags |= n.LOST
            self.locks = set()

    def _here(self) -> Boundary:
        base = self.world.words
        overlay = frozenset((word, self.raw[word]) for word in self._log if self.raw[word] != base[word])
        mappings = tuple(self.mappings[mm] for mm in self.program.mms)
        return Boundary(self.call, overlay, mappings, self.held, self.taken, tuple(self.freed), self.stored)

    # -- functions -------------------------------------------------------------------------------------
    def function(self, text: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call a function, or skip it, where the history says what it did."""
        self._entered += 1
        which, start, reads, dirty = self._entered, self.position, len(self.reads), len(self._dirty)
        if start < len(self.history):
            ended = self.history[start]
            if type(ended) is Ended and ended.which == which:
                return self._skip(ended)
        answer = text(*arguments)
        if self.position > start and _is_plain(answer):
            writes = tuple((word, self.raw[word]) for word in sorted(set(self._dirty[dirty:])))
            mappings = tuple(self.mappings[mm] for mm in self.program.mms)
            waited = tuple(self.reads[reads:]) if self.behaviour.text.relaxes else ()
            locks = frozenset(self.locks)
            freed = tuple(self.freed)
            ended = Ended(which, answer, writes, mappings, self.taken, freed, locks, waited, self.stored)
            self.history[start : self.position] = [ended]
            self.position = start + 1
            self._entered = 0
        return answer

    def _skip(self, ended: Ended) -> Any:
        for word, value in ended.writes:
            self._log.setdefault(word, self.raw[word])
            self.raw[word] = value
            self._dirty.append(word)
        self.mappings = dict(zip(self.program.mms, ended.mappings, strict=True))
        self.mapped = {mm for mm, count in self.mappings.items() if count}
        self.taken, self.freed, self.locks = ended.taken, list(ended.freed), set(ended.locks)
        self.reads += ended.reads
        self.stored = ended.stored
        self._pass()
        return ended.answer

    def _pass(self) -> None:
        """One element of the history is behind."""
        self.position += 1
        self._entered = 0
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Endless(f"does not end within {MOST_STEPS} steps")
        if self.position == 1 and self.program.calls[self.call].holds < 0:
            self.held += self.program.calls[self.call].holds
        self.flags = 0
        self._new_segment()
        self.seen = len(self.mapped)

    def _new_segment(self) -> None:
        """What is done from here on comes after a step that others can see."""
        self.counted = self.early = self.stores = 0
        self.drains = False

    # -- asked by the primitives -----------------------------------------------------------------------
    def access(self, ref: Ref, step: int, shift: int, bits: int, signed: bool, operand: int, other: int) -> int:
        """One access; what the text learns from it."""
        self.accesses += 1
        if self.accesses > MOST_ACCESSES:
            raise Endless(f"does not end within {MOST_ACCESSES} accesses to memory")
        word = ref.off >> 3
        key = (word, shift, bits, step)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._classify(*key), self.world.counted(ref.off)
        column, counts = place
        if self.telling and ref.owner == "mm":
            self._tell(ref.field.name)
        if self.locks:
            self._release(word, shift, bits, step, operand)
        if column < 0:
            self.counted += counts
            if step == s.LOAD:
                return s.fit(self.raw[word] >> shift, bits, signed)
            return self._own(ref, step, shift, bits, signed, operand, other)
        wraps = ref.field.wraps or bits != ref.ctype.bits
        what = step | shift << n.SHIFT_AT | bits << n.BITS_AT | signed << n.SIGNED_AT | wraps << n.WRAPS_AT
        answer = self._step(what, (column, operand, other))
        if self.behaviour.tso and step not in s.READERS:
            self.stored = step in s.PLAIN_STORES
        if (left := _left(step, answer, operand, other)) is not None:
            self.reads.append((column, shift, bits | signed << 8, left))
        return answer

    def _classify(self, word: int, shift: int, bits: int, step: int) -> int:
        sort = self.behaviour.sort
        for thread in sort.others:
            self.sharing.column(thread, sort.place(thread, word), shift, bits, step)
        return self.sharing.column(sort.thread, word, shift, bits, step)

    def _tell(self, field: str) -> None:
        """The text reads a field of struct mm."""
        if field in self.telling and (self.inside or self.telling[field]):
            raise Asymmetric

    def try_lock(self, bit: int, ref: Ref) -> bool:
        """See `primitives.test_and_set_bit_lock`."""
        shift = (ref.off & 7) * 8 + bit
        taken = bool(self.access(ref, s.XCHG, shift, 1, False, 1, 0))
        if not taken:
            self.locks.add((ref.off >> 3, shift))
        return taken

    def lock(self, bit: int, ref: Ref) -> None:
        """See `primitives.bit_spin_lock`: one step, which must wait while somebody holds the bit."""
        shift = (ref.off & 7) * 8 + bit
        self.access(ref, s.LOCK, shift, 1, False, 0, 0)
        self.locks.add((ref.off >> 3, shift))

    def relax(self) -> None:
        """`cpu_relax`: the loop goes on when something that it looked at has changed."""
        if not self.reads:
            raise Endless("waits for what nobody changes")
        start = self.behaviour.tables.wait_count
        if self.position >= len(self.history):
            for one in self.reads:
                self.behaviour.tables.wait(*one)
        self._step(s.RELAX, (0, 0, 0), start, len(self.reads))
        self.reads = []

    def barrier(self) -> None:
        """`smp_mb`, or a locked operation: nothing to wait for where every store takes effect at once."""
        if self.stored:
            self._step(s.BARRIER, (0, 0, 0))
            self.stored = False

    def mark(self) -> None:
        """A moment without an access."""
        self._step(s.MARK, (0, 0, 0))

    def reused(self) -> None:
        """The policy lets a write fault write in place."""
        if not self.position:
            self.mark()
        self.flags |= n.REUSED

    def take_block(self, order: int) -> int:
        """A frame from the thread's reserve."""
        if order or self.taken == len(self.program.reserve):
            raise UsageError("a thread under exploration allocates small folios only", "populate in the set-up")
        self.taken += 1
        return self.program.reserve[self.taken - 1]

    def give_block(self, pfn: int, order: int) -> None:
        """A block of frames is free; putting it into its list is 4 accesses to the folio's first page."""
        self.freed.append((pfn, order))
        if pfn == self.world.folio[0]:
            self.counted += 4

    # -- the thread's own memory -----------------------------------------------------------------------
    def _own(self, ref: Ref, step: int, shift: int, bits: int, signed: bool, operand: int, other: int) -> int:
        word = ref.off >> 3
        whole = self.raw[word]
        old = s.fit(whole >> shift, bits, signed)
        if self.behaviour.tso:
            self._buffer(step, ref.off, operand)
        if step in (s.LOCK, s.WAIT_CLEAR) and old:
            raise LostLock(f"bit {shift} of {ref!r} is held and nobody is left to release it")
        new = s.changed(step, old, operand, other)
        new = ref._fit(new) if step in s.ADDS and bits == ref.ctype.bits else u64(s.fit(new, bits, signed))
        if new != old:
            mask = ((1 << bits) - 1) << shift
            self._log.setdefault(word, whole)
            self._dirty.append(word)
            self.raw[word] = u64((whole & ~mask) | (new << shift & mask))
            if (mm := self.world.table_of(ref.off)) >= 0:
                self._map(mm, old, new)
        return s.answered(step, old, new)

    def _buffer(self, step: int, offset: int, operand: int) -> None:
        """What an access to the thread's own memory does to its store buffer.

        A page-table entry that comes to map the folio waits for the buffer here, as locked operations do: others see
        it no sooner than what was stored before it.
        """
        if step in s.PLAIN_STORES:
            self.stores += 1
            if self.stored and self.world.table_of(offset) >= 0 and self.world.maps(operand):
                self.barrier()
        elif step not in s.READERS:
            self.barrier()
            self.drains, self.stores = True, 0

    def _map(self, mm: int, old: int, new: int) -> None:
        change = self.world.maps(new) - self.world.maps(old)
        self.mappings[mm] += change
        if change and self.mappings[mm]:
            self.mapped.add(mm)
            self.seen = max(self.seen, len(self.mapped))
        elif change:
            self.mapped.discard(mm)
        if change > 0:
            self.early = self.counted

    def _release(self, word: int, shift: int, bits: int, step: int, operand: int) -> None:
        """Forget the locks that a step releases."""
        if step in (s.STORE, s.AND_STORE, s.LOCKED_STORE, s.XCHG):
            gone = {
                (at, bit)
                for at, bit in self.locks
                if at == word and shift <= bit < shift + bits and not (operand >> (bit - shift) & 1)
            }
            self.locks -= gone

    # -- steps -----------------------------------------------------------------------------------------
    def _step(self, what: int, where: tuple[int, int, int], wait: int = 0, waits: int = 0) -> int:
        """A step that others can see; what it answers."""
        if self.position < len(self.history):
            answer = self.history[self.position]
            assert isinstance(answer, int)
        else:
            answer = self._go_on(self._arrive(what, where, wait, waits), what, where)
        self._pass()
        return answer

    def _arrive(self, what: int, where: tuple[int, int, int], wait: int = 0, waits: int = 0) -> int:
        """The node of a step that the text has come to, linked to the one before."""
        first = not self.history
        done = self.call == len(self.program.calls)
        call = None if done else self.program.calls[self.call]
        quiet = first and (call is None or call.first)
        asks = not first and call is not None and call.operation.name in ("maybe_shared", "write")
        what |= quiet << n.QUIET_AT | asks << n.ASKS_AT
        truth = self.seen | self.held << n.HELD_AT
        node = self.behaviour.node(self, (what, *where, -1, truth, wait, waits))
        self._link(node)
        return node

    def _link(self, node: int) -> None:
        tables = self.behaviour.tables
        lead = Lead(self.counted, self.early, self.drains, self.stores)
        if self.last is None:
            self.first_node = node
            self.behaviour.first_lead = lead
        elif not tables.follows(*self.last):
            self.behaviour.leads[tables.link(*self.last, node, self.flags)] = lead

    def _go_on(self, node: int, what: int, where: tuple[int, int, int]) -> int:
        """Do the step as if nobody else did anything; what it answers."""
        step, column = what & 0xFF, where[0]
        answer = 0
        if step < s.RELAX:
            shift, bits, signed = what >> n.SHIFT_AT & 0xFF, what >> n.BITS_AT & 0xFF, what >> n.SIGNED_AT & 1
            old = s.fit(self.live[column] >> shift, bits, signed)
            if step in (s.LOCK, s.WAIT_CLEAR) and old:
                raise Stop
            new = u64(s.fit(s.changed(step, old, *where[1:]), bits, signed))
            mask = ((1 << bits) - 1) << shift
            self.live[column] = u64((self.live[column] & ~mask) | (new << shift & mask))
            answer = s.answered(step, old, new)
        elif step == s.RELAX:
            raise Stop
        if self.behaviour.tables.follows(node, answer):
            raise Stop
        self.last = (node, answer)
        self.history.append(answer)
        return answer

    def _fault(self, why: Violation | FolioLabError) -> None:
        node = self.behaviour.tables.add((s.DONE | 1 << n.DEAD_AT, 0, 0, 0, -1, 0, 0, 0))
        self.behaviour.at[node] = self.boundary
        self.behaviour.faults[node] = why
        self.flags |= n.FAULT
        self._link(node)


def _is_plain(answer: Any) -> bool:
    """Whether a function's answer is numbers only, so that it says all about what the caller learns."""
    if isinstance(answer, tuple):
        return all(map(_is_plain, answer))
    return answer is None or isinstance(answer, int)


def _left(step: int, answer: int, operand: int, other: int) -> int | None:
    """What a step leaves in its location, as far as its answer tells."""
    if step in (s.LOAD, s.ADD_RETURN, s.WAIT_CLEAR):
        return answer
    if step == s.XCHG:
        return operand
    if step == s.FETCH_ADD:
        return answer + operand
    if step == s.CMPXCHG:
        return other if answer == operand else answer
    return None


def _broken(fault: FolioLabError) -> Violation | FolioLabError:
    """An error of the text as a broken law; other errors as they are."""
    try:
        return failure(fault)
    except FolioLabError:
        return fault


def _running() -> str:
    """The author's file and line that ran last, of the error that is being handled."""
    trace = sys.exc_info()[2]
    found = "the policy"
    while trace is not None:
        code = trace.tb_frame.f_code
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("foliolab.framework"):
            found = f"{code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
