"""Interpreted memory: every access is seen, every width and bound checked."""

from __future__ import annotations

from typing import Any

import pytest

from foliolab.framework.errors import AccessError, FieldOverflow
from foliolab.framework.machine import primitives as p
from foliolab.framework.machine.layout import CTYPES, Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate
from foliolab.framework.machine.primitives import ATOMIC_RMW, PRIMITIVES, reads
from foliolab.framework.machine.ref import Ref

SIZE = 4096
PAGE = Struct("page", 64, (Field("flags", "u64", 0), Field("count", "i32", 8), Field("few", "u16", 16, count=3)))
FOLIO = Struct("folio", 128, (Field("flags", "u64", 0), Field("second", "i32", 64)))
PTE = Struct("pte", 8, (Field("pte", "u64", 0),))
NARROW = Struct("cell", 64, tuple(Field(f"v_{c}", c, 8 * i) for i, c in enumerate(CTYPES)))
WRAPPING = Struct("ring", 64, tuple(Field(f"v_{c}", c, 8 * i, wraps=True) for i, c in enumerate(CTYPES)))


@pytest.fixture
def vm() -> Memory:
    return Memory(allocate(SIZE), Layouts((PAGE, FOLIO, PTE, NARROW, WRAPPING)))


class Seen:
    def __init__(self) -> None:
        self.log: list[tuple[str, str, int, int]] = []

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        self.log.append((op, ref.field.name, old, new))


# -- bounds -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "reach",
    [
        lambda vm: vm.at("page", SIZE),
        lambda vm: vm.at("page", SIZE - 8),
        lambda vm: vm.at("page", -64),
        lambda vm: vm.at("pte", SIZE - 4),
        lambda vm: p.nth_page(vm.at("page", 0), SIZE // 64),
        lambda vm: p.nth_page(vm.at("page", 0), -1),
        lambda vm: p.ptr_add(vm.at("page", SIZE - 64), 1),
        lambda vm: p.pfn_to_page(vm, SIZE // 64),
        lambda vm: p.pfn_folio(vm, -1),
        lambda vm: p.pte_at(vm, 1 << 62),
        # the last struct page starts a struct folio, but that folio has no second page
        lambda vm: p.load(p.pfn_folio(vm, SIZE // 64 - 1).second),
        lambda vm: p.store(p.pfn_folio(vm, SIZE // 64 - 1).second, 1),
    ],
    ids=[
        "behind", "partly-behind", "before", "last-word", "page-behind", "page-before", "ptr-behind", "pfn-behind",
        "pfn-before", "far", "load-tail", "store-tail",
    ],
)  # fmt: skip
def test_out_of_bounds(vm: Memory, reach: Any) -> None:
    with pytest.raises(AccessError):
        reach(vm)


def test_misaligned_pointer_is_refused(vm: Memory) -> None:
    """A field at an unaligned address would be another cell interpreted than native."""
    with pytest.raises(AccessError):
        p.load(vm.at("pte", 4).pte)


def test_last_struct_of_memory_is_inside(vm: Memory) -> None:
    p.store(p.nth_page(vm.at("page", 0), SIZE // 64 - 1).count, -5)
    assert p.load(vm.at("page", SIZE - 64).count) == -5


def test_unknown_field_names_the_others(vm: Memory) -> None:
    with pytest.raises(AccessError, match="struct page has no field 'mapcount'") as fault:
        _ = vm.at("page", 0).mapcount
    assert "flags, count, few" in str(fault.value)


def test_array_index_bounds(vm: Memory) -> None:
    few = vm.at("page", 0).few
    for i in range(3):
        p.store(few[i], 100 + i)
    assert [few[i].peek() for i in range(3)] == [100, 101, 102]
    for index in (3, -1):
        with pytest.raises(AccessError, match="the array has 3 elements"):
            _ = few[index]


# -- widths ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CTYPES)
def test_overflow_is_an_error(vm: Memory, name: str) -> None:
    ctype = CTYPES[name]
    ref = getattr(vm.at("cell", 0), f"v_{name}")
    for edge, step in ((ctype.high, 1), (ctype.low, -1)):
        p.store(ref, edge)
        with pytest.raises(FieldOverflow, match=f"cell.v_{name}: {edge + step} does not fit {name}"):
            p.store(ref, edge + step)
        with pytest.raises(FieldOverflow):
            p.atomic_add(step, ref)
        assert p.load(ref) == edge, "a refused store changes nothing"


@pytest.mark.parametrize("name", CTYPES)
def test_wrapping_field_wraps(vm: Memory, name: str) -> None:
    ctype = CTYPES[name]
    ref = getattr(vm.at("ring", 0), f"v_{name}")
    p.store(ref, ctype.high)
    assert p.atomic_add_return(1, ref) == ctype.low
    assert p.atomic_sub_return(1, ref) == ctype.high
    p.store(ref, ctype.high + 3)
    assert p.load(ref) == ctype.low + 2


@pytest.mark.parametrize(
    ("value", "wrapped"),
    [
        (0, 0),
        (-1, -1),
        ((1 << 63) - 1, (1 << 63) - 1),
        (1 << 63, -(1 << 63)),
        ((1 << 64) - 1, -1),
        ((1 << 64) + 5, 5),
        (-(1 << 63) - 1, (1 << 63) - 1),
        (0x9E3779B97F4A7C15 * 0xFFFFFFFFFF, (0x9E3779B97F4A7C15 * 0xFFFFFFFFFF) % (1 << 64)),
    ],
)
def test_u64_is_modulo_two_to_the_64(value: int, wrapped: int) -> None:
    answer = p.u64(value)
    assert -(1 << 63) <= answer < 1 << 63
    assert answer % (1 << 64) == wrapped % (1 << 64)


# -- the observer ------------------------------------------------------------------------------------
SEEN = [
    (p.READ_ONCE, [("READ_ONCE", 5, 5)]),
    (p.load, [("load", 5, 5)]),
    (p.smp_load_acquire, [("smp_load_acquire", 5, 5)]),
    (p.atomic_read, [("atomic_read", 5, 5)]),
    (lambda r: p.test_bit(0, r), [("test_bit", 5, 5)]),
    (lambda r: p.WRITE_ONCE(r, 9), [("WRITE_ONCE", 5, 9)]),
    (lambda r: p.store(r, 9), [("store", 5, 9)]),
    (lambda r: p.smp_store_release(r, 9), [("smp_store_release", 5, 9)]),
    (lambda r: p.atomic_set(r, 9), [("atomic_set", 5, 9)]),
    (lambda r: p.atomic_add(2, r), [("atomic_add", 5, 7)]),
    (lambda r: p.atomic_sub(2, r), [("atomic_sub", 5, 3)]),
    (p.atomic_inc, [("atomic_inc", 5, 6)]),
    (p.atomic_dec, [("atomic_dec", 5, 4)]),
    (lambda r: p.atomic_add_return(2, r), [("atomic_add_return", 5, 7)]),
    (lambda r: p.atomic_sub_return(2, r), [("atomic_sub_return", 5, 3)]),
    (p.atomic_inc_return, [("atomic_inc_return", 5, 6)]),
    (p.atomic_dec_return, [("atomic_dec_return", 5, 4)]),
    (lambda r: p.atomic_fetch_add(2, r), [("atomic_fetch_add", 5, 7)]),
    (p.atomic_inc_and_test, [("atomic_inc_and_test", 5, 6)]),
    (p.atomic_dec_and_test, [("atomic_dec_and_test", 5, 4)]),
    (lambda r: p.atomic_sub_and_test(2, r), [("atomic_sub_and_test", 5, 3)]),
    (lambda r: p.atomic_add_negative(2, r), [("atomic_add_negative", 5, 7)]),
    (lambda r: p.xchg(9, r), [("xchg", 5, 9)]),
    (lambda r: p.cmpxchg(r, 5, 9), [("cmpxchg", 5, 9)]),
    (lambda r: p.cmpxchg(r, 4, 9), [("cmpxchg", 5, 5)]),
    (lambda r: p.set_bit(1, r), [("set_bit", 5, 7)]),
    (lambda r: p.clear_bit(0, r), [("clear_bit", 5, 4)]),
    (lambda r: p.test_and_set_bit(1, r), [("test_and_set_bit", 5, 7)]),
    (lambda r: p.test_and_clear_bit(0, r), [("test_and_clear_bit", 5, 4)]),
    (lambda r: p.test_and_set_bit_lock(1, r), [("test_and_set_bit_lock", 5, 7)]),
    (lambda r: p.clear_bit_unlock(0, r), [("clear_bit_unlock", 5, 4)]),
    (lambda r: getattr(p, "__clear_bit_unlock")(0, r), [("__clear_bit_unlock", 5, 4)]),
    (lambda r: getattr(p, "__set_bit")(1, r), [("load", 5, 5), ("__set_bit", 5, 7)]),
    (lambda r: getattr(p, "__clear_bit")(0, r), [("load", 5, 5), ("__clear_bit", 5, 4)]),
    (lambda r: p.spin_wait_clear(1, r), [("READ_ONCE", 5, 5)]),
    (lambda r: p.bit_spin_lock(1, r), [("test_and_set_bit_lock", 5, 7)]),
    (lambda r: p.bit_spin_unlock(0, r), [("__clear_bit_unlock", 5, 4)]),
]


@pytest.mark.parametrize(("run", "wanted"), SEEN, ids=[f"{w[-1][0]}-{i}" for i, (_, w) in enumerate(SEEN)])
def test_observer_sees_every_access(vm: Memory, run: Any, wanted: list[tuple[str, int, int]]) -> None:
    ref = vm.at("page", 64).count
    p.store(ref, 5)
    seen = vm.observer = Seen()
    run(ref)
    assert seen.log == [(op, "count", old, new) for op, old, new in wanted]
    assert ref.peek() == wanted[-1][2]


def test_every_primitive_that_touches_memory_is_seen() -> None:
    """The table above names them all; those left out check, or compute addresses, order or page contents."""
    covered = {op for _, wanted in SEEN for op, _, _ in wanted} | {"spin_wait_clear"}
    untouched = {
        "smp_mb", "smp_rmb", "smp_wmb", "VM_WARN_ON", "cpu_relax", "u64", "ptr_add", "nth_page", "as_folio", "as_page",
        "memory_of", "page_to_pfn", "pfn_to_page", "pfn_folio", "mm_at", "cpu_at", "zone_at", "pte_at", "init_fields",
        "copy_page", "fill_page", "prefetch",
    }  # fmt: skip
    assert {f.__name__ for f in PRIMITIVES} == covered | untouched
    assert covered >= ATOMIC_RMW
    assert {op for op in covered if reads(op)} == {
        "READ_ONCE",
        "load",
        "smp_load_acquire",
        "atomic_read",
        "test_bit",
    }


def test_lost_lock_is_reported(vm: Memory) -> None:
    ref = vm.at("page", 0).flags
    p.bit_spin_lock(63, ref)
    with pytest.raises(AccessError, match="bit 63"):
        p.bit_spin_lock(63, ref)
    p.bit_spin_unlock(63, ref)
    assert p.load(ref) == 0
