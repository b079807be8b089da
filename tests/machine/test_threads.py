"""Two threads without the GIL: atomics lose nothing, and a bit spinlock protects what is plain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from foliolab.framework.machine import primitives as p
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.layout import Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate

native = pytest.importorskip("foliolab.framework.machine.native", reason="numba is missing")

LAYOUTS = Layouts(
    (
        Struct("page", 64, ()),
        Struct("folio", 64, ()),
        Struct("pte", 64, (Field("count", "i64", 0), Field("word", "u64", 8), Field("small", "i32", 16))),
    )
)
LOCK = 63


def add(vm, n):
    ref = p.pte_at(vm, 0).count
    for _ in range(n):
        p.atomic_add(1, ref)
    return 0


def add_small(vm, n):
    ref = p.pte_at(vm, 0).small
    for _ in range(n):
        p.atomic_inc(ref)
    return 0


def add_negative(vm, n):
    """The flag-output form that removal uses."""
    ref = p.pte_at(vm, 0).count
    negative = 0
    for _ in range(n):
        if p.atomic_add_negative(-1, ref):
            negative += 1
    return negative


def exchange(vm, n):
    ref = p.pte_at(vm, 0).count
    for _ in range(n):
        old = p.READ_ONCE(ref)
        while True:
            found = p.cmpxchg(ref, old, old + 1)
            if found == old:
                break
            old = found
    return 0


def locked(vm, n):
    entry = p.pte_at(vm, 0)
    for _ in range(n):
        p.bit_spin_lock(LOCK, entry.word)
        p.store(entry.count, p.load(entry.count) + 1)
        p.bit_spin_unlock(LOCK, entry.word)
    return 0


def hammer(function: Callable[..., int], n: int, start: int = 0) -> tuple[Memory, list[int]]:
    """Two threads run the native form at once."""
    vm = Memory(allocate(4096), LAYOUTS)
    p.store(vm.at("pte", 0).count, start)
    run = native.Library(CallTree([function], p.PRIMITIVES, {}, {}), LAYOUTS).get(function, "mi")
    gate = threading.Barrier(2)
    answers: list[int] = []

    def work() -> None:
        gate.wait()
        answers.append(run(vm.addr, n))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return vm, answers


@pytest.mark.parametrize(
    ("function", "n", "field"),
    [
        (add, 2_000_000, "count"),
        (add_small, 2_000_000, "small"),
        (exchange, 500_000, "count"),
        (locked, 500_000, "count"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_two_threads_lose_nothing(function: Any, n: int, field: str) -> None:
    vm, _ = hammer(function, n)
    assert getattr(vm.at("pte", 0), field).peek() == 2 * n
    assert vm.at("pte", 0).word.peek() == 0, "the lock was given back"


def test_the_sign_of_every_decrement_is_that_threads_own() -> None:
    """Of 2n decrements from n exactly n leave a negative value: a flag read late would miscount."""
    n = 1_000_000
    vm, answers = hammer(add_negative, n, start=n)
    assert vm.at("pte", 0).count.peek() == -n
    assert sum(answers) == n


def test_a_held_lock_makes_native_code_yield_and_then_go_on() -> None:
    """Spins are bounded: the waiter gives up its time slice, is counted, and still gets the lock in the end."""
    vm = Memory(allocate(4096), LAYOUTS)
    word = vm.at("pte", 0).word
    p.set_bit(LOCK, word)
    run = native.Library(CallTree([locked], p.PRIMITIVES, {}, {}), LAYOUTS).get(locked, "mi")
    before = native.yields()
    waiter = threading.Thread(target=run, args=(vm.addr, 1))
    waiter.start()
    waiter.join(0.2)
    assert waiter.is_alive()
    assert vm.at("pte", 0).count.peek() == 0
    p.clear_bit(LOCK, word)
    waiter.join(30)
    assert not waiter.is_alive()
    assert vm.at("pte", 0).count.peek() == 1
    assert native.yields() > before
