"""Native forms of the primitives that compute addresses or move page contents, and calls into a policy."""

from __future__ import annotations

import ctypes
import operator
from typing import Any, Final

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin

from foliolab.framework.machine import primitives as p
from foliolab.framework.machine.layout import CTYPES, Field
from foliolab.framework.machine.nativetypes import (
    CLOBBER,
    FORMS,
    I64,
    INT,
    X86,
    Lowering,
    MemoryType,
    PointerType,
    RefType,
    Typer,
    bits_of,
    int_of,
    is_int,
    register,
)
from foliolab.framework.machine.numba_parts import RETCODE_USEREXC, AbstractTemplate, cgutils, infer_global, signature

_BYTES: Final = ir.IntType(8).as_pointer()

# -- numbers and pointers ----------------------------------------------------------------------------
register(
    p.u64,
    lambda kind: INT if is_int(kind) else None,
    lambda context, builder, sig, args: int_of(context, builder, sig, args, 0),
)


def _pointer_to(struct: str) -> Typer:
    def typer(kind: Any, *rest: Any) -> Any:
        fits = isinstance(kind, MemoryType | PointerType) and all(map(is_int, rest))
        return PointerType(kind.layouts, struct) if fits else None

    return typer


def _lower_offset(stride: str | None) -> Lowering:
    """Base plus index times the size of struct `stride` (bytes where None)."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = int_of(context, builder, sig, args, 1)
        size = 1 if stride is None else sig.args[0].layouts[stride].size
        return builder.add(args[0], builder.mul(index, I64(size)))

    return lower


def _lower_ptr_add(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    size = sig.args[0].layouts[sig.args[0].struct].size
    return builder.add(args[0], builder.mul(int_of(context, builder, sig, args, 1), I64(size)))


def _same_pointer(kind: Any, n: Any) -> Any:
    return kind if isinstance(kind, PointerType) and is_int(n) else None


def _lower_same(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


register(p.ptr_add, _same_pointer, _lower_ptr_add)
register(p.nth_page, _same_pointer, _lower_ptr_add)
register(p.as_folio, _pointer_to("folio"), _lower_same)
register(p.as_page, _pointer_to("page"), _lower_same)
register(p.pfn_to_page, _pointer_to("page"), _lower_offset("page"))
register(p.pfn_folio, _pointer_to("folio"), _lower_offset("page"))
for _function, _struct in ((p.mm_at, "mm"), (p.cpu_at, "cpu"), (p.zone_at, "zone"), (p.pte_at, "pte")):
    register(_function, _pointer_to(_struct), _lower_offset(None))


def _lower_pfn(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.sdiv(builder.sub(args[1], args[0]), I64(sig.args[0].layouts["page"].size), flags=["exact"])


register(
    p.page_to_pfn,
    lambda vm, page: INT if isinstance(vm, MemoryType) and isinstance(page, PointerType) else None,
    _lower_pfn,
)


def _lower_memory_of(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    here = sig.args[0].layouts["mm"].by_name["here"].offset
    return builder.sub(args[0], builder.load(builder.inttoptr(builder.add(args[0], I64(here)), I64.as_pointer())))


register(
    p.memory_of,
    lambda mm: MemoryType(mm.layouts) if isinstance(mm, PointerType) and mm.struct == "mm" else None,
    _lower_memory_of,
)


def _element(kind: Any, index: Any) -> Any:
    return kind if isinstance(kind, RefType) and is_int(index) else None


def _lower_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    index = int_of(context, builder, sig, args, 1)
    return builder.add(args[0], builder.mul(index, I64(bits_of(sig.args[0]) // 8)))


@infer_global(operator.getitem)
class _Element(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 2 and (kind := _element(*args)) is not None:
            return signature(kind, kind, INT)
        return None


lower_builtin(operator.getitem, RefType, types.Integer)(_lower_element)
FORMS[operator.getitem] = _element, _lower_element


def _store_initial(builder: Any, address: Any, field: Field) -> None:
    width = ir.IntType(CTYPES[field.ctype].bits)
    for i in range(field.count):
        element = builder.add(address, I64(field.offset + i * CTYPES[field.ctype].bytes))
        builder.store(width(field.init), builder.inttoptr(element, width.as_pointer()))


def _lower_init_fields(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = sig.args[0]
    stride = kind.layouts["page"].size
    nbytes = builder.mul(int_of(context, builder, sig, args, 1), I64(stride))
    wanted = [f for f in kind.layouts[kind.struct].fields if f.init is not None]
    for number in sorted({f.offset // stride for f in wanted}):
        in_page = [f for f in wanted if f.offset // stride == number]
        reaches = builder.icmp_signed(">=", nbytes, I64(max(f.end for f in in_page)))
        with builder.if_then(reaches):
            for field in in_page:
                _store_initial(builder, args[0], field)
    return context.get_dummy_value()


register(
    p.init_fields,
    lambda kind, nr: types.void if isinstance(kind, PointerType) and is_int(nr) else None,
    _lower_init_fields,
)


# -- calls through the table in front of the memory ------------------------------------------------------
FAULT: Final = -(1 << 63)
"""What an entry of a table returns if its text raised an exception."""
_raised = ctypes.c_int64(0)
llvm.add_symbol("foliolab_raised", ctypes.addressof(_raised))


def _raised_in(module: Any) -> Any:
    """The variable for the exception that an entry raised; of two threads that raise at once, one wins."""
    return module.globals.get("foliolab_raised") or ir.GlobalVariable(module, I64, "foliolab_raised")


def define_table_entry(context: Any, module: Any, name: str, fndesc: Any) -> None:
    """A function that calls what numba compiled by C's calling convention, so that nothing passes through memory."""
    kind = ir.FunctionType(I64, [I64] * len(fndesc.argtypes))
    entry = ir.Function(module, kind, name)
    builder = ir.IRBuilder(entry.append_basic_block("enter"))
    callee = ir.Function(
        module, context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes), fndesc.llvm_func_name
    )
    status, answer = context.call_conv.call_function(builder, callee, fndesc.restype, fndesc.argtypes, entry.args)
    with cgutils.if_unlikely(builder, status.is_error):
        builder.store(builder.ptrtoint(status.excinfoptr, I64), _raised_in(module))
        builder.ret(I64(FAULT))
    builder.ret(context.cast(builder, answer, fndesc.restype, INT))


def register_table_call(function: Any, count: int) -> None:
    """Make `function(vm, entry, …)` a native call of the entry of that number.

    The callee takes and returns 64 bits by C's calling convention (see `define_table_entry`).
    """

    def call(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = int_of(context, builder, sig, args, 1)
        slot = builder.sub(args[0], builder.mul(builder.add(index, I64(1)), I64(8)))
        address = builder.load(builder.inttoptr(slot, I64.as_pointer()))
        target = ir.FunctionType(I64, [I64] * count).as_pointer()
        given = [
            context.cast(builder, value, kind, INT) if is_int(kind) else value
            for value, kind in zip(args[2:], sig.args[2:], strict=True)
        ]
        return builder.call(builder.inttoptr(address, target), given)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        answer = call(context, builder, sig, args)
        with cgutils.if_unlikely(builder, builder.icmp_signed("==", answer, I64(FAULT))):
            slot_of_exception = context.call_conv._get_excinfo_argument(builder.function)
            raised = builder.load(_raised_in(builder.module))
            builder.store(builder.inttoptr(raised, slot_of_exception.type.pointee), slot_of_exception)
            context.call_conv._return_errcode_raw(builder, RETCODE_USEREXC)
        return answer

    def typer(vm: Any, entry: Any, *rest: Any) -> Any:
        fits = all(is_int(kind) or isinstance(kind, PointerType) for kind in rest)
        return INT if isinstance(vm, MemoryType) and is_int(entry) and fits else None

    register(function, typer, lower)
    FORMS[function] = typer, call  # what `compiler` compiles raises nothing


# -- page contents -----------------------------------------------------------------------------------
def _page_address(context: Any, builder: Any, sig: Any, args: Any, index: int) -> Any:
    pfn = int_of(context, builder, sig, args, index)
    return builder.inttoptr(builder.add(args[0], builder.mul(pfn, I64(p.PAGE_SIZE))), _BYTES)


def _lower_copy_page(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    to = _page_address(context, builder, sig, args, 1)
    source = _page_address(context, builder, sig, args, 2)
    if X86:
        # what the kernel's copy_page is where string operations are good; libc's memcpy is slower here
        triple = ir.LiteralStructType([I64] * 3)
        registers = f"={{di}},={{si}},={{cx}},0,1,2,{CLOBBER}"
        given = [builder.ptrtoint(to, I64), builder.ptrtoint(source, I64), I64(p.PAGE_SIZE // 8)]
        builder.asm(ir.FunctionType(triple, [I64] * 3), "rep movsq", registers, given, True)
    else:
        cgutils.raw_memcpy(builder, to, source, I64(p.PAGE_SIZE), 1)
    return context.get_dummy_value()


def _lower_fill_page(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    to = _page_address(context, builder, sig, args, 1)
    value = builder.trunc(int_of(context, builder, sig, args, 2), ir.IntType(8))
    size = int_of(context, builder, sig, args, 3)
    kind = ir.FunctionType(ir.VoidType(), [_BYTES, ir.IntType(8), I64, ir.IntType(1)])
    fill = cgutils.get_or_insert_function(builder.module, kind, "llvm.memset.p0i8.i64")
    builder.call(fill, [to, value, size, ir.IntType(1)(0)])
    return context.get_dummy_value()


def _contents(kind: Any, *rest: Any) -> Any:
    return types.void if isinstance(kind, MemoryType) and all(map(is_int, rest)) else None


register(p.copy_page, _contents, _lower_copy_page)
register(p.fill_page, _contents, _lower_fill_page)
