"""One run of a thread's code: first with known results of its steps, then as if no other thread interfered.

A run cannot be resumed in the middle of the code, so it always starts at a boundary between two calls of the engine
and repeats the steps since. That costs no more than a few hundred primitives; `Returned` entries in the history skip
functions that have returned. The thread's own memory is the memory of one interpreted machine. A run writes to it
directly, logs the old values, and restores them at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.engine import entrypoints
from foliolab.framework.engine.check import Violation
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.isolation.limits import TooSlow, limited
from foliolab.framework.machine.primitives import u64
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.dependency import loaded, sources_of
from foliolab.framework.verify.explored.failures import SECONDS, Endless, why
from foliolab.framework.verify.explored.history import Boundary, History, LocalAccesses, Returned, is_plain
from foliolab.framework.verify.explored.locks import Locks
from foliolab.framework.verify.explored.order import Order, is_full
from foliolab.framework.verify.explored.own_mappings import OwnMappings
from foliolab.framework.verify.explored.private_memory import PrivateMemory
from foliolab.framework.verify.explored.world import Call

if TYPE_CHECKING:
    from foliolab.framework.verify.explored.trie import Trie

MOST_STEPS: Final = 4000
"""Steps in one call of the engine, at most."""
MOST_STALE: Final = 200
"""Accesses that a thread of an MM that others use may do once its run is stale (see `Sharing`), at most: it compares
what it has read, so that it may begin anew for ever."""
MOST_ACCESSES: Final = 60_000
"""Accesses in one run, at most."""


class Stop(BaseException):
    """Ends a run: the step that it has reached is known, or must wait."""


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
        self.steps = 0
        self._entered = 0
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
        except Asymmetric:
            raise
        except (Exception, TooSlow) as fault:  # a policy's function may raise anything
            self._fault(why(fault, self.program.calls[self.call].operation.text))
        finally:
            interposer.run = None
            self.own.close()
        self.sharing.check()
        return self.first_node

    def _begin(self, boundary: int, history: History) -> None:
        here = self.trie.boundaries[boundary]
        self.boundary = boundary
        self.history = history
        self.call = here.call
        self.own = PrivateMemory(self.world.machine.vm.raw["q"], here.overlay)
        self.mappings = OwnMappings(self.program.mms, here.mappings)
        self.held, self.taken, self.freed = here.held, here.taken, list(here.freed)
        self.order = Order(self.trie.model, here.unordered)
        self.locks = Locks()

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
            if call.last:
                self.order.end_operation()
            self.call += 1
            self.steps = 0
            self.history = []
            self.boundary = self.trie.number(self._here())
        self._arrive(s.DONE, (0, 0, 0))

    def _end(self, call: Call, answer: int) -> None:
        if call.function is entrypoints.maybe_shared and not answer:
            if not self.position:
                self._step(s.MARK, (0, 0, 0))  # a step without an access
            self.flags |= n.EXCLUSIVE
        if call.holds > 0 or (call.holds < 0 and not self.position):
            self.held += call.holds
        if call.last and self.locks.held:
            self.flags |= n.LOST
            self.locks.restore(())

    def _here(self) -> Boundary:
        overlay, counts = self.own.overlay(self.world.words), self.mappings.counts
        return Boundary(self.call, overlay, counts, self.held, self.taken, tuple(self.freed), self.order.now)

    # -- functions -------------------------------------------------------------------------------------
    def function(self, text: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call a function, or skip it if the history holds its return."""
        self._entered += 1
        which, start, reads, mark = self._entered, self.position, len(self.reads), self.own.mark
        refused = len(self.refused)
        if start < len(self.history):
            returned = self.history[start]
            if type(returned) is Returned and returned.which == which:
                return self._skip(returned)
        answer = text(*arguments)
        if self.position > start and is_plain(answer):
            waits = self.trie.text.relaxes
            returned = Returned(
                which=which,
                answer=answer,
                sources=tuple(map(sources_of, answer if isinstance(answer, tuple) else (answer,))),
                writes=self.own.written_since(mark),
                mappings=self.mappings.counts,
                taken=self.taken,
                freed=tuple(self.freed),
                locks=frozenset(self.locks.held),
                reads=tuple(self.reads[reads:]) if waits else (),
                refused=tuple(self.refused[refused:]) if waits else (),
                unordered=self.order.now,
            )
            self.history[start : self.position] = [returned]
            self.position = start + 1
            self._entered = 0
        return answer

    def _skip(self, returned: Returned) -> Any:
        self.own.write(returned.writes)
        self.mappings.restore(returned.mappings)
        self.taken, self.freed = returned.taken, list(returned.freed)
        self.locks.restore(returned.locks)
        self.reads += returned.reads
        self.refused += returned.refused
        self.order.restore(returned.unordered)
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
        self.mappings.look()

    def _new_segment(self) -> None:
        """Start counting the local accesses after a step."""
        self.counted = self.early = self.stores = 0
        self.drains = False

    # -- called by the primitives -----------------------------------------------------------------------
    def access(
        self, ref: Ref, step: int, shift: int, bits: int, signed: bool, operand: int, other: int, order: int = 0
    ) -> int:
        """Do one access; return the result that the program sees.

        Args:
            order: whether it acquires or releases: a flag of `nodes`, or 0.
        """
        self.accesses += 1
        if self.accesses > MOST_ACCESSES:
            raise Endless(f"does not end within {MOST_ACCESSES} accesses to memory")
        if self.world.several and self.sharing.is_stale:
            self.stale += 1
            if self.stale > MOST_STALE:
                raise Stop
        word = int(ref.off) >> 3
        key = (word, shift, bits, step)
        known = self._columns.get(key)
        if known is None:
            known = self._columns[key] = (
                self.sharing.column_of(self.trie.thread_class, *key),
                self.world.counted(ref.off),
            )
        column, counts = known
        if self.distinguishing and ref.owner == "mm":
            self._check_symmetry(ref.field.name)
        if self.locks.held or self.locks.holding:
            self.locks.access(word, shift, bits, step, operand)
        if column < 0:
            self.counted += counts
            if step == s.LOAD and self.trie.model != "armv8":
                return self.own.read(word, shift, bits, signed)
            return self._private(ref, step, (shift, bits, signed), operand, other, order)
        wraps = ref.field.wraps or bits != ref.ctype.bits
        what = step | shift << n.SHIFT_AT | bits << n.BITS_AT | signed << n.SIGNED_AT | wraps << n.WRAPS_AT
        answer = self._access(ref, what | order, (column, operand, other), counts)
        if (left := s.value_after(step, answer, operand, other)) is not None:
            self.reads.append((column, shift, bits | signed << 8, left))
            if step == s.CMPXCHG and answer != operand:
                self.refused.append(self.reads[-1])
        return answer

    def _check_symmetry(self, field: str) -> None:
        """The code reads a field of struct mm.

        Raises:
            Asymmetric: the field distinguishes the threads.
        """
        if field in self.distinguishing and (self.inside or self.distinguishing[field]):
            raise Asymmetric

    def try_lock(self, bit: int, ref: Ref) -> bool:
        shift = (ref.off & 7) * 8 + bit
        taken = bool(self.access(ref, s.XCHG, shift, 1, False, 1, 0, 1 << n.ACQUIRE_AT))
        if not taken:
            self.locks.take(int(ref.off) >> 3, shift)
        return taken

    def lock(self, bit: int, ref: Ref) -> None:
        """See `primitives.bit_spin_lock`: one step, which waits while another thread holds the bit."""
        shift = (ref.off & 7) * 8 + bit
        self.access(ref, s.LOCK, shift, 1, False, 0, 0, 1 << n.ACQUIRE_AT)
        self.locks.take(int(ref.off) >> 3, shift)

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

    def _access(self, ref: Ref, what: int, where: tuple[int, int, int], counts: bool) -> int:
        """Do an access that is a step, under the memory model; return its result."""
        if self.trie.model == "armv8":
            return self._weak_step(ref, what, where, counts)
        answer = self._step(what, where)
        if self.trie.model == "tso":
            self.order.access(what & 0xFF, 0, False, False)
        return answer

    def _weak_step(self, ref: Ref, what: int, where: tuple[int, int, int], counts: bool) -> int:
        """An access under Armv8's model, with what orders it.

        What the engine does itself is in order: in the kernel most of it happens under locks that are not modelled.
        """
        step, acquires = what & 0xFF, what >> n.ACQUIRE_AT & 1 != 0
        if step == s.LOCK:
            self.locks.holding = int(ref.off) >> 3, what >> n.SHIFT_AT & 0xFF
        reach = 0
        if counts and self.inside and self.world.table_of(ref.off) < 0:
            reach = (int(ref.off) & 7) * 8 | ref.ctype.bits << 8
        offset, given = int(ref.off), sources_of(where[1])
        sources = sources_of(ref.off) | self.order.read_back(offset)
        if reach and step == s.STORE and not given and what >> n.BITS_AT & 0xFF == ref.ctype.bits:
            what |= 1 << n.FRESH_AT
        start, waits = self.trie.tables.wait_count, reach and step in s.EARLY
        if waits and self.position >= len(self.history):
            for source in sorted(sources):
                self.trie.tables.wait(*source, 0, 0)
        answer = self._step(what, where, start, len(sources) if waits else 0, reach)
        fails = step == s.CMPXCHG and answer != where[1]
        follows = step == s.LOAD and acquires and self.order.follows_atomic(offset)
        self.order.access(step, reach, acquires, fails)
        if step in s.LATE:
            self.order.store(offset, step, given)
        if follows:
            self.barrier(s.ORDERS_ALL)
        loads = reach and (step == s.LOAD or fails)
        return loaded(answer, sources | {(where[0], reach)}) if loads else answer

    def barrier(self, kind: int = s.DRAINS | s.ORDERS_ALL) -> None:
        """A barrier, or a locked operation: a step, if it orders something. `kind`: see `steps.DRAINS`."""
        if self.order.barrier(kind):
            self.locks.look()
            self._step(s.BARRIER, (0, kind, 0))

    def reused(self) -> None:
        """The policy permits a write fault to write in place."""
        if not self.position:
            self._step(s.MARK, (0, 0, 0))  # a step without an access
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
    def _private(self, ref: Ref, step: int, place: tuple[int, int, bool], operand: int, other: int, order: int) -> int:
        """Do an access that no other thread can see; return its result."""
        offset = int(ref.off)
        if step == s.LOAD:
            value = self.own.read(offset >> 3, *place)
            sources = sources_of(ref.off) | self.order.read_back(offset)
            if sources and order:
                self.barrier(s.ORDERS_LOADS)
            return loaded(value, sources) if sources else value
        if self.trie.model != "sc":
            self._buffer(step, offset, operand)
        if step in s.LATE:
            self.order.store(offset, step, sources_of(operand))
        old, new = self.own.do(ref, step, place, operand, other)
        fails = step == s.CMPXCHG and old != operand
        if self.trie.model == "armv8" and self.inside and is_full(step, order != 0) and not fails:
            self.barrier()
        if new != old and (mm := self.world.table_of(offset)) >= 0:
            change = self.world.maps(new) - self.world.maps(old)
            self.mappings.change(mm, change)
            self.early = self.counted if change > 0 else self.early
        return s.answered(step, old, new)

    def _buffer(self, step: int, offset: int, operand: int) -> None:
        """The effect on the store buffer of an access to the thread's own memory.

        Setting a page-table entry that maps the folio first waits for an empty buffer, as locked operations do: other
        threads do not see the entry before the stores that precede it.
        """
        if step in s.PLAIN_STORES:
            self.stores += 1
            if self.world.table_of(offset) >= 0 and self.world.maps(operand):
                self.barrier(s.DRAINS | (s.ORDERS_ALL if self.trie.model == "tso" else 0))
        elif self.trie.model == "tso" and step not in s.READERS:
            self.barrier()
            self.drains, self.stores = True, 0

    # -- steps -----------------------------------------------------------------------------------------
    def _step(self, what: int, where: tuple[int, int, int], wait: int = 0, waits: int = 0, reach: int = 0) -> int:
        """Do a step that other threads can see; return its result."""
        if self.position < len(self.history):
            answer = self.history[self.position]
            assert isinstance(answer, int)
        else:
            answer = self._go_on(self._arrive(what, where, wait, waits, reach), what, where)
        self._pass()
        return answer

    def _arrive(self, what: int, where: tuple[int, int, int], wait: int = 0, waits: int = 0, reach: int = 0) -> int:
        """The node of the step that the code has reached, linked to the node before."""
        first = not self.history
        done = self.call == len(self.program.calls)
        call = None if done else self.program.calls[self.call]
        quiescent = first and (call is None or call.first)
        asks = not first and call is not None and call.operation.name in ("maybe_shared", "write")
        what |= quiescent << n.BETWEEN_AT | asks << n.ASKS_AT
        writes = asks and call is not None and call.operation.name == "write"
        what |= writes << n.WRITES_AT
        truth = self.mappings.seen | self.held << n.HELD_AT | self.mappings.most << n.MAPPINGS_AT
        node = self.trie.node(self, (what, *where, -1, truth, wait, waits, reach, self._holds()))
        self._link(node)
        return node

    def _holds(self) -> int:
        """A lock that the thread holds when it does the step, as in `nodes.HOLDS`."""
        return self.locks.packed(self.sharing.columns) if self.trie.model == "armv8" else 0

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
        node = self.trie.tables.add((s.DONE | 1 << n.DEAD_AT, 0, 0, 0, -1, 0, 0, 0, 0, 0))
        self.trie.at[node] = self.boundary
        self.trie.faults[node] = why
        self.flags |= n.FAULT
        self._link(node)
