"""The functions and fields that C text may use without defining them, and what stands for each in a policy's text."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

PRIMITIVES: Final[Mapping[str, str]] = {
    **{
        name: name
        for name in (
            "atomic_add", "atomic_add_negative", "atomic_add_return", "atomic_dec", "atomic_dec_and_test",
            "atomic_dec_return", "atomic_fetch_add", "atomic_inc", "atomic_inc_and_test", "atomic_inc_return",
            "atomic_read", "atomic_set", "atomic_sub", "atomic_sub_and_test", "atomic_sub_return", "bit_spin_lock",
            "bit_spin_unlock", "test_bit", "set_bit", "clear_bit", "__set_bit", "__clear_bit", "test_and_set_bit",
            "test_and_clear_bit", "test_and_set_bit_lock", "clear_bit_unlock", "__clear_bit_unlock", "smp_mb",
            "smp_rmb", "smp_wmb", "cpu_relax",
        )
    },
    "atomic_add_return_relaxed": "atomic_add_return", "atomic_sub_return_relaxed": "atomic_sub_return",
    "atomic_inc_return_relaxed": "atomic_inc_return", "atomic_dec_return_relaxed": "atomic_dec_return",
    "__bit_spin_unlock": "bit_spin_unlock", "smp_mb__after_atomic": "smp_mb", "smp_mb__before_atomic": "smp_mb",
}  # fmt: skip
"""The kernel's functions that are primitives. A relaxed one that returns a value is ordered: on x86 the same."""

OF_BITS: Final = frozenset(name for name in PRIMITIVES.values() if "bit" in name)
"""The primitives whose first argument is the number of a bit."""

ACCESSES: Final[Mapping[str, str]] = {
    "foliolab_read_once": "READ_ONCE", "foliolab_write_once": "WRITE_ONCE",
    "foliolab_load_acquire": "smp_load_acquire", "foliolab_store_release": "smp_store_release",
    "foliolab_cmpxchg": "cmpxchg", "foliolab_xchg": "xchg",
}  # fmt: skip
"""The stand-ins of the stub header for macros whose first argument is a place of any type."""

HELPERS: Final[Mapping[str, str]] = {
    **{
        name: name
        for name in (
            "folio_nr_pages", "folio_order", "folio_page", "folio_ref_count", "folio_test_anon", "folio_test_swapcache",
            "folio_trylock", "folio_unlock", "folio_free_swap", "PageAnonExclusive", "nth_page",
        )
    },
    "folio_large_nr_pages": "folio_nr_pages", "folio_large_order": "folio_order",
    "foliolab_max": "max", "foliolab_min": "min",
}  # fmt: skip
"""The kernel's functions for which FolioLab's engine has its own."""

CHECK: Final = "foliolab_check"
"""The stand-in of the stub header for VM_WARN_ON and its like."""
UNREACHABLE: Final = "foliolab_unreachable"
"""The stand-in for BUILD_BUG."""
ENGINE_FIELDS: Final = frozenset(
    {"_refcount", "flags", "_flags_1", "mapping", "_nr_pages", "_deferred_list", "_pincount", "private"}
)
"""The fields that the engine keeps: what C writes there is the engine's to do."""


@dataclass(frozen=True)
class Vocabulary:
    """What a translation takes for granted.

    Args:
        facts: functions whose answer the model fixes, with the answer.
        ignored: functions whose calls do nothing that a policy has to do.
        answers: functions that tell the kernel's statistics what changed: for each, the variables of the answer and the
            arguments (from 0) that they get.
    """

    facts: Mapping[str, int] = field(default_factory=dict)
    ignored: Set[str] = frozenset()
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
