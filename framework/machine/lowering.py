"""Native forms of the primitives that touch memory: loads, stores, atomics, bits, spinning.

Atomics whose flag result is tested become flag-output inline assembly on x86-64, as the kernel's own
macros do; LLVM would turn them into `lock xadd` or a `cmpxchg` loop, which misstates their cost.
In code for one thread alone (see `codegen`) every access is a plain one: what it does to memory is the same.
"""

from __future__ import annotations

import platform
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

from foliolab.framework.machine import primitives as p
from foliolab.framework.machine.codegen import for_one_thread
from foliolab.framework.machine.nativetypes import (
    CLOBBER,
    I64,
    INT,
    X86,
    Lowering,
    bits_of,
    cell_at,
    narrow,
    ref_first,
    ref_last,
    register,
    widen,
)
from foliolab.framework.machine.numba_parts import cgutils

if X86:
    llvm.initialize_native_asmparser()  # without it, inline assembly aborts the process


# -- loads and stores --------------------------------------------------------------------------------
def _lower_load(ordering: str | None) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[-1]
        cell = cell_at(builder, args[-1], ref)
        if ordering is None or for_one_thread():
            return widen(builder, builder.load(cell), ref)
        return widen(builder, builder.load_atomic(cell, ordering, bits_of(ref) // 8), ref)

    return lower


def _lower_store(ordering: str | None) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[0]
        cell = cell_at(builder, args[0], ref)
        value = narrow(context, builder, args[1], sig.args[1], ref)
        if ordering is None or for_one_thread():
            builder.store(value, cell)
        else:
            builder.store_atomic(value, cell, ordering, bits_of(ref) // 8)
        return context.get_dummy_value()

    return lower


register(p.READ_ONCE, ref_first(INT), _lower_load("monotonic"))
register(p.atomic_read, ref_first(INT), _lower_load("monotonic"))
register(p.load, ref_first(INT), _lower_load(None))
register(p.smp_load_acquire, ref_first(INT), _lower_load("acquire"))
register(p.WRITE_ONCE, ref_first(types.void), _lower_store("monotonic"))
register(p.atomic_set, ref_first(types.void), _lower_store("monotonic"))
register(p.store, ref_first(types.void), _lower_store(None))
register(p.smp_store_release, ref_first(types.void), _lower_store("release"))


def _lower_prefetch(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    address = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
    word = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(prefetch, [address, word(0), word(3), word(1)])  # to read, into every cache, data
    return context.get_dummy_value()


register(p.prefetch, ref_first(types.void), _lower_prefetch)


def _lower_fence(ordering: str) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not for_one_thread():
            builder.fence(ordering)
        return context.get_dummy_value()

    return lower


register(p.smp_mb, lambda: types.void, _lower_fence("seq_cst"))
register(p.smp_rmb, lambda: types.void, _lower_fence("acquire"))
register(p.smp_wmb, lambda: types.void, _lower_fence("release"))


# -- read-modify-write -------------------------------------------------------------------------------
def _rmw(builder: Any, op: str, cell: Any, value: Any, ordering: str) -> Any:
    """Change a cell by `op` (add, sub, and, or, xchg); its old value."""
    if not for_one_thread():
        return builder.atomic_rmw(op, cell, value, ordering)
    old = builder.load(cell)
    change = {"add": builder.add, "sub": builder.sub, "and": builder.and_, "or": builder.or_}
    builder.store(value if op == "xchg" else change[op](old, value), cell)
    return old


def _lower_rmw(op: str, result: str, *, const: int | None = None, ordering: str = "seq_cst") -> Lowering:
    """An LLVM atomic; `result` is old, new, zero (new is 0), negative, or void."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[-1]
        cell = cell_at(builder, args[-1], ref)
        width = ir.IntType(bits_of(ref))
        value = width(const) if const is not None else narrow(context, builder, args[0], sig.args[0], ref)
        old = _rmw(builder, op, cell, value, ordering)
        if result == "void":
            return context.get_dummy_value()
        if result == "old":
            return widen(builder, old, ref)
        new = builder.add(old, value) if op == "add" else builder.sub(old, value)
        if result == "new":
            return widen(builder, new, ref)
        return builder.icmp_signed("==" if result == "zero" else "<", new, width(0))

    return lower


def _lower_flag(instruction: str, flag: str, fallback: Lowering, *, const: int | None = None) -> Lowering:
    """One locked instruction whose CPU flag is the answer; on other machines, and for one thread, `fallback`."""
    suffix = {8: "b", 16: "w", 32: "l", 64: "q"}

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[-1]
        if for_one_thread() or (bits_of(ref) == 8 and instruction.startswith("bt")):
            return fallback(context, builder, sig, args)  # there is no btsb
        width = ir.IntType(bits_of(ref))
        value = width(const) if const is not None else narrow(context, builder, args[0], sig.args[0], ref)
        immediate = "re" if bits_of(ref) == 64 else "ri"
        kind = ir.FunctionType(ir.IntType(8), [I64, width])
        text = f"lock {instruction}{suffix[bits_of(ref)]} $2, ($1)"
        answer = builder.asm(kind, text, f"={{@cc{flag}}},r,{immediate},{CLOBBER}", [args[-1], value], True)
        return builder.trunc(answer, ir.IntType(1))

    return lower if X86 else fallback


register(p.atomic_add, ref_last(types.void), _lower_rmw("add", "void", ordering="monotonic"))
register(p.atomic_sub, ref_last(types.void), _lower_rmw("sub", "void", ordering="monotonic"))
register(p.atomic_inc, ref_last(types.void), _lower_rmw("add", "void", const=1, ordering="monotonic"))
register(p.atomic_dec, ref_last(types.void), _lower_rmw("sub", "void", const=1, ordering="monotonic"))
register(p.atomic_add_return, ref_last(INT), _lower_rmw("add", "new"))
register(p.atomic_sub_return, ref_last(INT), _lower_rmw("sub", "new"))
register(p.atomic_inc_return, ref_last(INT), _lower_rmw("add", "new", const=1))
register(p.atomic_dec_return, ref_last(INT), _lower_rmw("sub", "new", const=1))
register(p.atomic_fetch_add, ref_last(INT), _lower_rmw("add", "old"))
register(p.xchg, ref_last(INT), _lower_rmw("xchg", "old"))
_function: Any
for _function, _instruction, _flag, _result, _const in (
    (p.atomic_inc_and_test, "add", "z", "zero", 1),
    (p.atomic_dec_and_test, "sub", "z", "zero", 1),
    (p.atomic_sub_and_test, "sub", "z", "zero", None),
    (p.atomic_add_negative, "add", "s", "negative", None),
):
    _plain = _lower_rmw(_instruction, _result, const=_const)
    register(_function, ref_last(types.boolean), _lower_flag(_instruction, _flag, _plain, const=_const))


def _lower_cmpxchg(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    ref = sig.args[0]
    old = narrow(context, builder, args[1], sig.args[1], ref)
    new = narrow(context, builder, args[2], sig.args[2], ref)
    cell = cell_at(builder, args[0], ref)
    if for_one_thread():
        found = builder.load(cell)
        builder.store(builder.select(builder.icmp_unsigned("==", found, old), new, found), cell)
        return widen(builder, found, ref)
    pair = builder.cmpxchg(cell, old, new, "seq_cst", "seq_cst")
    return widen(builder, builder.extract_value(pair, 0), ref)


register(p.cmpxchg, ref_first(INT), _lower_cmpxchg)


# -- bits ------------------------------------------------------------------------------------------
def _mask(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    bit = narrow(context, builder, args[0], sig.args[0], sig.args[1])
    return builder.shl(ir.IntType(bits_of(sig.args[1]))(1), bit)


def _lower_bit(op: str, ordering: str, *, test: bool) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[1]
        mask = _mask(context, builder, sig, args)
        operand = mask if op == "or" else builder.not_(mask)
        old = _rmw(builder, op, cell_at(builder, args[1], ref), operand, ordering)
        if not test:
            return context.get_dummy_value()
        return builder.icmp_unsigned("!=", builder.and_(old, mask), ir.IntType(bits_of(ref))(0))

    return lower


def _lower_plain_bit(op: str | None, ordering: str | None) -> Lowering:
    """Test, set or clear without an atomic; the store has the given order."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[1]
        mask = _mask(context, builder, sig, args)
        cell = cell_at(builder, args[1], ref)
        plain = op is not None or for_one_thread()
        old = builder.load(cell) if plain else builder.load_atomic(cell, "monotonic", bits_of(ref) // 8)
        if op is None:
            return builder.icmp_unsigned("!=", builder.and_(old, mask), ir.IntType(bits_of(ref))(0))
        new = builder.or_(old, mask) if op == "or" else builder.and_(old, builder.not_(mask))
        if ordering is None or for_one_thread():
            builder.store(new, cell)
        else:
            builder.store_atomic(new, cell, ordering, bits_of(ref) // 8)
        return context.get_dummy_value()

    return lower


register(p.set_bit, ref_last(types.void), _lower_bit("or", "monotonic", test=False))
register(p.clear_bit, ref_last(types.void), _lower_bit("and", "monotonic", test=False))
register(p.clear_bit_unlock, ref_last(types.void), _lower_bit("and", "release", test=False))
for _function, _instruction, _op, _order in (
    (p.test_and_set_bit, "bts", "or", "seq_cst"),
    (p.test_and_clear_bit, "btr", "and", "seq_cst"),
    (p.test_and_set_bit_lock, "bts", "or", "acquire"),
):
    register(
        _function,
        ref_last(types.boolean),
        _lower_flag(_instruction, "c", _lower_bit(_op, _order, test=True)),
    )
register(p.test_bit, ref_last(types.boolean), _lower_plain_bit(None, None))
register(getattr(p, "__set_bit"), ref_last(types.void), _lower_plain_bit("or", None))
register(getattr(p, "__clear_bit"), ref_last(types.void), _lower_plain_bit("and", None))
register(getattr(p, "__clear_bit_unlock"), ref_last(types.void), _lower_plain_bit("and", "release"))


# -- checks ------------------------------------------------------------------------------------------
def _lower_nothing(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.get_dummy_value()


register(p.VM_WARN_ON, lambda condition: types.void, _lower_nothing)


# -- spinning --------------------------------------------------------------------------------------
def _pause(builder: Any) -> None:
    void = ir.FunctionType(ir.VoidType(), [])
    if X86:
        builder.call(cgutils.get_or_insert_function(builder.module, void, "llvm.x86.sse2.pause"), [])
    elif platform.machine() in {"aarch64", "arm64"}:
        hint = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
        builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint"), [ir.IntType(32)(1)])


def _lower_cpu_relax(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    _pause(builder)
    return context.get_dummy_value()


def _spin_function(module: Any, bits: int) -> Any:
    """`void wait(address, mask)` for words of that width, out of line: no register of its caller is touched.

    Inlined, its call of sched_yield would make every function that takes a lock save all registers first.
    """
    name = f"foliolab_spin_wait_{bits}"
    if name in module.globals:
        return module.globals[name]
    wait = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64, ir.IntType(bits)]), name)
    wait.calling_convention = "preserve_mostcc"
    wait.linkage = "linkonce_odr"
    for attribute in ("noinline", "cold", "nounwind"):
        wait.attributes.add(attribute)
    address, mask = wait.args
    builder = ir.IRBuilder(wait.append_basic_block("enter"))
    cell = builder.inttoptr(address, ir.IntType(bits).as_pointer())
    enter = builder.block
    test, spin, give_up, done = (wait.append_basic_block(n) for n in ("test", "spin", "give_up", "done"))
    builder.branch(test)
    builder.position_at_end(test)
    spins = builder.phi(I64)
    spins.add_incoming(I64(0), enter)
    value = builder.load_atomic(cell, "monotonic", bits // 8)
    builder.cbranch(builder.icmp_unsigned("!=", builder.and_(value, mask), ir.IntType(bits)(0)), spin, done)
    builder.position_at_end(spin)
    _pause(builder)
    count = builder.add(spins, I64(1))
    spins.add_incoming(count, spin)
    builder.cbranch(builder.icmp_unsigned("<", count, I64(p.SPIN_LIMIT)), test, give_up)
    builder.position_at_end(give_up)
    counter = module.globals.get("foliolab_spin_yields") or ir.GlobalVariable(module, I64, "foliolab_spin_yields")
    builder.atomic_rmw("add", counter, I64(1), "monotonic")
    yielding = ir.FunctionType(ir.IntType(32), [])
    builder.call(cgutils.get_or_insert_function(module, yielding, "sched_yield"), [])
    spins.add_incoming(I64(0), give_up)
    builder.branch(test)
    builder.position_at_end(done)
    builder.ret_void()
    return wait


def _lower_spin_wait(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    mask = _mask(context, builder, sig, args)
    wait = _spin_function(builder.module, bits_of(sig.args[1]))
    builder.call(wait, [args[1], mask], cconv="preserve_mostcc")
    return context.get_dummy_value()


register(p.cpu_relax, lambda: types.void, _lower_cpu_relax)
register(p.spin_wait_clear, ref_last(types.void), _lower_spin_wait)
