"""One run of a thread's code: first with known results of its steps, then as if no other thread interfered.

A run cannot be resumed in the middle of the code, so it always starts at a boundary between two calls of the engine
and repeats the steps since. That costs no more than a few hundred primitives; `Returned` entries in the history skip
functions that have returned. The thread's own memory is the memory of one interpreted machine. A run writes to it
directly, logs the old values, and restores them at its end.
"""

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
from foliolab.framework.verify.explored.history import Boundary, History, LocalAccesses, Returned
from foliolab.framework.verify.explored.world import Call
from foliolab.framework.verify.laws import failure, fired

if TYPE_CHECKING:
    from foliolab.framework.verify.explored.trie import Trie

MOST_STEPS: Final = 4000
"""Steps in one call of the engine, at most."""
MOST_STALE: Final = 200
"""Accesses that a thread of an MM that others use may do once its run is stale (see `Sharing`), at most: it compares
what it has read, so that it may begin anew for ever."""
MOST_ACCESSES: Final = 60_000
"""Accesses in one run, at most."""
SECONDS: Final = 5.0
"""Seconds for one run, at most. A loop without accesses is not ended by the other limits."""


class Stop(BaseException):
    """Ends a run: the step that it has reached is known, or must wait."""


class Endless(Exception):
    """The code exceeds a limit and may not end."""


class Asymmetric(Exception):
    """The code reads which MM it runs for, so the threads are not interchangeable."""


class ThreadRun:
    """One run of a thread's code.

    Args:
        trie: receives the nodes.
        last: the node whose successor is wanted, and the result of its step; None for the start of the thread.
        live: the values of the shared words after that step.
    """

    def __init__(self, trie: Trie, last: tuple[int, int] | None, live: list[int]) -> None:
        self.trie = trie
        self.world = trie.world
        self.program = trie.program
        self.sharing = trie.sharing
        self.distinguishing = trie.thread_class.distinguishing
        self.last = last
        self.live = list(live)
        self.flags = 0
        self.inside = 0
        self._new_segment()
        self.accesses = self.stale = 0
        self.first_node = -1
        self.raw: Any = self.world.machine.vm.raw["q"]
        self.steps = 0
        self._entered = 0
        self._log: dict[int, int] = {}
        self._dirty: list[int] = []
        self._columns = trie.columns

    # -- calls -----------------------------------------------------------------------------------------
    def start(self, boundary: int, history: History) -> int:
        """Run from a boundary with a history of results; return the first node that was reached."""
        self._begin(boundary, history)
        interposer = self.trie.text.interposer
        interposer.run = self
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
        except Asymmetric:
            raise
        except AssertionError as fault:
            self._fault(fired(fault))
        except Exception as fault:  # a policy's function may raise anything
            where = wrong_answer(fault) or location_outside(fault) or self.program.calls[self.call].operation.text
            self._fault(Violation("raises", f"{where}: {type(fault).__name__}: {fault}"))
        finally:
            interposer.run = None
            for word, value in self._log.items():
                self.raw[word] = value
        self.sharing.check()
        return self.first_node

    def _begin(self, boundary: int, history: History) -> None:
        here = self.trie.boundaries[boundary]
        self.boundary = boundary
        self.history = history
        self.call = here.call
        for word, value in here.overlay:
            self._log[word] = self.raw[word]
            self.raw[word] = value
        self.mappings = dict(zip(self.program.mms, here.mappings, strict=True))
        self.mapped = {mm for mm, count in self.mappings.items() if count}
        self._look()
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
            self.refused: list[tuple[int, int, int, int]] = []
            answer = self.trie.text.entry_points[call.function](*memories[: call.memories], *call.numbers)
            self._end(call, answer)
            self.call += 1
            self.steps = 0
            self.history = []
            self.boundary = self.trie.number(self._here())
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
        """Call a function, or skip it if the history holds its return."""
        self._entered += 1
        which, start, reads, dirty = self._entered, self.position, len(self.reads), len(self._dirty)
        refused = len(self.refused)
        if start < len(self.history):
            returned = self.history[start]
            if type(returned) is Returned and returned.which == which:
                return self._skip(returned)
        answer = text(*arguments)
        if self.position > start and _is_plain(answer):
            writes = tuple((word, self.raw[word]) for word in sorted(set(self._dirty[dirty:])))
            mappings = tuple(self.mappings[mm] for mm in self.program.mms)
            waits = self.trie.text.relaxes
            waited = tuple(self.reads[reads:]) if waits else ()
            known = tuple(self.refused[refused:]) if waits else ()
            locks = frozenset(self.locks)
            freed = tuple(self.freed)
            returned = Returned(which, answer, writes, mappings, self.taken, freed, locks, waited, known, self.stored)
            self.history[start : self.position] = [returned]
            self.position = start + 1
            self._entered = 0
        return answer

    def _skip(self, returned: Returned) -> Any:
        for word, value in returned.writes:
            self._log.setdefault(word, self.raw[word])
            self.raw[word] = value
            self._dirty.append(word)
        self.mappings = dict(zip(self.program.mms, returned.mappings, strict=True))
        self.mapped = {mm for mm, count in self.mappings.items() if count}
        self.taken, self.freed, self.locks = returned.taken, list(returned.freed), set(returned.locks)
        self.reads += returned.reads
        self.refused += returned.refused
        self.stored = returned.stored
        self._pass()
        return returned.answer

    def _pass(self) -> None:
        """Go past one element of the history."""
        self.position += 1
        self._entered = 0
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Endless(f"does not end within {MOST_STEPS} steps")
        if self.position == 1 and self.program.calls[self.call].holds < 0:
            self.held += self.program.calls[self.call].holds
        self.flags = 0
        self._new_segment()
        self._look()

    def _look(self) -> None:
        """What maps the folio at the begin of a segment; what is mapped in it is added, what is unmapped stays."""
        self.seen, self.most = len(self.mapped), sum(self.mappings.values())

    def _new_segment(self) -> None:
        """Start counting the local accesses after a step."""
        self.counted = self.early = self.stores = 0
        self.drains = False

    # -- called by the primitives -----------------------------------------------------------------------
    def access(self, ref: Ref, step: int, shift: int, bits: int, signed: bool, operand: int, other: int) -> int:
        """Do one access; return the result that the program sees."""
        self.accesses += 1
        if self.accesses > MOST_ACCESSES:
            raise Endless(f"does not end within {MOST_ACCESSES} accesses to memory")
        if self.world.several and self.sharing.is_stale:
            self.stale += 1
            if self.stale > MOST_STALE:
                raise Stop
        word = ref.off >> 3
        key = (word, shift, bits, step)
        known = self._columns.get(key)
        if known is None:
            known = self._columns[key] = self._classify(*key), self.world.counted(ref.off)
        column, counts = known
        if self.distinguishing and ref.owner == "mm":
            self._check_symmetry(ref.field.name)
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
        if self.trie.tso and step not in s.READERS:
            self.stored = step in s.PLAIN_STORES
        if (left := _value_after(step, answer, operand, other)) is not None:
            self.reads.append((column, shift, bits | signed << 8, left))
            if step == s.CMPXCHG and answer != operand:
                self.refused.append(self.reads[-1])
        return answer

    def _classify(self, word: int, shift: int, bits: int, step: int) -> int:
        thread_class = self.trie.thread_class
        for thread in thread_class.others:
            self.sharing.column(thread, thread_class.translated(thread, word), shift, bits, step)
        return self.sharing.column(thread_class.thread, word, shift, bits, step)

    def _check_symmetry(self, field: str) -> None:
        """The code reads a field of struct mm.

        Raises:
            Asymmetric: the field distinguishes the threads.
        """
        if field in self.distinguishing and (self.inside or self.distinguishing[field]):
            raise Asymmetric

    def try_lock(self, bit: int, ref: Ref) -> bool:
        shift = (ref.off & 7) * 8 + bit
        taken = bool(self.access(ref, s.XCHG, shift, 1, False, 1, 0))
        if not taken:
            self.locks.add((ref.off >> 3, shift))
        return taken

    def lock(self, bit: int, ref: Ref) -> None:
        """See `primitives.bit_spin_lock`: one step, which waits while another thread holds the bit."""
        shift = (ref.off & 7) * 8 + bit
        self.access(ref, s.LOCK, shift, 1, False, 0, 0)
        self.locks.add((ref.off >> 3, shift))

    def relax(self) -> None:
        """`cpu_relax`: the loop continues when a value that it has read has changed.

        A loop may take up what a `cmpxchg` read in the round before. So that value counts as read in this round, too:
        where the next `cmpxchg` reads another one, the loop goes on at once with that.
        """
        if not self.reads:
            raise Endless("waits for a value that no other thread changes")
        start = self.trie.tables.wait_count
        if self.position >= len(self.history):
            for one in self.reads:
                self.trie.tables.wait(*one)
        self._step(s.RELAX, (0, 0, 0), start, len(self.reads))
        self.reads, self.refused = self.refused, []

    def barrier(self) -> None:
        """`smp_mb`, or a locked operation: waits for the store buffer, if a store may be in it."""
        if self.stored:
            self._step(s.BARRIER, (0, 0, 0))
            self.stored = False

    def mark(self) -> None:
        """A step without an access."""
        self._step(s.MARK, (0, 0, 0))

    def reused(self) -> None:
        """The policy permits a write fault to write in place."""
        if not self.position:
            self.mark()
        self.flags |= n.REUSED

    def take_block(self, order: int) -> int:
        """A page frame from the thread's reserve."""
        if order or self.taken == len(self.program.reserve):
            raise UsageError("a thread under exploration allocates small folios only", "populate in the set-up")
        self.taken += 1
        return self.program.reserve[self.taken - 1]

    def give_block(self, pfn: int, order: int) -> None:
        """Note a freed block. The allocator would do 4 accesses to the block's first struct page."""
        self.freed.append((pfn, order))
        if pfn == self.world.folio[0]:
            self.counted += 4

    # -- the thread's own memory -----------------------------------------------------------------------
    def _own(self, ref: Ref, step: int, shift: int, bits: int, signed: bool, operand: int, other: int) -> int:
        word = ref.off >> 3
        whole = self.raw[word]
        old = s.fit(whole >> shift, bits, signed)
        if self.trie.tso:
            self._buffer(step, ref.off, operand)
        if step in (s.LOCK, s.WAIT_CLEAR) and old:
            raise LostLock(f"bit {shift} of {ref!r} is held, and no other thread can release it")
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
        """The effect on the store buffer of an access to the thread's own memory.

        Setting a page-table entry that maps the folio first waits for an empty buffer, as locked operations do: other
        threads do not see the entry before the stores that precede it.
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
            self.most = max(self.most, sum(self.mappings.values()))
            self.early = self.counted

    def _release(self, word: int, shift: int, bits: int, step: int, operand: int) -> None:
        """Remove the locks that a step releases."""
        if step in (s.STORE, s.AND_STORE, s.LOCKED_STORE, s.XCHG):
            gone = {
                (at, bit)
                for at, bit in self.locks
                if at == word and shift <= bit < shift + bits and not (operand >> (bit - shift) & 1)
            }
            self.locks -= gone

    # -- steps -----------------------------------------------------------------------------------------
    def _step(self, what: int, where: tuple[int, int, int], wait: int = 0, waits: int = 0) -> int:
        """Do a step that other threads can see; return its result."""
        if self.position < len(self.history):
            answer = self.history[self.position]
            assert isinstance(answer, int)
        else:
            answer = self._go_on(self._arrive(what, where, wait, waits), what, where)
        self._pass()
        return answer

    def _arrive(self, what: int, where: tuple[int, int, int], wait: int = 0, waits: int = 0) -> int:
        """The node of the step that the code has reached, linked to the node before."""
        first = not self.history
        done = self.call == len(self.program.calls)
        call = None if done else self.program.calls[self.call]
        quiescent = first and (call is None or call.first)
        asks = not first and call is not None and call.operation.name in ("maybe_shared", "write")
        what |= quiescent << n.BETWEEN_AT | asks << n.ASKS_AT
        writes = asks and call is not None and call.operation.name == "write"
        what |= writes << n.WRITES_AT
        truth = self.seen | self.held << n.HELD_AT | self.most << n.MAPPINGS_AT
        node = self.trie.node(self, (what, *where, -1, truth, wait, waits))
        self._link(node)
        return node

    def _link(self, node: int) -> None:
        tables = self.trie.tables
        local = LocalAccesses(self.counted, self.early, self.drains, self.stores)
        if self.last is None:
            self.first_node = node
            self.trie.first_accesses = local
        elif not tables.follows(*self.last):
            self.trie.local_accesses[tables.link(*self.last, node, self.flags)] = local

    def _go_on(self, node: int, what: int, where: tuple[int, int, int]) -> int:
        """Do a step as if no other thread interfered; return its result."""
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
        if self.trie.tables.follows(node, answer):
            raise Stop
        self.last = (node, answer)
        self.history.append(answer)
        return answer

    def _fault(self, why: Violation | FolioLabError) -> None:
        node = self.trie.tables.add((s.DONE | 1 << n.DEAD_AT, 0, 0, 0, -1, 0, 0, 0))
        self.trie.at[node] = self.boundary
        self.trie.faults[node] = why
        self.flags |= n.FAULT
        self._link(node)


def _is_plain(answer: Any) -> bool:
    """Whether a result consists of numbers only, so that it can be replayed."""
    if isinstance(answer, tuple):
        return all(map(_is_plain, answer))
    return answer is None or isinstance(answer, int)


def _value_after(step: int, answer: int, operand: int, other: int) -> int | None:
    """The value after a step, if its result determines it."""
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
    """The law that a policy's error breaks; other errors unchanged."""
    try:
        return failure(fault)
    except FolioLabError:
        return fault


def _running() -> str:
    """File and line of the policy in the exception that is being handled."""
    trace = sys.exc_info()[2]
    found = "the policy"
    while trace is not None:
        code = trace.tb_frame.f_code
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("foliolab.framework"):
            found = f"{code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
