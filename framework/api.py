"""The public API: everything that a policy, a workload or another plugin may use.

Built-in policies and workloads import nothing else of FolioLab.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foliolab.framework.contract import trace_records
from foliolab.framework.contract.asker import Answers, Asker, Entries, Moment, Pairs, Ranges, Seen
from foliolab.framework.contract.detector import Action, Detector, Known
from foliolab.framework.contract.hooks import Hooks
from foliolab.framework.contract.hookspecs import hookimpl
from foliolab.framework.contract.models import Models
from foliolab.framework.contract.parameter import Parameter, Values
from foliolab.framework.contract.policy import API_VERSION, CAPABILITIES, Policy, Scheme, exact_claim
from foliolab.framework.contract.reporter import Reporter
from foliolab.framework.contract.sharing_pattern import Processes, SharingPattern, Usage
from foliolab.framework.contract.stored import Stored
from foliolab.framework.contract.trace_reader import TraceReader, TraceSource
from foliolab.framework.contract.view import View
from foliolab.framework.contract.workload import Setting, Timed, Workload
from foliolab.framework.engine.fault import COPIED, NEW_PAGE, REUSED, UNCHANGED, write_page
from foliolab.framework.engine.folio import (
    PageAnonExclusive,
    folio_free_swap,
    folio_nr_pages,
    folio_order,
    folio_page,
    folio_ref_add,
    folio_ref_count,
    folio_ref_sub_return,
    folio_test_anon,
    folio_test_large,
    folio_test_swapcache,
    folio_trylock,
    folio_unlock,
)
from foliolab.framework.engine.pagetable import (
    PTE_VM_SHARED,
    PTE_WRITE,
    PTRS_PER_PTE,
    folio_mapped_between,
    frame_of,
)
from foliolab.framework.engine.rmap import (
    folio_add_anon_rmap_ptes,
    folio_add_file_rmap_ptes,
    folio_remove_rmap_ptes,
    folio_try_dup_anon_rmap_ptes,
)
from foliolab.framework.errors import FolioLabError, ModelError, PluginError, UsageError
from foliolab.framework.machine.layout import PMD_ORDER, Bits
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Page, Pte, Zone
from foliolab.framework.machine.primitives import (
    PAGE_SIZE,
    READ_ONCE,
    VM_WARN_ON,
    WRITE_ONCE,
    __clear_bit,
    __clear_bit_unlock,
    __set_bit,
    as_folio,
    as_page,
    atomic_add,
    atomic_add_negative,
    atomic_add_return,
    atomic_dec,
    atomic_dec_and_test,
    atomic_dec_return,
    atomic_fetch_add,
    atomic_inc,
    atomic_inc_and_test,
    atomic_inc_return,
    atomic_read,
    atomic_set,
    atomic_sub,
    atomic_sub_and_test,
    atomic_sub_return,
    bit_spin_lock,
    bit_spin_unlock,
    clear_bit,
    clear_bit_unlock,
    cmpxchg,
    copy_page,
    cpu_at,
    cpu_relax,
    fill_page,
    init_fields,
    load,
    memory_of,
    mm_at,
    nth_page,
    page_to_pfn,
    pfn_folio,
    pfn_to_page,
    prefetch,
    pte_at,
    ptr_add,
    set_bit,
    smp_load_acquire,
    smp_mb,
    smp_rmb,
    smp_store_release,
    smp_wmb,
    spin_wait_clear,
    store,
    test_and_clear_bit,
    test_and_set_bit,
    test_and_set_bit_lock,
    test_bit,
    u64,
    xchg,
    zone_at,
)
from foliolab.framework.machine.ref import Ref

if TYPE_CHECKING:
    from foliolab.framework.engine.machine import Machine

__all__ = [
    "API_VERSION", "CAPABILITIES", "COPIED", "MM", "NEW_PAGE", "PAGE_SIZE", "PMD_ORDER", "PTE_VM_SHARED", "PTE_WRITE",
    "PTRS_PER_PTE", "READ_ONCE", "REUSED", "UNCHANGED", "VM_WARN_ON", "WRITE_ONCE", "Action", "Answers", "Asker",
    "Bits", "Cpu", "Detector", "Entries", "Folio", "FolioLabError", "Hooks", "Known", "Machine", "Memory", "ModelError",
    "Models", "Moment", "Page", "PageAnonExclusive", "Pairs", "Parameter", "PluginError", "Policy", "Processes", "Pte",
    "Ranges", "Ref", "Reporter", "Scheme", "Seen", "Setting", "SharingPattern", "Stored", "Timed", "TraceReader",
    "TraceSource", "Usage", "UsageError", "Values", "View", "Workload", "Zone", "__clear_bit", "__clear_bit_unlock",
    "__set_bit", "as_folio", "as_page", "atomic_add", "atomic_add_negative", "atomic_add_return", "atomic_dec",
    "atomic_dec_and_test", "atomic_dec_return", "atomic_fetch_add", "atomic_inc", "atomic_inc_and_test",
    "atomic_inc_return", "atomic_read", "atomic_set", "atomic_sub", "atomic_sub_and_test", "atomic_sub_return",
    "bit_spin_lock", "bit_spin_unlock", "clear_bit", "clear_bit_unlock", "cmpxchg", "copy_page", "cpu_at", "cpu_relax",
    "exact_claim", "fill_page", "folio_add_anon_rmap_ptes", "folio_add_file_rmap_ptes", "folio_free_swap",
    "folio_mapped_between", "folio_nr_pages", "folio_order", "folio_page", "folio_ref_add", "folio_ref_count",
    "folio_ref_sub_return", "folio_remove_rmap_ptes", "folio_test_anon", "folio_test_large", "folio_test_swapcache",
    "folio_try_dup_anon_rmap_ptes", "folio_trylock", "folio_unlock", "frame_of", "hookimpl", "init_fields", "load",
    "memory_of", "mm_at", "nth_page", "page_to_pfn", "pfn_folio", "pfn_to_page", "prefetch", "pte_at", "ptr_add",
    "set_bit", "smp_load_acquire", "smp_mb", "smp_rmb", "smp_store_release", "smp_wmb", "spin_wait_clear", "store",
    "test_and_clear_bit", "test_and_set_bit", "test_and_set_bit_lock", "test_bit", "trace_records", "u64", "write_page",
    "xchg", "zone_at",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker must report a name that the api does not have

    def __getattr__(name: str) -> Any:
        """Import the machine when it is first asked for: it needs numpy, and `foliolab list` should not."""
        if name == "Machine":
            from foliolab.framework.engine.machine import Machine

            return Machine
        raise AttributeError(f"foliolab.framework.api has no {name!r}")
