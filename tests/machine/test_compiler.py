"""The quick compiler: what it compiles computes what Python computes; the rest is numba's."""

from __future__ import annotations

import ctypes
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foliolab.framework.machine.calltree import CallTree, noinline
from foliolab.framework.machine.layout import Layouts
from foliolab.framework.machine.primitives import PRIMITIVES
from foliolab.framework.machine.source import definition, exact_definition

native = pytest.importorskip("foliolab.framework.machine.native", reason="numba is missing")

FLAG, OFF = True, 0
TABLE = (5, -7, 1 << 40, -(1 << 63))
EDGE = (1 << 63) - 1


def arithmetic(a: int, b: int) -> int:
    return (a + b * 3 - 7) ^ (a & b) | (~b & 0xFF) + -a


def rounds_down(a: int, b: int) -> int:
    if b == 0:
        return a // 8 + a % 8 + (a >> 3)
    return a // b * 1000 + a % b


def shifts(a: int, b: int) -> int:
    return (a << (b & 7)) + (a >> (b & 15))


def truth_or_number(a: int, b: int) -> int:
    found: int = a > b
    for _ in range(3):
        found = found + 1
    flag = not a
    return found * 10 + flag + (a == b) + (flag & (b > 0))


def decides(a: int, b: int) -> int:
    return (a and b) * 3 + (a or b) + bool(a or b) + int(not (a and b)) + (a < 0 or b)


def chains(a: int, b: int) -> bool:
    return 0 < a <= b < 10 and a != b


def members(a: int, b: int) -> int:
    return (a in (1, 2, b)) * 2 + (a not in (0, -1))


def loops(a: int, b: int) -> int:
    total = 0
    for i in range(a):
        if i == 3:
            continue
        if i > 6:
            break
        for k in range(10, i, -(b & 3) - 1):
            total += k * i
    while True:
        total -= 5
        if total < 0:
            return total
        if total % 7 == 0:
            break
    while total > 3:
        total //= 2
    return total


def pair(a: int, b: int = 4) -> tuple[int, bool]:
    if a > b:
        return a, True
    return b, a == 0


def pairs(a: int, b: int) -> int:
    first = pair(b=b, a=a)
    x, y = pair(a)
    x, a = a, x
    return first[0] * 100 + x * 10 + y + a + first[1]


def elements(a: int, b: int) -> int:
    return TABLE[a & 3] // 2 + TABLE[1] + TABLE[-1 - (b & 1)] // 4


def choices(a: int, b: int) -> int:
    if FLAG and a > 100:
        return 1
    if OFF:
        return nothing(a) + pair(a, b)  # type: ignore[func-returns-value,operator]  # left out, as OFF is 0
    return min(a, b, 3) + max(a, b) + abs(a - b) + (b if a > 0 else a > b) + (EDGE >> 62)


def nothing(a: int) -> None:
    if a:
        return
    return


def ends(a: int, b: int) -> int:
    nothing(a)
    if a > 0:
        return 1
    elif b > 0:
        return 2
    else:
        return 3


@noinline
def far(a: int, b: int) -> int:
    return a - b if a > b else a * 7 + b


def near(a: int, b: int) -> int:
    return a ^ b


def calls_far(a: int, b: int) -> int:
    return far(a, b) * 10 + far(b, a) + near(a, b)


FITTING: list[Callable[[int, int], int]] = [
    arithmetic, rounds_down, shifts, truth_or_number, decides, chains, members, loops, pairs, elements, choices, ends,
    calls_far,
]  # fmt: skip
VALUES = (-(1 << 40), -17, -8, -1, 0, 1, 2, 3, 7, 8, 9, 255)


def library(*functions: Any) -> Any:
    return native.Library(CallTree(functions, PRIMITIVES, {}, {}), Layouts(()))


@pytest.fixture(scope="module")
def compiled() -> dict[Any, Callable[..., int]]:
    """All functions as one table, which is one piece of native code."""
    made = library(*FITTING)
    addresses = made.table(FITTING, "ii")
    assert made.quick
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    return {function: kind(address) for function, address in zip(FITTING, addresses, strict=True)}


@pytest.mark.parametrize("function", FITTING, ids=lambda function: function.__name__)
def test_native_and_python_agree(function: Callable[[int, int], int], compiled: dict[Any, Any]) -> None:
    def wrapped(value: int) -> int:
        return (value + (1 << 63)) % (1 << 64) - (1 << 63)

    for a, b in itertools.product(VALUES, VALUES):
        assert compiled[function](a, b) == wrapped(int(function(a, b))), (a, b)


def test_a_marked_function_is_called_and_another_contained() -> None:
    text = library(calls_far).assembly(calls_far, "ii")
    assert re.search(r"\.far:$", text, re.MULTILINE)
    assert ".near" not in text


def by_zero(a: int, b: int) -> int:
    return a // b + a % b


def test_divisions_that_the_processor_refuses() -> None:
    run = library(by_zero).get(by_zero, "ii")
    assert run(5, 0) == 0
    assert run(-(1 << 63), -1) == -(1 << 63)


def cells(row: Any, table: Any, at: int) -> int:
    both = (row, table)
    row[at] += table[at, 1]
    table[-1, 0], table[0, 0] = row.size, written(both, (at, 5))
    return table.shape[0] * 10 + table.shape[1]


def written(both: Any, where: tuple[int, int]) -> int:
    row, table = both
    at, value = where
    table[at, 2] = value
    return row[-1] if at else 0


def test_arrays() -> None:
    row, table = np.array([1, 2, 3]), np.arange(12).reshape(4, 3)
    made = library(cells)
    assert made.is_quick([cells], "vti")
    run = made.get(cells, "vti")
    assert run(row, table, np.int64(2)) == 43
    assert row.tolist() == [1, 2, 10]
    assert table.tolist() == [[10, 1, 2], [3, 4, 5], [6, 7, 5], [3, 10, 11]]
    for wrong in (row.astype(np.int32), row[::2]):
        with pytest.raises(TypeError, match="an array of"):
            run(wrong, table, 1)


def floats(a: int, b: int) -> int:
    return int(a * 0.5) + b


def calls_itself(a: int, b: int) -> int:
    return a if a <= b else calls_itself(a - 1, b)


def test_numba_compiles_the_rest() -> None:
    made = library(floats)
    assert not made.is_quick([floats], "ii")
    assert made.get(floats, "ii")(5, 1) == 3
    assert not library(calls_itself).is_quick([calls_itself], "ii")


def test_a_file_that_has_changed_gives_no_text(tmp_path: Path) -> None:
    file = tmp_path / "later.py"
    file.write_text("def f(a):\n    return a + 1\n")
    space: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    file.write_text("def f(a):\n    return a + 2\n")
    assert definition(space["f"]) is not None and exact_definition(space["f"]) is None
    unchanged: Any = arithmetic
    assert exact_definition(unchanged) is not None


def test_what_ships_is_compiled_quickly() -> None:
    from foliolab.framework.engine import calls, entrypoints
    from foliolab.framework.engine.engine import engine_library, policy_library
    from foliolab.framework.engine.structs import engine_layouts
    from foliolab.framework.plugins.registry import load
    from foliolab.framework.replay.loop import replay_chunk

    shipped = load().policies.values()
    for policy in shipped:
        assert policy_library(policy.with_parameters()).is_quick(calls.ENTRIES, calls.KINDS), policy.name
    layouts = engine_layouts(next(iter(shipped)).with_parameters())
    for entry in (entrypoints.populate, entrypoints.swap_out):
        assert engine_library(layouts, None).is_quick([entry], entrypoints.ENTRY_POINTS[entry]), entry.__name__
    assert engine_library(layouts, replay_chunk).is_quick([replay_chunk], "mmiii")


def test_numba_compiles_a_shipped_policy_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would a plugin's text, in a process of its own: what LLVM cannot link ends the process.

    The cache is empty, since code of an earlier session would hide that. LLVM links what was compiled before when
    something else is compiled.
    """
    from foliolab.framework.engine import calls
    from foliolab.framework.engine.policytree import policy_tree
    from foliolab.framework.engine.structs import layouts_of
    from foliolab.framework.isolation.process import call_in_child
    from foliolab.policies import rmap_id

    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    scheme = rmap_id.POLICY.with_parameters({"stage": "batch", "batched": 0})
    made = native.Library(policy_tree(scheme), layouts_of(scheme), quick=False)

    def compiled() -> str:
        addresses = made.table(calls.ENTRIES, calls.KINDS)
        return f"{sum(map(bool, addresses))}, {library(floats).get(floats, 'ii')(5, 1)}"

    assert call_in_child(compiled, 240) == f"{len(calls.ENTRIES)}, 3"
