"""The public API: everything that a policy, a workload or another plugin may use.

Built-in policies and workloads import nothing else of FolioLab.
"""

from __future__ import annotations

from foliolab.framework.engine.fault import COPIED, NEW_PAGE, REUSED, UNCHANGED
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
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.rmap import (
    folio_add_anon_rmap_ptes,
    folio_add_file_rmap_ptes,
    folio_remove_rmap_ptes,
    folio_try_dup_anon_rmap_ptes,
)
from foliolab.framework.errors import FolioLabError, ModelError, PluginError, UsageError
from foliolab.framework.hookspecs import hookimpl
from foliolab.framework.machine.layout import Bits
from foliolab.framework.machine.primitives import *  # noqa: F403
from foliolab.framework.machine.primitives import (  # names that a star does not carry
    __clear_bit,
    __clear_bit_unlock,
    __set_bit,
)
from foliolab.framework.policy import API_VERSION, CAPABILITIES, Hooks, Parameter, Policy, Stored
from foliolab.framework.workload import PMD_ORDER, Setting, Timed, Workload
