"""Each primitive on each type: the native form answers and stores exactly what the interpreted form does."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foliolab.framework.machine import primitives as p
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.layout import CTYPES, Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate

native = pytest.importorskip("foliolab.framework.machine.native", reason="numba is missing")

CELLS = Struct("pte", 128, tuple(Field(f"v_{c}", c, 16 * i + 8, wraps=True) for i, c in enumerate(CTYPES)))
LAYOUTS = Layouts((Struct("page", 64, ()), Struct("folio", 64, ()), CELLS))

# name -> (call, what the operands are); x is any value of the type, b a bit of it, i any 64-bit integer
LOADS = {"READ_ONCE": "(r)", "load": "(r)", "smp_load_acquire": "(r)", "atomic_read": "(r)"}
STORES = {"WRITE_ONCE": "(r, x)", "store": "(r, x)", "smp_store_release": "(r, x)", "atomic_set": "(r, x)"}
COUNTS = {
    "atomic_add": "(x, r)", "atomic_sub": "(x, r)", "atomic_inc": "(r)", "atomic_dec": "(r)",
    "atomic_add_return": "(x, r)", "atomic_sub_return": "(x, r)", "atomic_inc_return": "(r)",
    "atomic_dec_return": "(r)",
    "atomic_fetch_add": "(x, r)", "atomic_inc_and_test": "(r)", "atomic_dec_and_test": "(r)",
    "atomic_sub_and_test": "(x, r)", "atomic_add_negative": "(x, r)", "xchg": "(x, r)", "cmpxchg": "(r, x, y)",
}  # fmt: skip
FLAGS = {"test_and_set_bit": "(b, r)", "test_and_clear_bit": "(b, r)", "test_and_set_bit_lock": "(b, r)"}
BITS = {
    "test_bit": "(b, r)", "set_bit": "(b, r)", "clear_bit": "(b, r)", "clear_bit_unlock": "(b, r)",
    "__clear_bit_unlock": "(b, r)", "__set_bit": "(b, r)", "__clear_bit": "(b, r)", "bit_spin_unlock": "(b, r)",
}  # fmt: skip
HINTS = {"prefetch": "(r)"}
ALL = LOADS | STORES | COUNTS | BITS | FLAGS | HINTS
VOID = {*STORES, *HINTS, "atomic_add", "atomic_sub", "atomic_inc", "atomic_dec", *BITS} - {"test_bit"}
CASES = [(op, c) for c in CTYPES for op in ALL if not (op in FLAGS and CTYPES[c].bits == 8)]


@cache
def chooser(ctype: str) -> tuple[Any, list[str]]:
    """One function per type with a branch per primitive, in the words a plugin's author would use."""
    ops = [op for op in ALL if (op, ctype) in CASES]
    lines = ["def chooser(vm, op, b, x, y):", f"    r = pte_at(vm, 0).v_{ctype}"]
    for number, op in enumerate(ops):
        call = f"{op}{ALL[op]}"
        lines += [
            f"    if op == {number}:",
            f"        {call}" if op in VOID else f"        return int({call})",
        ]
    space: dict[str, Any] = {name: getattr(p, name) for name in ALL} | {
        "pte_at": p.pte_at,
        "__name__": __name__,
    }
    exec("\n".join([*lines, "    return 0"]), space)
    return space["chooser"], ops


@cache
def compiled(ctype: str, one_thread: bool) -> Any:
    function, _ = chooser(ctype)
    tree = CallTree([function], p.PRIMITIVES, {}, {})
    return native.Library(tree, LAYOUTS, one_thread=one_thread).get(function, "miiii")


class Two(tuple[Memory, Memory]):
    """A memory for each form; `one_thread`: the native form is for one thread alone."""

    one_thread = False


def both(name: str, op: str, two: Two, bit: int, x: int, y: int) -> tuple[int, int]:
    """The interpreted and the native answer."""
    function, ops = chooser(name)
    number = ops.index(op)
    run = compiled(name, two.one_thread)
    return function(two[0], number, bit, x, y), run(two[1].addr, number, bit, x, y)


def same_bytes(two: Two) -> bool:
    return bytes(two[0].buffer) == bytes(two[1].buffer)


def start_with(two: Two, name: str, value: int) -> None:
    for memory in two:
        memory.buffer[:] = 0xA5
        getattr(memory.at("pte", 0), f"v_{name}").write("start", value)


@pytest.fixture(scope="module", params=[False, True], ids=["any-threads", "one-thread"])
def two(request: pytest.FixtureRequest) -> Two:
    made = Two((Memory(allocate(256), LAYOUTS), Memory(allocate(256), LAYOUTS)))
    made.one_thread = request.param
    return made


def integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return st.sampled_from([low, low + 1, high, high - 1, 0, 1, high // 2 + 1]) | st.integers(low, high)


@pytest.mark.parametrize(("op", "name"), CASES, ids=[f"{op}-{c}" for op, c in CASES])
def test_native_equals_interpreted(op: str, name: str, two: Two) -> None:
    ctype = CTYPES[name]
    values = integers(ctype.bits, ctype.signed)

    @settings(max_examples=6, database=None)
    @given(start=values, bit=st.integers(0, ctype.bits - 1), x=values, y=values, same=st.booleans())
    @example(start=0, bit=ctype.bits - 1, x=-1 if ctype.signed else 1, y=0, same=False)
    @example(start=ctype.low if ctype.bits < 64 else -1, bit=ctype.bits - 1, x=0, y=0, same=False)
    @example(start=ctype.high, bit=ctype.bits - 1, x=ctype.high, y=ctype.low, same=True)
    def check(start: int, bit: int, x: int, y: int, same: bool) -> None:
        if same:
            x = start  # compare-exchange finds what it expects, a subtraction reaches zero
        start_with(two, name, start)
        interpreted, native_answer = both(name, op, two, bit, x, y)
        assert native_answer == interpreted
        assert same_bytes(two), "the field, and nothing beside it, changed alike"

    check()


@pytest.mark.parametrize("op", ["atomic_add", "atomic_fetch_add", "atomic_sub_return", "xchg", "WRITE_ONCE"])
@pytest.mark.parametrize("name", CTYPES)
def test_operands_wider_than_the_field_wrap_alike(op: str, name: str, two: Two) -> None:
    for x in ((1 << 40) + 3, -(1 << 40) - 3, (1 << 63) - 1, -(1 << 63)):
        start_with(two, name, 7)
        interpreted, native_answer = both(name, op, two, 0, x, 0)
        assert native_answer == interpreted
        assert same_bytes(two)


@pytest.mark.parametrize("name", ["u8", "u16", "u32", "i8", "i16", "i32"])
def test_cmpxchg_compares_at_the_fields_width(name: str, two: Two) -> None:
    """C converts `old` to the field's type; all ones is found by -1."""
    ctype = CTYPES[name]
    start_with(two, name, -1 if ctype.signed else ctype.high)
    interpreted, native_answer = both(name, "cmpxchg", two, 0, ctype.high * 2 + 1 if ctype.signed else -1, 7)
    assert native_answer == interpreted
    assert same_bytes(two)


@pytest.mark.parametrize("name", CTYPES)
@pytest.mark.parametrize("op", ["set_bit", "clear_bit", "__set_bit", "__clear_bit", "__clear_bit_unlock"])
def test_top_bit_is_a_bit_like_any_other(op: str, name: str) -> None:
    """A flag or a lock may be the sign bit of its field; setting and clearing it overflows nothing."""
    ctype = CTYPES[name]
    vm = Memory(allocate(4096), Layouts((Struct("pte", 8, (Field("v", name, 0),)),)))
    ref = vm.at("pte", 0).v
    for value in (0, 5, ctype.high, ctype.low, -1 if ctype.signed else 1):
        ref.write("start", value)
        bits = value % (1 << ctype.bits)
        bits = bits & ~(1 << (ctype.bits - 1)) if "clear" in op else bits | 1 << (ctype.bits - 1)
        getattr(p, op)(ctype.bits - 1, ref)
        assert ref.peek() % (1 << ctype.bits) == bits


EIGHT_BITS = """
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.layout import Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate
from foliolab.framework.machine.native import Library
from foliolab.framework.machine.primitives import PRIMITIVES, pte_at, {op}

def run(vm, bit):
    return int({op}(bit, pte_at(vm, 0).v))

layouts = Layouts((Struct("page", 64, ()), Struct("folio", 64, ()), Struct("pte", 8, (Field("v", "{name}", 0),))))
vm = Memory(allocate(4096), layouts)
vm.buffer[0] = 0x81
answer = Library(CallTree([run], PRIMITIVES, {{}}, {{}}), layouts).get(run, "mi")(vm.addr, 7)
print("{op}", "{name}", answer, vm.buffer[0], flush=True)
"""


BYTES = ("u8", "i8")
OF_A_BYTE = {"test_and_set_bit": "1 129", "test_and_clear_bit": "1 1", "test_and_set_bit_lock": "1 129"}


@pytest.fixture(scope="module")
def flags_of_a_byte() -> subprocess.CompletedProcess[str]:
    """In a process of their own: x86 has no 8-bit `bts`, and the assembler's error would end this one."""
    code = "".join(EIGHT_BITS.format(op=op, name=name) for op in OF_A_BYTE for name in BYTES)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", BYTES)
@pytest.mark.parametrize(("op", "wanted"), OF_A_BYTE.items())
def test_bit_flags_of_a_byte(
    op: str, wanted: str, name: str, flags_of_a_byte: subprocess.CompletedProcess[str]
) -> None:
    assert f"{op} {name} {wanted}" in flags_of_a_byte.stdout.splitlines(), flags_of_a_byte.stderr[-400:]


# -- addresses, fresh fields, contents ---------------------------------------------------------------
PAGE = Struct(
    "page",
    128,
    (Field("flags", "u64", 0), Field("tail", "i32", 48, init=-1), Field("wide", "u64", 64, count=2, init=3)),
)
FOLIO = Struct(
    "folio",
    384,
    (
        Field("flags", "u64", 0),
        Field("one", "i32", 128 + 16, init=-1),
        Field("slots", "i32", 128 + 32, count=2, init=-1),
        Field("word", "u64", 128 + 40, init=1 << 62),
        Field("none", "u32", 128 + 60),
        Field("two", "u16", 256 + 8, init=77),
    ),
)
SMALL = Struct("mm", 64, (Field("id", "u32", 24),))
PLACES = Layouts(
    (
        PAGE,
        FOLIO,
        SMALL,
        Struct("pte", 8, (Field("pte", "u64", 0),)),
        Struct("cpu", 256, (Field("n", "i64", 128, count=4),)),
        Struct("zone", 64, (Field("lock", "u64", 0),)),
    )
)


def addresses(vm, n, i):
    p.store(p.nth_page(p.pfn_to_page(vm, n), i).flags, 1)
    p.store(p.ptr_add(p.pfn_to_page(vm, n), i + 1).tail, 2)
    p.store(p.pfn_folio(vm, n).two, 3)
    p.store(p.as_page(p.as_folio(p.pfn_to_page(vm, n))).wide[i & 1], 4)
    p.store(p.mm_at(vm, 2048).id, 5)
    p.store(p.cpu_at(vm, 2304).n[i & 3], 6)
    p.store(p.zone_at(vm, 2624).lock, 7)
    p.store(p.pte_at(vm, 3000).pte, 8)
    return p.page_to_pfn(vm, p.nth_page(p.pfn_to_page(vm, n), i))


def fresh(vm, n, pages):
    p.init_fields(p.pfn_folio(vm, n), pages)
    return 0


def wrapped(vm, x, y):
    return p.u64(p.u64(x * y) + x)


def contents(vm, to, source):
    p.fill_page(vm, source, to * 7 + 1, 4096)
    p.fill_page(vm, source, 255, 3)
    p.copy_page(vm, to, source)
    return 0


def big_value(vm, to, value):
    p.fill_page(vm, to, value, 2)
    return 0


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        *((addresses, (n, i)) for n in (0, 3) for i in (0, 1, 3)),
        *((fresh, (n, pages)) for n in (0, 5) for pages in (1, 2, 3, 8)),
        *((wrapped, pair) for pair in ((1 << 62, 5), (-1, -1), ((1 << 63) - 1, (1 << 63) - 1), (0x5DEECE66D, -7))),
        *((contents, pair) for pair in ((0, 1), (1, 0), (3, 2))),
        *((big_value, (1, value)) for value in (0, 255, 256, -1, 1 << 40)),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "-".join(map(str, value)),
)
def test_addresses_and_contents(function: Any, arguments: tuple[int, ...]) -> None:
    here, there = (Memory(allocate(4 * 4096), PLACES) for _ in range(2))
    library = native.Library(CallTree([function], p.PRIMITIVES, {}, {}), PLACES)
    answer = function(here, *arguments)
    answer = (answer + (1 << 63)) % (1 << 64) - (1 << 63)
    assert library.get(function, "mii")(there.addr, *arguments) == answer
    assert bytes(here.buffer) == bytes(there.buffer)


def test_memory_is_shared_with_native_code() -> None:
    memory = Memory(allocate(4096), PLACES)
    assert memory.addr == memory.buffer.ctypes.data
    assert memory.addr % (2 << 20) == 0, "struct pages start on a huge page"
    memory.buffer[5] = 9
    assert ctypes.c_uint8.from_address(memory.addr + 5).value == 9
