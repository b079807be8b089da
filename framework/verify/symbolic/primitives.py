"""The primitives on solver terms.

Where the interpreted form of a primitive decides by a value, or cuts a value to a width by Python's integers, a form on
terms takes its place (SUBSTITUTES). The others are used as they are (AS_INTERPRETED): they go through `read`, `write`
and `rmw` of the reference, which are on terms here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from foliolab.framework.engine.guard import author_location
from foliolab.framework.machine import primitives as plain
from foliolab.framework.verify.symbolic import algebra, number, term
from foliolab.framework.verify.symbolic.number import lift, term_of, unsupported
from foliolab.framework.verify.symbolic.space import Pointer, Ref


def u64(value: Any) -> Any:
    """See `machine.primitives.u64`."""
    if isinstance(value, int):
        return plain.u64(value)
    return lift(algebra.wrap(algebra.int_(value.term), 64), value.paths)


def _pattern(ref: Ref) -> term.Term:
    return ref.pattern() if ref.kind != "page" else term_of(ref.mem.unknown(ref.ctype))


def _bit(bit: Any, ref: Ref) -> Any:
    if not isinstance(bit, int):
        raise unsupported("tests a bit whose number is not known")
    return lift(algebra.bool_(algebra.bit(_pattern(ref), bit)), ref.mem.paths)


def _change(bit: Any, ref: Ref, value: bool) -> Any:
    """Set or clear a bit; whether it was set."""
    was = _bit(bit, ref)
    if ref.kind != "page":
        others = algebra.and_(ref.pattern(), term.const(~(1 << bit)))
        pattern = term.add(others, term.const(int(value) << bit))
        ref.put(algebra.wrap(pattern, ref.ctype.bits, ref.ctype.signed))
    return was


def test_bit(bit: Any, ref: Ref) -> Any:
    """Whether the bit is set."""
    return _bit(bit, ref)


def set_bit(bit: Any, ref: Ref) -> None:
    """Set the bit."""
    _change(bit, ref, True)


def clear_bit(bit: Any, ref: Ref) -> None:
    """Clear the bit."""
    _change(bit, ref, False)


def test_and_set_bit(bit: Any, ref: Ref) -> Any:
    """Set the bit; whether it was set."""
    return _change(bit, ref, True)


def test_and_clear_bit(bit: Any, ref: Ref) -> Any:
    """Clear the bit; whether it was set."""
    return _change(bit, ref, False)


def spin_wait_clear(bit: Any, ref: Ref) -> None:
    """One after the other, nobody else holds a lock: who waits, waits for ever."""
    held = _bit(bit, ref)
    if held is not False:
        paths = ref.mem.paths
        what = f"{author_location()} waits for bit {bit} of {ref.kind}.{ref.field.name}, which nobody will clear"
        paths.fault("lost-lock", term_of(held), what)
        if paths.decide(term_of(held)):
            paths.dead_end()


def atomic_add_negative(value: Any, ref: Ref) -> Any:
    """Add; whether the top bit of the new value is set."""
    new = ref.rmw("atomic_add_negative", lambda old: old + value)[1]
    if ref.ctype.signed:
        return new < 0
    return number.symbolic_bool(new >> (ref.ctype.bits - 1) & 1)


def cmpxchg(ref: Ref, old: Any, new: Any) -> Any:
    """Store `new` if the value is `old`; the value found."""
    expected = algebra.wrap(algebra.int_(term_of(old)), ref.ctype.bits, ref.ctype.signed)
    wanted = algebra.int_(term_of(new))

    def change(found: Any) -> Any:
        mine = term_of(found)
        return lift(algebra.choose(algebra.eq(mine, expected), wanted, mine), ref.mem.paths)

    return ref.rmw("cmpxchg", change)[0]


def ptr_add(ptr: Pointer, n: Any) -> Pointer:
    """The n-th struct behind `ptr`."""
    return Pointer(ptr.mem, ptr.kind, ptr.off + n * ptr.struct.size, ptr.name)


def as_folio(page: Pointer) -> Pointer:
    """The folio whose head page this is."""
    return Pointer(page.mem, "folio", page.off)


def as_page(folio: Pointer) -> Pointer:
    """The head page."""
    return Pointer(folio.mem, "page", folio.off)


def init_fields(ptr: Pointer, nr_pages: Any) -> None:
    """Store the declared initial values: the space did so when it was made."""


def _absent(name: str) -> Callable[..., Any]:
    def refuse(*arguments: Any) -> Any:
        raise unsupported(f"calls {name}, which looks at more than the folio and the MM")

    return refuse


SUBSTITUTES: Final[dict[Any, Callable[..., Any]]] = {
    plain.u64: u64,
    plain.test_bit: test_bit,
    plain.set_bit: set_bit,
    plain.clear_bit: clear_bit,
    plain.test_and_set_bit: test_and_set_bit,
    plain.test_and_clear_bit: test_and_clear_bit,
    plain.test_and_set_bit_lock: test_and_set_bit,
    plain.clear_bit_unlock: clear_bit,
    getattr(plain, "__clear_bit_unlock"): clear_bit,  # the plain name would be mangled
    getattr(plain, "__set_bit"): set_bit,
    getattr(plain, "__clear_bit"): clear_bit,
    plain.spin_wait_clear: spin_wait_clear,
    plain.atomic_add_negative: atomic_add_negative,
    plain.cmpxchg: cmpxchg,
    plain.ptr_add: ptr_add,
    plain.nth_page: ptr_add,
    plain.as_folio: as_folio,
    plain.as_page: as_page,
    plain.init_fields: init_fields,
    **{
        one: _absent(one.__name__)
        for one in (
            plain.memory_of, plain.page_to_pfn, plain.pfn_to_page, plain.pfn_folio, plain.mm_at, plain.cpu_at,
            plain.zone_at, plain.pte_at, plain.copy_page, plain.fill_page,
        )
    },
}  # fmt: skip
"""What stands in a primitive's place."""

AS_INTERPRETED: Final = frozenset(
    {
        plain.READ_ONCE, plain.WRITE_ONCE, plain.load, plain.store, plain.smp_load_acquire, plain.smp_store_release,
        plain.smp_mb, plain.smp_rmb, plain.smp_wmb, plain.atomic_read, plain.atomic_set, plain.atomic_add,
        plain.atomic_sub, plain.atomic_inc, plain.atomic_dec, plain.atomic_add_return, plain.atomic_sub_return,
        plain.atomic_inc_return, plain.atomic_dec_return, plain.atomic_fetch_add, plain.atomic_inc_and_test,
        plain.atomic_dec_and_test, plain.atomic_sub_and_test, plain.xchg, plain.cpu_relax,
    }
)  # fmt: skip
"""The primitives whose interpreted form is right on terms: they use the reference and the operators of numbers only."""

plain.require_all(AS_INTERPRETED | SUBSTITUTES.keys(), "symbolic", "framework/verify/symbolic/primitives.py")

BUILTINS: Final[dict[str, Callable[..., Any]]] = {
    "min": number.symbolic_min,
    "max": number.symbolic_max,
    "abs": number.symbolic_abs,
    "bool": number.symbolic_bool,
    "int": number.symbolic_int,
}
"""What stands in a builtin's place in the text."""
