"""The explored meaning of the primitives: each access is passed to the run of a thread (`thread_run.ThreadRun`).

The next step of a thread depends only on the results of its steps so far. So engine and policy run with the known
results, and go on with the results that follow if no other thread interferes. One run therefore finds a whole chain of
steps. Accesses to memory that no other thread uses are done at once; that memory is restored after the run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import calls, entrypoints, zone
from foliolab.framework.engine.callers import author_functions, engine_tree
from foliolab.framework.engine.calls import LEAVES
from foliolab.framework.engine.policytree import policy_tree
from foliolab.framework.machine import primitives as p
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.explored import nodes
from foliolab.framework.verify.explored import steps as s

Function = Callable[..., Any]
ACQUIRE: Final = 1 << nodes.ACQUIRE_AT
RELEASE: Final = 1 << nodes.RELEASE_AT


class Interposer:
    """Passes the accesses of primitives to the present run.

    Attributes:
        run: the `ThreadRun` in progress.
        entries: the policy's entry points (`calls.ENTRIES`) in their explored form.
    """

    def __init__(self) -> None:
        self.run: Any = None
        self.entries: tuple[Function, ...] = ()

    def value(self, ref: Ref, step: int, operand: int = 0, other: int = 0, order: int = 0) -> int:
        ctype = ref.ctype
        shift = (int(ref.off) & 7) * 8
        found: int = self.run.access(ref, step, shift, ctype.bits, ctype.signed, operand, other, order)
        return found

    def bit(self, bit: int, ref: Ref, step: int, operand: int = 0, order: int = 0) -> int:
        shift = (int(ref.off) & 7) * 8 + int(bit)
        found: int = self.run.access(ref, step, shift, 1, False, operand, 0, order)
        return found

    def store(self, ref: Ref, value: int, order: int = 0) -> None:
        """A plain store of a value that must fit the field."""
        self.value(ref, s.STORE, ref._fit(value), order=order)

    def policy_call(self, entry: int, *arguments: Any) -> int:
        run = self.run
        run.inside += 1
        answer = int(self.entries[entry](*arguments))
        run.inside -= 1
        if entry == calls.CAN_REUSE and answer:
            run.reused()
        return answer


def _atomics(a: Interposer) -> dict[Function, Function]:
    def cmpxchg(ref: Ref, old: int, new: int) -> int:
        return a.value(ref, s.CMPXCHG, ref.ctype.wrapped(old), ref.ctype.wrapped(new))

    def negative(value: int, ref: Ref) -> bool:
        return bool(a.run.access(ref, s.ADD_TEST_NEGATIVE, (ref.off & 7) * 8, ref.ctype.bits, True, value, 0))

    return {
        p.atomic_add: lambda value, ref: a.value(ref, s.ADD, value),
        p.atomic_sub: lambda value, ref: a.value(ref, s.ADD, -value),
        p.atomic_inc: lambda ref: a.value(ref, s.ADD, 1),
        p.atomic_dec: lambda ref: a.value(ref, s.ADD, -1),
        p.atomic_add_return: lambda value, ref: a.value(ref, s.ADD_RETURN, value),
        p.atomic_sub_return: lambda value, ref: a.value(ref, s.ADD_RETURN, -value),
        p.atomic_inc_return: lambda ref: a.value(ref, s.ADD_RETURN, 1),
        p.atomic_dec_return: lambda ref: a.value(ref, s.ADD_RETURN, -1),
        p.atomic_fetch_add: lambda value, ref: a.value(ref, s.FETCH_ADD, value),
        p.atomic_inc_and_test: lambda ref: bool(a.value(ref, s.ADD_TEST_ZERO, 1)),
        p.atomic_dec_and_test: lambda ref: bool(a.value(ref, s.ADD_TEST_ZERO, -1)),
        p.atomic_sub_and_test: lambda value, ref: bool(a.value(ref, s.ADD_TEST_ZERO, -value)),
        p.atomic_add_negative: negative,
        p.xchg: lambda value, ref: a.value(ref, s.XCHG, ref._fit(value)),
        p.cmpxchg: cmpxchg,
    }


def _bits(a: Interposer) -> dict[Function, Function]:
    def set_plain(bit: int, ref: Ref) -> None:
        a.store(ref, p._with_bit(a.value(ref, s.LOAD), bit, ref))

    def clear_plain(bit: int, ref: Ref) -> None:
        a.store(ref, p._without_bit(a.value(ref, s.LOAD), bit, ref))

    def unlock_plain(bit: int, ref: Ref) -> None:
        a.value(ref, s.AND_STORE, p.u64(~(1 << bit)), order=RELEASE)

    def try_lock(bit: int, ref: Ref) -> bool:
        return bool(a.run.try_lock(bit, ref))

    def lock(bit: int, ref: Ref) -> None:
        a.run.lock(bit, ref)

    return {
        p.test_bit: lambda bit, ref: bool(a.bit(bit, ref, s.LOAD)),
        p.set_bit: lambda bit, ref: a.bit(bit, ref, s.LOCKED_STORE, 1),
        p.clear_bit: lambda bit, ref: a.bit(bit, ref, s.LOCKED_STORE, 0),
        p.clear_bit_unlock: lambda bit, ref: a.bit(bit, ref, s.LOCKED_STORE, 0, RELEASE),
        p.test_and_set_bit: lambda bit, ref: bool(a.bit(bit, ref, s.XCHG, 1)),
        p.test_and_clear_bit: lambda bit, ref: bool(a.bit(bit, ref, s.XCHG, 0)),
        p.test_and_set_bit_lock: try_lock,
        p.bit_spin_lock: lock,
        p.__clear_bit_unlock: unlock_plain,
        p.__set_bit: set_plain,
        p.__clear_bit: clear_plain,
        p.spin_wait_clear: lambda bit, ref: a.bit(bit, ref, s.WAIT_CLEAR),
    }


def _plain(a: Interposer) -> dict[Function, Function]:
    def store(ref: Ref, value: int) -> None:
        a.store(ref, value)

    def load(ref: Ref) -> int:
        return a.value(ref, s.LOAD)

    def release(ref: Ref, value: int) -> None:
        a.store(ref, value, RELEASE)

    def acquire(ref: Ref) -> int:
        return a.value(ref, s.LOAD, order=ACQUIRE)

    def relax() -> None:
        a.run.relax()

    def barrier(kind: int) -> Function:
        def passed() -> None:
            a.run.barrier(kind)

        return passed

    def init_fields(ptr: Any, nr_pages: int) -> None:
        nbytes = nr_pages * ptr.mem.pointers["page"].struct.size
        for field in ptr.struct.fields:
            if field.init is None or field.end > nbytes:
                continue
            ref = getattr(ptr, field.name)
            for i in range(field.count):
                a.store(ref[i] if field.count > 1 else ref, field.init)

    made: dict[Function, Function] = {
        p.cpu_relax: relax,
        p.init_fields: init_fields,
        p.smp_mb: barrier(s.DRAINS | s.ORDERS_ALL),
        p.smp_rmb: barrier(s.ORDERS_LOADS),
        p.smp_wmb: barrier(s.DRAINS),
        p.smp_store_release: release,
        p.smp_load_acquire: acquire,
    }
    made |= dict.fromkeys((p.atomic_set, p.store, p.WRITE_ONCE), store)
    return made | dict.fromkeys((p.load, p.READ_ONCE, p.atomic_read), load)


def _world(a: Interposer) -> dict[Function, Function]:
    def policy_call(vm: Any, entry: int, *arguments: Any) -> int:
        return a.policy_call(entry, *arguments)

    def take_block(vm: Any, area: Any, order: int) -> int:
        return int(a.run.take_block(order))

    def give_block(vm: Any, area: Any, pfn: int, order: int) -> None:
        a.run.give_block(pfn, order)

    return {calls.policy_call: policy_call, zone._take_block: take_block, zone._give_block: give_block}


def _meanings(a: Interposer) -> dict[Function, Function]:
    """What stands in the place of each function whose accesses are steps."""
    return _atomics(a) | _bits(a) | _plain(a) | _world(a)


AS_INTERPRETED: Final = frozenset(
    {
        p.VM_WARN_ON, p.u64, p.ptr_add, p.nth_page, p.as_folio, p.as_page, p.memory_of,
        p.page_to_pfn, p.pfn_to_page, p.pfn_folio, p.mm_at, p.cpu_at, p.zone_at, p.pte_at, p.copy_page, p.fill_page,
        p.prefetch,
    }
)  # fmt: skip
"""The primitives whose interpreted form is right here, since they touch nothing that another thread may see."""

p.require_all(AS_INTERPRETED | _meanings(Interposer()).keys(), "explored", "framework/verify/explored/primitives.py")


class Text:
    """The entry points of the engine and of a policy in their explored form.

    Attributes:
        entry_points: the explored form of each entry point of the engine.
        relaxes: whether the policy or its caller waits in loops of its own.
    """

    def __init__(self, scheme: Scheme) -> None:
        self.interposer = Interposer()
        put = _meanings(self.interposer)
        leaves = LEAVES | frozenset(put.values())
        tree = policy_tree(scheme)
        policy = CallTree(calls.ENTRIES, leaves, {**tree.replace, **put}, tree.constants)
        other = engine_tree(scheme.caller)  # refuses a text that no execution allows
        engine = CallTree(list(entrypoints.ENTRY_POINTS), leaves, {**other.replace, **put}, {})
        authors = author_functions(scheme.caller) if scheme.caller else set()
        texts = [*policy.needs.values(), *(needs for one, needs in engine.needs.items() if one in authors)]
        self.relaxes = any(put[p.cpu_relax] in needs.values() for needs in texts)
        twins: dict[Any, Any] = dict(policy.copies(self._skippable))
        self.interposer.entries = tuple(twins[entry] for entry in calls.ENTRIES)
        self.entry_points: dict[Any, Function] = dict(engine.copies(self._skippable))

    def _skippable(self, function: Any, twin: Function) -> Function:
        """The function as its callers see it: a run may skip it once it has returned (see `ThreadRun.function`)."""
        interposer = self.interposer

        def call(*arguments: Any) -> Any:
            return interposer.run.function(twin, arguments)

        return call


@cache
def text_of(scheme: Scheme) -> Text:
    """The explored form of a scheme's text, built once."""
    return Text(scheme)
