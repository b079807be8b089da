"""Native forms of the primitives: numba types for pointers and references, and what each lowers to.

Atomics whose flag result is tested become flag-output inline assembly on x86-64, as the kernel's own
macros do; LLVM would turn them into `lock xadd` or a `cmpxchg` loop, which misstates their cost.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from typing import Any, Final

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_builtin,
    lower_getattr_generic,
    models,
    register_model,
    type_callable,
    unbox,
)

from foliolab.framework.machine import primitives as p
from foliolab.framework.machine.layout import CTYPES, Field, Layouts

INT: Final = types.int64
_I64: Final = ir.IntType(64)
_BYTES: Final = ir.IntType(8).as_pointer()
X86: Final = platform.machine() in {"x86_64", "AMD64"}
_CLOBBER: Final = "~{memory},~{dirflag},~{fpsr},~{flags}"

spin_yields = ctypes.c_int64(0)
"""How often native code gave up spinning and yielded its time slice, in this process."""

llvm.add_symbol("foliolab_spin_yields", ctypes.addressof(spin_yields))
if X86:
    llvm.initialize_native_asmparser()  # without it, inline assembly aborts the process


class MemoryType(types.Type):
    """The whole memory, natively its base address."""

    def __init__(self, layouts: Layouts) -> None:
        self.layouts = layouts
        super().__init__(name=f"Memory({layouts.digest})")


class PointerType(types.Type):
    """A pointer to a struct of one set of layouts, natively an address."""

    def __init__(self, layouts: Layouts, struct: str) -> None:
        self.layouts = layouts
        self.struct = struct
        super().__init__(name=f"Pointer({struct}:{layouts.digest})")


class RefType(types.Type):
    """A reference to a field, natively an address."""

    def __init__(self, ctype: str) -> None:
        self.ctype = ctype
        super().__init__(name=f"Ref({ctype})")


class _Address(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _I64)


for _kind in (MemoryType, PointerType, RefType):
    register_model(_kind)(_Address)


@unbox(MemoryType)
def _unbox_memory(kind: Any, obj: Any, c: Any) -> Any:
    address = c.pyapi.long_as_longlong(obj)
    return NativeValue(address, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@infer_getattr
class _FieldOf(AttributeTemplate):
    key = PointerType

    def generic_resolve(self, kind: PointerType, name: str) -> Any:  # type: ignore[override]
        field = kind.layouts[kind.struct].by_name.get(name)
        return RefType(field.ctype) if field else None


@lower_getattr_generic(PointerType)
def _address_of_field(context: Any, builder: Any, kind: PointerType, value: Any, name: str) -> Any:
    return builder.add(value, _I64(kind.layouts[kind.struct].by_name[name].offset))


# -- registration ----------------------------------------------------------------------------------
Typer = Callable[..., Any]
Lowering = Callable[[Any, Any, Any, Any], Any]


def _register(function: Any, typer: Typer, lower: Lowering) -> None:
    """Give a primitive its native form: `typer` maps argument types to the result's, `lower` emits it."""
    count = function.__code__.co_argcount
    names = ", ".join(f"a{i}" for i in range(count))
    # numba inspects the typer's signature, so it needs the exact number of arguments
    fixed = eval(f"lambda {names}: typer({names})", {"typer": typer})
    type_callable(function)(lambda context: fixed)
    lower_builtin(function, *[types.Any] * count)(lower)


def _is_int(kind: Any) -> bool:
    return isinstance(kind, types.Integer | types.Boolean)


def _bits(kind: RefType) -> int:
    return CTYPES[kind.ctype].bits


def _cell(builder: Any, address: Any, kind: RefType) -> Any:
    return builder.inttoptr(address, ir.IntType(_bits(kind)).as_pointer())


def _widen(builder: Any, value: Any, kind: RefType) -> Any:
    if _bits(kind) == 64:
        return value
    return (builder.sext if CTYPES[kind.ctype].signed else builder.zext)(value, _I64)


def _narrow(context: Any, builder: Any, value: Any, kind: Any, ref: RefType) -> Any:
    value = context.cast(builder, value, kind, INT)
    return value if _bits(ref) == 64 else builder.trunc(value, ir.IntType(_bits(ref)))


def _int_of(context: Any, builder: Any, sig: Any, args: Any, index: int) -> Any:
    return context.cast(builder, args[index], sig.args[index], INT)


def _ref_last(result: Any) -> Typer:
    def typer(*kinds: Any) -> Any:
        fits = isinstance(kinds[-1], RefType) and all(map(_is_int, kinds[:-1]))
        return result if fits else None

    return typer


def _ref_first(result: Any) -> Typer:
    def typer(*kinds: Any) -> Any:
        fits = isinstance(kinds[0], RefType) and all(map(_is_int, kinds[1:]))
        return result if fits else None

    return typer


# -- loads and stores --------------------------------------------------------------------------------
def _lower_load(ordering: str | None) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[-1]
        cell = _cell(builder, args[-1], ref)
        if ordering is None:
            return _widen(builder, builder.load(cell), ref)
        return _widen(builder, builder.load_atomic(cell, ordering, _bits(ref) // 8), ref)

    return lower


def _lower_store(ordering: str | None) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[0]
        cell = _cell(builder, args[0], ref)
        value = _narrow(context, builder, args[1], sig.args[1], ref)
        if ordering is None:
            builder.store(value, cell)
        else:
            builder.store_atomic(value, cell, ordering, _bits(ref) // 8)
        return context.get_dummy_value()

    return lower


_register(p.READ_ONCE, _ref_first(INT), _lower_load("monotonic"))
_register(p.atomic_read, _ref_first(INT), _lower_load("monotonic"))
_register(p.load, _ref_first(INT), _lower_load(None))
_register(p.smp_load_acquire, _ref_first(INT), _lower_load("acquire"))
_register(p.WRITE_ONCE, _ref_first(types.void), _lower_store("monotonic"))
_register(p.atomic_set, _ref_first(types.void), _lower_store("monotonic"))
_register(p.store, _ref_first(types.void), _lower_store(None))
_register(p.smp_store_release, _ref_first(types.void), _lower_store("release"))


def _lower_fence(ordering: str) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence(ordering)
        return context.get_dummy_value()

    return lower


_register(p.smp_mb, lambda: types.void, _lower_fence("seq_cst"))
_register(p.smp_rmb, lambda: types.void, _lower_fence("acquire"))
_register(p.smp_wmb, lambda: types.void, _lower_fence("release"))


# -- read-modify-write -------------------------------------------------------------------------------
def _lower_rmw(op: str, result: str, *, const: int | None = None, ordering: str = "seq_cst") -> Lowering:
    """An LLVM atomic; `result` is old, new, zero (new is 0), negative, or void."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[-1]
        cell = _cell(builder, args[-1], ref)
        width = ir.IntType(_bits(ref))
        value = width(const) if const is not None else _narrow(context, builder, args[0], sig.args[0], ref)
        old = builder.atomic_rmw(op, cell, value, ordering)
        if result == "void":
            return context.get_dummy_value()
        if result == "old":
            return _widen(builder, old, ref)
        new = builder.add(old, value) if op == "add" else builder.sub(old, value)
        if result == "new":
            return _widen(builder, new, ref)
        return builder.icmp_signed("==" if result == "zero" else "<", new, width(0))

    return lower


def _lower_flag(instruction: str, flag: str, fallback: Lowering, *, const: int | None = None) -> Lowering:
    """One locked instruction whose CPU flag is the answer; the LLVM atomic on other machines."""
    suffix = {8: "b", 16: "w", 32: "l", 64: "q"}

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[-1]
        width = ir.IntType(_bits(ref))
        value = width(const) if const is not None else _narrow(context, builder, args[0], sig.args[0], ref)
        immediate = "re" if _bits(ref) == 64 else "ri"
        kind = ir.FunctionType(ir.IntType(8), [_I64, width])
        text = f"lock {instruction}{suffix[_bits(ref)]} $2, ($1)"
        answer = builder.asm(kind, text, f"={{@cc{flag}}},r,{immediate},{_CLOBBER}", [args[-1], value], True)
        return builder.trunc(answer, ir.IntType(1))

    return lower if X86 else fallback


_register(p.atomic_add, _ref_last(types.void), _lower_rmw("add", "void", ordering="monotonic"))
_register(p.atomic_sub, _ref_last(types.void), _lower_rmw("sub", "void", ordering="monotonic"))
_register(p.atomic_inc, _ref_last(types.void), _lower_rmw("add", "void", const=1, ordering="monotonic"))
_register(p.atomic_dec, _ref_last(types.void), _lower_rmw("sub", "void", const=1, ordering="monotonic"))
_register(p.atomic_add_return, _ref_last(INT), _lower_rmw("add", "new"))
_register(p.atomic_sub_return, _ref_last(INT), _lower_rmw("sub", "new"))
_register(p.atomic_inc_return, _ref_last(INT), _lower_rmw("add", "new", const=1))
_register(p.atomic_dec_return, _ref_last(INT), _lower_rmw("sub", "new", const=1))
_register(p.atomic_fetch_add, _ref_last(INT), _lower_rmw("add", "old"))
_register(p.xchg, _ref_last(INT), _lower_rmw("xchg", "old"))
_function: Any
for _function, _instruction, _flag, _result, _const in (
    (p.atomic_inc_and_test, "add", "z", "zero", 1),
    (p.atomic_dec_and_test, "sub", "z", "zero", 1),
    (p.atomic_sub_and_test, "sub", "z", "zero", None),
    (p.atomic_add_negative, "add", "s", "negative", None),
):
    _plain = _lower_rmw(_instruction, _result, const=_const)
    _register(_function, _ref_last(types.boolean), _lower_flag(_instruction, _flag, _plain, const=_const))


def _lower_cmpxchg(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    ref = sig.args[0]
    old = _narrow(context, builder, args[1], sig.args[1], ref)
    new = _narrow(context, builder, args[2], sig.args[2], ref)
    pair = builder.cmpxchg(_cell(builder, args[0], ref), old, new, "seq_cst", "seq_cst")
    return _widen(builder, builder.extract_value(pair, 0), ref)


_register(p.cmpxchg, _ref_first(INT), _lower_cmpxchg)


# -- bits ------------------------------------------------------------------------------------------
def _mask(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    bit = _narrow(context, builder, args[0], sig.args[0], sig.args[1])
    return builder.shl(ir.IntType(_bits(sig.args[1]))(1), bit)


def _lower_bit(op: str, ordering: str, *, test: bool) -> Lowering:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[1]
        mask = _mask(context, builder, sig, args)
        operand = mask if op == "or" else builder.not_(mask)
        old = builder.atomic_rmw(op, _cell(builder, args[1], ref), operand, ordering)
        if not test:
            return context.get_dummy_value()
        return builder.icmp_unsigned("!=", builder.and_(old, mask), ir.IntType(_bits(ref))(0))

    return lower


def _lower_plain_bit(op: str | None, ordering: str | None) -> Lowering:
    """Test, set or clear without an atomic; the store has the given order."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ref = sig.args[1]
        mask = _mask(context, builder, sig, args)
        cell = _cell(builder, args[1], ref)
        old = builder.load(cell) if op else builder.load_atomic(cell, "monotonic", _bits(ref) // 8)
        if op is None:
            return builder.icmp_unsigned("!=", builder.and_(old, mask), ir.IntType(_bits(ref))(0))
        new = builder.or_(old, mask) if op == "or" else builder.and_(old, builder.not_(mask))
        if ordering is None:
            builder.store(new, cell)
        else:
            builder.store_atomic(new, cell, ordering, _bits(ref) // 8)
        return context.get_dummy_value()

    return lower


_register(p.set_bit, _ref_last(types.void), _lower_bit("or", "monotonic", test=False))
_register(p.clear_bit, _ref_last(types.void), _lower_bit("and", "monotonic", test=False))
_register(p.clear_bit_unlock, _ref_last(types.void), _lower_bit("and", "release", test=False))
for _function, _instruction, _op, _order in (
    (p.test_and_set_bit, "bts", "or", "seq_cst"),
    (p.test_and_clear_bit, "btr", "and", "seq_cst"),
    (p.test_and_set_bit_lock, "bts", "or", "acquire"),
):
    _register(
        _function,
        _ref_last(types.boolean),
        _lower_flag(_instruction, "c", _lower_bit(_op, _order, test=True)),
    )
_register(p.test_bit, _ref_last(types.boolean), _lower_plain_bit(None, None))
_register(getattr(p, "__set_bit"), _ref_last(types.void), _lower_plain_bit("or", None))
_register(getattr(p, "__clear_bit"), _ref_last(types.void), _lower_plain_bit("and", None))
_register(getattr(p, "__clear_bit_unlock"), _ref_last(types.void), _lower_plain_bit("and", "release"))


# -- spinning --------------------------------------------------------------------------------------
def _pause(builder: Any) -> None:
    void = ir.FunctionType(ir.VoidType(), [])
    if X86:
        builder.call(cgutils.get_or_insert_function(builder.module, void, "llvm.x86.sse2.pause"), [])
    elif platform.machine() in {"aarch64", "arm64"}:
        hint = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
        builder.call(
            cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint"), [ir.IntType(32)(1)]
        )


def _lower_cpu_relax(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    _pause(builder)
    return context.get_dummy_value()


def _lower_spin_wait(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    mask = _mask(context, builder, sig, args)
    ref = sig.args[1]
    cell = _cell(builder, args[1], ref)
    spins = cgutils.alloca_once_value(builder, _I64(0))
    test, spin, give_up, done = (builder.append_basic_block(n) for n in ("test", "spin", "give_up", "done"))
    builder.branch(test)
    builder.position_at_end(test)
    value = builder.load_atomic(cell, "monotonic", _bits(ref) // 8)
    held = builder.icmp_unsigned("!=", builder.and_(value, mask), ir.IntType(_bits(ref))(0))
    builder.cbranch(held, spin, done)
    builder.position_at_end(spin)
    _pause(builder)
    count = builder.add(builder.load(spins), _I64(1))
    builder.store(count, spins)
    builder.cbranch(builder.icmp_unsigned("<", count, _I64(p.SPIN_LIMIT)), test, give_up)
    builder.position_at_end(give_up)
    builder.store(_I64(0), spins)
    counter = cgutils.add_global_variable(builder.module, _I64, "foliolab_spin_yields")
    counter.linkage = "external"
    builder.atomic_rmw("add", counter, _I64(1), "monotonic")
    yielding = ir.FunctionType(ir.IntType(32), [])
    builder.call(cgutils.get_or_insert_function(builder.module, yielding, "sched_yield"), [])
    builder.branch(test)
    builder.position_at_end(done)
    return context.get_dummy_value()


_register(p.cpu_relax, lambda: types.void, _lower_cpu_relax)
_register(p.spin_wait_clear, _ref_last(types.void), _lower_spin_wait)


# -- numbers and pointers ----------------------------------------------------------------------------
_register(
    p.u64,
    lambda kind: INT if _is_int(kind) else None,
    lambda context, builder, sig, args: _int_of(context, builder, sig, args, 0),
)


def _pointer_to(struct: str) -> Typer:
    def typer(kind: Any, *rest: Any) -> Any:
        fits = isinstance(kind, MemoryType | PointerType) and all(map(_is_int, rest))
        return PointerType(kind.layouts, struct) if fits else None

    return typer


def _lower_offset(stride: str | None) -> Lowering:
    """Base plus index times the size of struct `stride` (bytes where None)."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = _int_of(context, builder, sig, args, 1)
        size = 1 if stride is None else sig.args[0].layouts[stride].size
        return builder.add(args[0], builder.mul(index, _I64(size)))

    return lower


def _lower_ptr_add(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    size = sig.args[0].layouts[sig.args[0].struct].size
    return builder.add(args[0], builder.mul(_int_of(context, builder, sig, args, 1), _I64(size)))


def _same_pointer(kind: Any, n: Any) -> Any:
    return kind if isinstance(kind, PointerType) and _is_int(n) else None


def _lower_same(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


_register(p.ptr_add, _same_pointer, _lower_ptr_add)
_register(p.nth_page, _same_pointer, _lower_ptr_add)
_register(p.as_folio, _pointer_to("folio"), _lower_same)
_register(p.as_page, _pointer_to("page"), _lower_same)
_register(p.pfn_to_page, _pointer_to("page"), _lower_offset("page"))
_register(p.pfn_folio, _pointer_to("folio"), _lower_offset("page"))
for _function, _struct in ((p.mm_at, "mm"), (p.cpu_at, "cpu"), (p.zone_at, "zone"), (p.pte_at, "pte")):
    _register(_function, _pointer_to(_struct), _lower_offset(None))


def _lower_pfn(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.sdiv(
        builder.sub(args[1], args[0]), _I64(sig.args[0].layouts["page"].size), flags=["exact"]
    )


_register(
    p.page_to_pfn,
    lambda vm, page: INT if isinstance(vm, MemoryType) and isinstance(page, PointerType) else None,
    _lower_pfn,
)


def _element(kind: Any, index: Any) -> Any:
    return kind if isinstance(kind, RefType) and _is_int(index) else None


def _lower_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    index = _int_of(context, builder, sig, args, 1)
    return builder.add(args[0], builder.mul(index, _I64(_bits(sig.args[0]) // 8)))


def _register_getitem() -> None:
    import operator

    from numba.core.typing.templates import AbstractTemplate, infer_global, signature

    @infer_global(operator.getitem)
    class _Element(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and (kind := _element(*args)) is not None:
                return signature(kind, kind, INT)
            return None

    lower_builtin(operator.getitem, RefType, types.Integer)(_lower_element)


_register_getitem()


def _store_initial(builder: Any, address: Any, field: Field) -> None:
    width = ir.IntType(CTYPES[field.ctype].bits)
    for i in range(field.count):
        place = builder.add(address, _I64(field.offset + i * CTYPES[field.ctype].bytes))
        builder.store(width(field.init), builder.inttoptr(place, width.as_pointer()))


def _lower_init_fields(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = sig.args[0]
    stride = kind.layouts["page"].size
    nbytes = builder.mul(_int_of(context, builder, sig, args, 1), _I64(stride))
    wanted = [f for f in kind.layouts[kind.struct].fields if f.init is not None]
    for place in sorted({f.offset // stride for f in wanted}):
        mine = [f for f in wanted if f.offset // stride == place]
        reaches = builder.icmp_signed(">=", nbytes, _I64(max(f.end for f in mine)))
        with builder.if_then(reaches):
            for field in mine:
                _store_initial(builder, args[0], field)
    return context.get_dummy_value()


_register(
    p.init_fields,
    lambda kind, nr: types.void if isinstance(kind, PointerType) and _is_int(nr) else None,
    _lower_init_fields,
)


# -- calls through the table in front of the memory ------------------------------------------------------
def register_table_call(function: Any, count: int) -> None:
    """Make `function(vm, entry, …)` a native call of the entry of that number.

    The callee is a function that numba compiled for `count` arguments of 64 bits; errors it raises are passed on.
    """
    returns, takes = INT, (INT,) * count

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = _int_of(context, builder, sig, args, 1)
        slot = builder.sub(args[0], builder.mul(builder.add(index, _I64(1)), _I64(8)))
        address = builder.load(builder.inttoptr(slot, _I64.as_pointer()))
        target = context.call_conv.get_function_type(returns, takes).as_pointer()
        given = [
            context.cast(builder, value, kind, INT) if _is_int(kind) else value
            for value, kind in zip(args[2:], sig.args[2:], strict=True)
        ]
        status, answer = context.call_conv.call_function(
            builder, builder.inttoptr(address, target), returns, takes, given
        )
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return answer

    def typer(vm: Any, entry: Any, *rest: Any) -> Any:
        fits = all(_is_int(kind) or isinstance(kind, PointerType) for kind in rest)
        return INT if isinstance(vm, MemoryType) and _is_int(entry) and fits else None

    _register(function, typer, lower)


# -- page contents -----------------------------------------------------------------------------------
def _page_address(context: Any, builder: Any, sig: Any, args: Any, index: int) -> Any:
    pfn = _int_of(context, builder, sig, args, index)
    return builder.inttoptr(builder.add(args[0], builder.mul(pfn, _I64(p.PAGE_SIZE))), _BYTES)


def _lower_copy_page(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    to = _page_address(context, builder, sig, args, 1)
    source = _page_address(context, builder, sig, args, 2)
    cgutils.raw_memcpy(builder, to, source, _I64(p.PAGE_SIZE), 1)
    return context.get_dummy_value()


def _lower_fill_page(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    to = _page_address(context, builder, sig, args, 1)
    value = builder.trunc(_int_of(context, builder, sig, args, 2), ir.IntType(8))
    size = _int_of(context, builder, sig, args, 3)
    kind = ir.FunctionType(ir.VoidType(), [_BYTES, ir.IntType(8), _I64, ir.IntType(1)])
    fill = cgutils.get_or_insert_function(builder.module, kind, "llvm.memset.p0i8.i64")
    builder.call(fill, [to, value, size, ir.IntType(1)(0)])
    return context.get_dummy_value()


def _contents(kind: Any, *rest: Any) -> Any:
    return types.void if isinstance(kind, MemoryType) and all(map(_is_int, rest)) else None


_register(p.copy_page, _contents, _lower_copy_page)
_register(p.fill_page, _contents, _lower_fill_page)
