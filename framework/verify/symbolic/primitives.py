"""The symbolic form of each primitive.

A primitive whose interpreted form branches on a value, or cuts a value to a width with Python's integers, has a form on
terms (SUBSTITUTES). The interpreted form of all others is used unchanged (AS_INTERPRETED): it only calls `read`,
`write` and `rmw` of a reference, which are on terms here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from foliolab.framework.engine.guard import author_location
from foliolab.framework.machine import primitives as plain
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.number import lift, symbolic_bool, term_of, unsupported
from foliolab.framework.verify.symbolic.space import AccessKind, Pointer, Ref


def _u64(value: Any) -> Any:
    if isinstance(value, int):
        return plain.u64(value)
    return lift(algebra.wrap(algebra.int_(value.term), 64), value.paths)


def _test_bit(bit: Any, ref: Ref) -> Any:
    if not isinstance(bit, int):
        raise unsupported("tests a bit whose number is not known")
    return lift(algebra.bool_(algebra.bit(term_of(ref.peek()), bit)), ref.mem.paths)


def _change_bit(bit: Any, ref: Ref, value: bool, kind: AccessKind = "write") -> Any:
    """Set or clear a bit; return whether it was set."""
    if not isinstance(bit, int):
        raise unsupported("changes a bit whose number is not known")
    if not ref.is_modelled:
        return _test_bit(bit, ref)
    found = ref.get()
    others = algebra.and_(found, term.const(~(1 << bit)))
    pattern = term.add(others, term.const(int(value) << bit))
    ref.put(algebra.wrap(pattern, ref.ctype.bits, ref.ctype.signed))
    ref.note(kind, None if kind == "write" else bit)
    return lift(algebra.bool_(algebra.bit(found, bit)), ref.mem.paths)


_test_and_set_bit = partial(_change_bit, value=True)
_test_and_clear_bit = partial(_change_bit, value=False)
_take_bit_lock = partial(_change_bit, value=True, kind="lock")
_release_bit_lock = partial(_change_bit, value=False, kind="unlock")


def _spin_wait_clear(bit: Any, ref: Ref) -> None:
    """Operations run one after the other, so a lock that is held now is never released."""
    held = lift(algebra.bool_(algebra.bit(ref.get(), bit)), ref.mem.paths) if ref.is_modelled else _test_bit(bit, ref)
    ref.note("wait", bit)
    if held is not False:
        paths = ref.mem.paths
        what = f"{author_location()} waits for bit {bit} of {ref.kind}.{ref.field.name}, which no one will clear"
        paths.fault("lost-lock", term_of(held), what)
        if paths.decide(term_of(held)):
            paths.dead_end()


def _atomic_add_negative(value: Any, ref: Ref) -> Any:
    new = ref.rmw("atomic_add_negative", lambda old: old + value)[1]
    if ref.ctype.signed:
        return new < 0
    return symbolic_bool(new >> (ref.ctype.bits - 1) & 1)


def _cmpxchg(ref: Ref, old: Any, new: Any) -> Any:
    expected = algebra.wrap(algebra.int_(term_of(old)), ref.ctype.bits, ref.ctype.signed)
    replacement = algebra.int_(term_of(new))

    def change(found: Any) -> Any:
        current = term_of(found)
        return lift(algebra.choose(algebra.eq(current, expected), replacement, current), ref.mem.paths)

    return ref.rmw("cmpxchg", change)[0]


def _ptr_add(ptr: Pointer, n: Any) -> Pointer:
    return Pointer(ptr.mem, ptr.kind, ptr.off + n * ptr.struct.size, ptr.name)


def _as_folio(page: Pointer) -> Pointer:
    return Pointer(page.mem, "folio", page.off)


def _as_page(folio: Pointer) -> Pointer:
    return Pointer(folio.mem, "page", folio.off)


def _init_fields(ptr: Pointer, nr_pages: Any) -> None:
    """Do nothing: a new `Space` holds the initial values."""


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*arguments: Any) -> Any:
        raise unsupported(f"calls {name}, which looks at more than the folio and the MM")

    return refuse


def _without_text(condition: Any) -> None:
    """Refuse a check that `rewriting` has not replaced."""
    raise unsupported("has a check in a function whose text cannot be read")


SUBSTITUTES: Final[dict[Any, Callable[..., Any]]] = {
    plain.u64: _u64,
    plain.test_bit: _test_bit,
    plain.set_bit: _test_and_set_bit,
    plain.clear_bit: _test_and_clear_bit,
    plain.test_and_set_bit: _test_and_set_bit,
    plain.test_and_clear_bit: _test_and_clear_bit,
    plain.test_and_set_bit_lock: _take_bit_lock,
    plain.clear_bit_unlock: _release_bit_lock,
    getattr(plain, "__clear_bit_unlock"): _release_bit_lock,  # the plain name would be mangled
    getattr(plain, "__set_bit"): _test_and_set_bit,
    getattr(plain, "__clear_bit"): _test_and_clear_bit,
    plain.spin_wait_clear: _spin_wait_clear,
    plain.VM_WARN_ON: _without_text,
    plain.atomic_add_negative: _atomic_add_negative,
    plain.cmpxchg: _cmpxchg,
    plain.ptr_add: _ptr_add,
    plain.nth_page: _ptr_add,
    plain.as_folio: _as_folio,
    plain.as_page: _as_page,
    plain.init_fields: _init_fields,
    **{
        primitive: _refusing(primitive.__name__)
        for primitive in (
            plain.memory_of, plain.page_to_pfn, plain.pfn_to_page, plain.pfn_folio, plain.mm_at, plain.cpu_at,
            plain.zone_at, plain.pte_at, plain.copy_page, plain.fill_page,
        )
    },
}  # fmt: skip
"""Replacements of the interpreted primitives."""

AS_INTERPRETED: Final = frozenset(
    {
        plain.READ_ONCE, plain.WRITE_ONCE, plain.load, plain.store, plain.smp_load_acquire, plain.smp_store_release,
        plain.smp_mb, plain.smp_rmb, plain.smp_wmb, plain.atomic_read, plain.atomic_set, plain.atomic_add,
        plain.atomic_sub, plain.atomic_inc, plain.atomic_dec, plain.atomic_add_return, plain.atomic_sub_return,
        plain.atomic_inc_return, plain.atomic_dec_return, plain.atomic_fetch_add, plain.atomic_inc_and_test,
        plain.atomic_dec_and_test, plain.atomic_sub_and_test, plain.xchg, plain.cpu_relax, plain.prefetch,
    }
)  # fmt: skip
"""Primitives whose interpreted form is right on terms: it uses only the reference and the operators of `Number`."""

plain.require_all(AS_INTERPRETED | SUBSTITUTES.keys(), "symbolic", "framework/verify/symbolic/primitives.py")
