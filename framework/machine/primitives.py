"""The primitives, under their kernel names: what a policy and the engine may do to memory.

Each function here is the interpreted form of a primitive. The other executions give the same function a meaning of
their own: native code in `lowering` and `addressing`, the explored execution in `verify.explored.primitives`, the
symbolic one in `verify.symbolic.primitives`. Each of them refuses to start if it lacks a primitive (`require_all`).
Argument order is the kernel's: the value first, the reference last, except for READ_ONCE, WRITE_ONCE and cmpxchg. Every
value is a 64-bit signed integer; stores keep the field's width.

Memory order follows the kernel's rules: an operation that returns a value is fully ordered, one that
returns nothing is relaxed, `_lock` acquires, `_unlock` releases (Documentation/atomic_t.txt). Interpreted
execution is sequentially consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, Literal, TypeVar

from foliolab.framework.errors import LostLock, PrimitiveError
from foliolab.framework.machine.layout import CTYPES
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Page, Pointer, Pte, Zone
from foliolab.framework.machine.ref import Ref

PAGE_SIZE: Final = 4096
SPIN_LIMIT: Final = 1000
_U64: Final = CTYPES["u64"]
PointerT = TypeVar("PointerT", bound=Pointer)
FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

Effect = Literal["load", "store", "update", "atomic", "wait", "barrier", "check", "compute", "contents"]
"""The effect of a primitive. update: a load and a store that are not one instruction; atomic: one locked instruction on
x86-64; check: what must not be the case; compute: numbers and addresses, no access; contents: page contents, which are
not part of the memory."""

EFFECTS: Final[dict[Callable[..., object], Effect]] = {}
"""Every primitive, with its effect."""


def primitive(effect: Effect) -> Callable[[FunctionT], FunctionT]:
    """Declare the function below as a primitive with that effect."""

    def declare(function: FunctionT) -> FunctionT:
        EFFECTS[function] = effect
        return function

    return declare


# -- loads and stores ----------------------------------------------------------------------------
@primitive("load")
def READ_ONCE(ref: Ref) -> int:
    """Load that the compiler may neither repeat nor tear."""
    return ref.read("READ_ONCE")


@primitive("store")
def WRITE_ONCE(ref: Ref, value: int) -> None:
    """Store that the compiler may neither repeat nor tear."""
    ref.write("WRITE_ONCE", value)


@primitive("load")
def load(ref: Ref) -> int:
    """Plain load, for data that a lock protects."""
    return ref.read("load")


@primitive("store")
def store(ref: Ref, value: int) -> None:
    """Plain store, for data that a lock protects."""
    ref.write("store", value)


@primitive("load")
def smp_load_acquire(ref: Ref) -> int:
    """Load; nothing that follows it in the program is seen before it."""
    return ref.read("smp_load_acquire")


@primitive("store")
def smp_store_release(ref: Ref, value: int) -> None:
    """Store; nothing that precedes it in the program is seen after it."""
    ref.write("smp_store_release", value)


class Barriers:
    """Who is told of barriers, which access no memory that an observer could watch.

    Attributes:
        observer: called with a barrier's name; None for nobody.
    """

    observer: Callable[[str], None] | None = None

    def passed(self, name: str) -> None:
        """A barrier has been executed."""
        if self.observer is not None:
            self.observer(name)


BARRIERS: Final = Barriers()


@primitive("barrier")
def smp_mb() -> None:
    """Full memory barrier."""
    BARRIERS.passed("smp_mb")


@primitive("barrier")
def smp_rmb() -> None:
    """Read memory barrier."""
    BARRIERS.passed("smp_rmb")


@primitive("barrier")
def smp_wmb() -> None:
    """Write memory barrier."""
    BARRIERS.passed("smp_wmb")


# -- atomic_t ------------------------------------------------------------------------------------
@primitive("load")
def atomic_read(ref: Ref) -> int:
    """The counter's value."""
    return ref.read("atomic_read")


@primitive("store")
def atomic_set(ref: Ref, value: int) -> None:
    """Set the counter (a plain store)."""
    ref.write("atomic_set", value)


@primitive("atomic")
def atomic_add(value: int, ref: Ref) -> None:
    """Add, relaxed."""
    ref.rmw("atomic_add", lambda old: old + value)


@primitive("atomic")
def atomic_sub(value: int, ref: Ref) -> None:
    """Subtract, relaxed."""
    ref.rmw("atomic_sub", lambda old: old - value)


@primitive("atomic")
def atomic_inc(ref: Ref) -> None:
    """Add one, relaxed."""
    ref.rmw("atomic_inc", lambda old: old + 1)


@primitive("atomic")
def atomic_dec(ref: Ref) -> None:
    """Subtract one, relaxed."""
    ref.rmw("atomic_dec", lambda old: old - 1)


@primitive("atomic")
def atomic_add_return(value: int, ref: Ref) -> int:
    """Add; the new value."""
    return ref.rmw("atomic_add_return", lambda old: old + value)[1]


@primitive("atomic")
def atomic_sub_return(value: int, ref: Ref) -> int:
    """Subtract; the new value."""
    return ref.rmw("atomic_sub_return", lambda old: old - value)[1]


@primitive("atomic")
def atomic_inc_return(ref: Ref) -> int:
    """Add one; the new value."""
    return ref.rmw("atomic_inc_return", lambda old: old + 1)[1]


@primitive("atomic")
def atomic_dec_return(ref: Ref) -> int:
    """Subtract one; the new value."""
    return ref.rmw("atomic_dec_return", lambda old: old - 1)[1]


@primitive("atomic")
def atomic_fetch_add(value: int, ref: Ref) -> int:
    """Add; the old value."""
    return ref.rmw("atomic_fetch_add", lambda old: old + value)[0]


@primitive("atomic")
def atomic_inc_and_test(ref: Ref) -> bool:
    """Add one; whether the new value is 0."""
    return ref.rmw("atomic_inc_and_test", lambda old: old + 1)[1] == 0


@primitive("atomic")
def atomic_dec_and_test(ref: Ref) -> bool:
    """Subtract one; whether the new value is 0."""
    return ref.rmw("atomic_dec_and_test", lambda old: old - 1)[1] == 0


@primitive("atomic")
def atomic_sub_and_test(value: int, ref: Ref) -> bool:
    """Subtract; whether the new value is 0."""
    return ref.rmw("atomic_sub_and_test", lambda old: old - value)[1] == 0


@primitive("atomic")
def atomic_add_negative(value: int, ref: Ref) -> bool:
    """Add; whether the new value is negative, that is, its top bit is set."""
    return bool(ref.rmw("atomic_add_negative", lambda old: old + value)[1] >> (ref.ctype.bits - 1) & 1)


@primitive("atomic")
def xchg(value: int, ref: Ref) -> int:
    """Store; the old value."""
    return ref.rmw("xchg", lambda old: value)[0]


@primitive("atomic")
def cmpxchg(ref: Ref, old: int, new: int) -> int:
    """Store `new` if the value is `old`; the value found, either way."""
    expected = ref.ctype.wrapped(old)
    return ref.rmw("cmpxchg", lambda found: new if found == expected else found)[0]


# -- bit operations ------------------------------------------------------------------------------
def _with_bit(value: int, bit: int, ref: Ref) -> int:
    return ref.ctype.wrapped(value | 1 << bit)


def _without_bit(value: int, bit: int, ref: Ref) -> int:
    return ref.ctype.wrapped(value & ~(1 << bit))


@primitive("load")
def test_bit(bit: int, ref: Ref) -> bool:
    """Whether the bit is set (one load)."""
    return bool(ref.read("test_bit") >> bit & 1)


@primitive("atomic")
def set_bit(bit: int, ref: Ref) -> None:
    """Set the bit atomically."""
    ref.rmw("set_bit", lambda old: _with_bit(old, bit, ref))


@primitive("atomic")
def clear_bit(bit: int, ref: Ref) -> None:
    """Clear the bit atomically."""
    ref.rmw("clear_bit", lambda old: _without_bit(old, bit, ref))


@primitive("atomic")
def test_and_set_bit(bit: int, ref: Ref) -> bool:
    """Set the bit atomically; whether it was set before."""
    return bool(ref.rmw("test_and_set_bit", lambda old: _with_bit(old, bit, ref))[0] >> bit & 1)


@primitive("atomic")
def test_and_clear_bit(bit: int, ref: Ref) -> bool:
    """Clear the bit atomically; whether it was set before."""
    return bool(ref.rmw("test_and_clear_bit", lambda old: _without_bit(old, bit, ref))[0] >> bit & 1)


@primitive("atomic")
def test_and_set_bit_lock(bit: int, ref: Ref) -> bool:
    """Take a bit as a lock: set it with acquire order; whether it was set, so that another thread holds the lock."""
    return bool(ref.rmw("test_and_set_bit_lock", lambda old: _with_bit(old, bit, ref))[0] >> bit & 1)


@primitive("atomic")
def clear_bit_unlock(bit: int, ref: Ref) -> None:
    """Release a bit lock whose word others may change meanwhile: an atomic clear with release order."""
    ref.rmw("clear_bit_unlock", lambda old: _without_bit(old, bit, ref))


@primitive("update")
def __clear_bit_unlock(bit: int, ref: Ref) -> None:
    """Release a bit lock that protects its whole word: a plain store with release order."""
    ref.rmw("__clear_bit_unlock", lambda old: _without_bit(old, bit, ref))


@primitive("update")
def __set_bit(bit: int, ref: Ref) -> None:
    """Set the bit without atomicity (a load and a store)."""
    ref.write("__set_bit", _with_bit(ref.read("load"), bit, ref))


@primitive("update")
def __clear_bit(bit: int, ref: Ref) -> None:
    """Clear the bit without atomicity (a load and a store)."""
    ref.write("__clear_bit", _without_bit(ref.read("load"), bit, ref))


@primitive("wait")
def cpu_relax() -> None:
    """Tell the CPU that this is a spin loop."""


@primitive("wait")
def spin_wait_clear(bit: int, ref: Ref) -> None:
    """Wait until the bit is clear.

    Native code pauses at most SPIN_LIMIT times, then yields its time slice and counts that (see `native.yields`): the
    lock's holder has probably been preempted, so the sample does not measure contention.
    Interpreted code has one thread, so a held lock is a lost lock, unless a scheduler of threads set `Memory.waiter`.
    """
    while ref.read("READ_ONCE") >> bit & 1:
        if ref.mem.waiter is None:
            raise LostLock(
                f"bit {bit} of {ref!r} is held, and no thread is left that could release it",
                "look for a path that takes the lock and returns without releasing it",
            )
        ref.mem.waiter(ref, bit)


def bit_spin_lock(bit: int, ref: Ref) -> None:
    """Take a bit spinlock: one test-and-set if the lock is free."""
    while test_and_set_bit_lock(bit, ref):
        spin_wait_clear(bit, ref)


def bit_spin_unlock(bit: int, ref: Ref) -> None:
    """Release a bit spinlock that protects its whole word (`__bit_spin_unlock`: no atomic)."""
    __clear_bit_unlock(bit, ref)


@primitive("compute")
def prefetch(ref: Ref) -> None:
    """Ask the CPU to bring what the reference points to into its caches; memory stays as it is."""


# -- checks --------------------------------------------------------------------------------------
@primitive("check")
def VM_WARN_ON(condition: int) -> None:
    """The text's own check: the condition must not hold. `assert` is the same the other way round, with a message.

    The attacks of `foliolab verify` run it: where it fires, the law `checks` is broken. In what is timed or counted it
    is missing together with what it reads, as in a kernel without CONFIG_DEBUG_VM.
    """
    if condition:
        raise AssertionError


# -- numbers -------------------------------------------------------------------------------------
@primitive("compute")
def u64(value: int) -> int:
    """The value modulo 2^64, as a signed bit pattern: write it around arithmetic that is meant to wrap."""
    return _U64.wrapped(value)


# -- pointers ------------------------------------------------------------------------------------
@primitive("compute")
def ptr_add(ptr: PointerT, n: int) -> PointerT:
    """The n-th struct behind `ptr`; `nth_page` for struct pages."""
    return type(ptr)(ptr.mem, ptr.off + n * ptr.struct.size)


@primitive("compute")
def nth_page(page: Page, n: int) -> Page:
    """The struct page n pages further."""
    return type(page)(page.mem, page.off + n * page.struct.size)


@primitive("compute")
def as_folio(page: Page) -> Folio:
    """The struct folio that overlays this (head) page."""
    return page.mem.at("folio", page.off)


@primitive("compute")
def as_page(folio: Folio) -> Page:
    """The head page of a folio."""
    return folio.mem.at("page", folio.off)


@primitive("compute")
def memory_of(mm: MM) -> Memory:
    """The memory that an MM lies in, for a function that has only the pointer and reads page tables."""
    return mm.mem


@primitive("compute")
def page_to_pfn(vm: Memory, page: Page) -> int:
    """Page frame number: struct pages start at byte 0 of memory."""
    return int(page.off // vm.pointers["page"].struct.size)


@primitive("compute")
def pfn_to_page(vm: Memory, pfn: int) -> Page:
    """The struct page of a page frame."""
    return vm.at("page", pfn * vm.pointers["page"].struct.size)


@primitive("compute")
def pfn_folio(vm: Memory, pfn: int) -> Folio:
    """The struct folio whose head is that page frame."""
    return vm.at("folio", pfn * vm.pointers["page"].struct.size)


@primitive("compute")
def mm_at(vm: Memory, off: int) -> MM:
    """The struct mm at byte `off`."""
    return vm.at("mm", off)


@primitive("compute")
def cpu_at(vm: Memory, off: int) -> Cpu:
    """The per-CPU data at byte `off`."""
    return vm.at("cpu", off)


@primitive("compute")
def zone_at(vm: Memory, off: int) -> Zone:
    """The zone at byte `off`."""
    return vm.at("zone", off)


@primitive("compute")
def pte_at(vm: Memory, off: int) -> Pte:
    """The page-table entry at byte `off`."""
    return vm.at("pte", off)


@primitive("store")
def init_fields(ptr: Pointer, nr_pages: int) -> None:
    """Store the declared initial value in every field that has one and lies in the first struct pages."""
    nbytes = nr_pages * ptr.mem.pointers["page"].struct.size
    for field in ptr.struct.fields:
        if field.init is None or field.end > nbytes:
            continue
        ref: Ref = getattr(ptr, field.name)
        for i in range(field.count):
            (ref[i] if field.count > 1 else ref).write("init_fields", field.init)


# -- page contents -------------------------------------------------------------------------------
@primitive("contents")
def copy_page(contents: Memory, to_pfn: int, from_pfn: int) -> None:
    """Copy 4 KiB of page contents."""
    data = contents.buffer
    data[to_pfn * PAGE_SIZE : (to_pfn + 1) * PAGE_SIZE] = data[from_pfn * PAGE_SIZE : (from_pfn + 1) * PAGE_SIZE]


@primitive("contents")
def fill_page(contents: Memory, pfn: int, value: int, nbytes: int) -> None:
    """Store `value` into the first `nbytes` bytes of a page's contents (the application's write)."""
    contents.buffer[pfn * PAGE_SIZE : pfn * PAGE_SIZE + nbytes] = value & 0xFF


PRIMITIVES: Final = frozenset(EFFECTS)
"""Every primitive. All other functions are compiled, explored and solved from their text."""

ATOMIC_RMW: Final = frozenset(function.__name__ for function, effect in EFFECTS.items() if effect == "atomic")
"""The primitives that are one locked instruction on x86-64."""

_LOADS: Final = frozenset(function.__name__ for function, effect in EFFECTS.items() if effect == "load")


def reads(op: str) -> bool:
    """Whether the primitive of that name only loads."""
    return op in _LOADS


def require_all(known: Container[object], execution: str, file: str) -> None:
    """Check that an execution knows every primitive; its module calls this when it is imported.

    Args:
        known: the primitives that the execution knows.
        execution: its name, for the message.
        file: the file that gives primitives their meaning in this execution, for the message.

    Raises:
        PrimitiveError: the execution lacks a primitive.
    """
    if missing := sorted(function.__name__ for function in PRIMITIVES if function not in known):
        raise PrimitiveError(
            f"the {execution} execution does not know the primitive {', '.join(missing)}",
            f"add it to {file}; CONTRIBUTING.md lists all files (Add a primitive)",
        )
