"""numba's types for memory, pointers and references, and how a primitive gets its native form."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
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

from foliolab.framework.machine.layout import CTYPES, Layouts
from foliolab.framework.machine.numba_parts import AttributeTemplate, cgutils

INT: Final = types.int64
I64: Final = ir.IntType(64)
X86: Final = platform.machine() in {"x86_64", "AMD64"}
CLOBBER: Final = "~{memory},~{dirflag},~{fpsr},~{flags}"
"""What inline assembly may change, on x86-64."""


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
        super().__init__(manager, kind, I64)


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
    return field_address(builder, kind, value, name)[1]


def field_address(builder: Any, kind: PointerType, value: Any, name: str) -> tuple[RefType, Any]:
    """A reference to a field: its type, and its address.

    Raises:
        KeyError: the struct has no such field.
    """
    found = kind.layouts[kind.struct].by_name[name]
    return RefType(found.ctype), builder.add(value, I64(found.offset))


# -- registration ----------------------------------------------------------------------------------
Typer = Callable[..., Any]
Lowering = Callable[[Any, Any, Any, Any], Any]
FORMS: Final[dict[Any, tuple[Typer, Lowering]]] = {}
"""The functions that have a native form of their own, with it."""


def register(function: Any, typer: Typer, lower: Lowering) -> None:
    """Give a primitive its native form: `typer` maps argument types to the result's, `lower` emits it."""
    FORMS[function] = typer, lower
    count = function.__code__.co_argcount
    names = ", ".join(f"a{i}" for i in range(count))
    # numba inspects the typer's signature, so it needs the exact number of arguments
    fixed = eval(f"lambda {names}: typer({names})", {"typer": typer})
    type_callable(function)(lambda context: fixed)
    lower_builtin(function, *[types.Any] * count)(lower)


def is_int(kind: Any) -> bool:
    """Whether a numba type is an integer (or a truth value)."""
    return isinstance(kind, types.Integer | types.Boolean)


def bits_of(kind: RefType) -> int:
    """Width of what a reference refers to."""
    return CTYPES[kind.ctype].bits


def cell_at(builder: Any, address: Any, kind: RefType) -> Any:
    """An address as an LLVM pointer to a value of the reference's width."""
    return builder.inttoptr(address, ir.IntType(bits_of(kind)).as_pointer())


def widen(builder: Any, value: Any, kind: RefType) -> Any:
    """A loaded value as the 64-bit integer that all native values are."""
    if bits_of(kind) == 64:
        return value
    return (builder.sext if CTYPES[kind.ctype].signed else builder.zext)(value, I64)


def narrow(context: Any, builder: Any, value: Any, kind: Any, ref: RefType) -> Any:
    """A 64-bit value cut to the width of the reference."""
    value = context.cast(builder, value, kind, INT)
    return value if bits_of(ref) == 64 else builder.trunc(value, ir.IntType(bits_of(ref)))


def int_of(context: Any, builder: Any, sig: Any, args: Any, index: int) -> Any:
    """An argument as a 64-bit integer."""
    return context.cast(builder, args[index], sig.args[index], INT)


def ref_last(result: Any) -> Typer:
    """Types of a primitive whose last argument is the reference."""

    def typer(*kinds: Any) -> Any:
        fits = isinstance(kinds[-1], RefType) and all(map(is_int, kinds[:-1]))
        return result if fits else None

    return typer


def ref_first(result: Any) -> Typer:
    """Types of a primitive whose first argument is the reference."""

    def typer(*kinds: Any) -> Any:
        fits = isinstance(kinds[0], RefType) and all(map(is_int, kinds[1:]))
        return result if fits else None

    return typer
