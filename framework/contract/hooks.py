"""The hooks of a policy: the functions that the engine calls, their arguments and what they return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

from foliolab.framework.machine.pointers import MM, Folio, Page

DEPRECATED_HOOKS: Final[dict[str, str]] = {}
"""Hooks that the next version of the contract drops, with what to use instead; a policy that has one gets a warning."""

Hook = Callable[..., Any]
# The types of hooks, so that a type checker finds a hook of other arguments; a second form takes `vpn`, too.
FolioHook = Callable[[Folio], None]
PtesHook = Callable[[Folio, Page, int, MM], None] | Callable[[Folio, Page, int, MM, int], None]
PmdHook = Callable[[Folio, MM], None] | Callable[[Folio, MM, int], None]
AddPtesHook = Callable[[Folio, Page, int, MM], int] | Callable[[Folio, Page, int, MM, int], int]
AddPmdHook = Callable[[Folio, MM], tuple[int, int]] | Callable[[Folio, MM, int], tuple[int, int]]
RemovePtesHook = (
    Callable[[Folio, Page, int, MM], tuple[int, bool]] | Callable[[Folio, Page, int, MM, int], tuple[int, bool]]
)
RemovePmdHook = Callable[[Folio, MM], tuple[int, int, bool]] | Callable[[Folio, MM, int], tuple[int, int, bool]]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """The functions of a policy; None selects the default, which changes nothing or answers as Linux 6.14 does.

    Every hook gets a large folio (order 1 and up; small folios need no scheme), pages of that folio, and the
    MM whose page table changes. `nr` is a number of consecutive pages. Hooks change the policy's own fields
    only; references, AnonExclusive, page tables and statistics are the engine's.

    The hooks in HOOKS_WITH_VPN may take one more argument, `vpn`: the page number in address space at which the
    mappings begin. Such a hook may look at the page tables of `mm` (`folio_mapped_between`), whose lock is held as
    in the kernel. Mappings that are added are not in the page tables yet; mappings that are removed are gone
    already. When a PMD is split, its PTEs are added below it before the PMD is removed.

    Hooks that return statistics may return negative numbers: the statistic then moves the other way.

    Attributes:
        prepare: (folio) a folio was allocated; default: store every field's `init`.
        release: (folio) the folio is about to be freed.
        new_anon: (folio, page, nr, mm) a private new anonymous folio gets its first nr = all mappings.
        new_anon_pmd: (folio, mm) the same, mapped by one PMD.
        add_ptes: (folio, page, nr, mm) -> nr: nr PTEs map pages page…page+nr-1; returns by how much the
            statistic of mapped pages grows.
        add_pmd: (folio, mm) -> (nr, nr_pmdmapped).
        dup_page: (page) fork: one more mapping of this page; called for each page before dup_ptes.
        dup_ptes: (folio, page, nr, mm) fork: nr PTEs more, in the child `mm`.
        dup_pmd: (folio, mm) fork: one PMD more, in the child `mm`.
        remove_ptes: (folio, page, nr, mm) -> (nr, partially_mapped): by how much the statistic of mapped pages shrinks,
            the pages that `new_anon` mapped included; whether the folio lost the last mapping of a page and not all.
        remove_pmd: (folio, mm) -> (nr, nr_pmdmapped, partially_mapped).
        move_pte: (folio, page, mm, vpn, to) mremap moved the PTE of a page from `vpn` to `to`, which maps the page
            now. The hook is not called for PMDs that move whole, with everything below them.
        mapcount: (folio) -> number of mappings, PTEs and PMDs alike.
        entire_mapcount: (folio) -> number of PMD mappings.
        maybe_mapped_shared: (folio) -> False only if certainly a single MM maps the folio.
        can_reuse: (folio, page, mm) -> whether `mm`, faulting on a write to a page that is not AnonExclusive,
            may write in place: `mm` is the sole owner and all references are its mappings.
        page_mapcount: (folio, page) -> what /proc/kpagecount shows and smaps divides by.
        page_exclusive: (folio, page) -> pagemap's bit 56, and smaps' private instead of shared.
    """

    prepare: FolioHook | None = None
    release: FolioHook | None = None
    new_anon: PtesHook
    new_anon_pmd: PmdHook | None = None
    add_ptes: AddPtesHook
    add_pmd: AddPmdHook | None = None
    dup_page: Callable[[Page], None] | None = None
    dup_ptes: PtesHook
    dup_pmd: PmdHook | None = None
    remove_ptes: RemovePtesHook
    remove_pmd: RemovePmdHook | None = None
    move_pte: Callable[[Folio, Page, MM, int, int], None] | None = None
    mapcount: Callable[[Folio], int] | None = None
    entire_mapcount: Callable[[Folio], int] | None = None
    maybe_mapped_shared: Callable[[Folio], bool]
    can_reuse: Callable[[Folio, Page, MM], bool] | None = None
    page_mapcount: Callable[[Folio, Page], int] | None = None
    page_exclusive: Callable[[Folio, Page], bool] | None = None

    def given(self) -> dict[str, Hook]:
        """The hooks that the policy defines, by name."""
        return {f.name: h for f in fields(self) if (h := getattr(self, f.name)) is not None}


HOOK_ARGUMENTS: Final = {
    "prepare": 1, "release": 1, "new_anon": 4, "new_anon_pmd": 2, "add_ptes": 4, "add_pmd": 2, "dup_page": 1,
    "dup_ptes": 4, "dup_pmd": 2, "remove_ptes": 4, "remove_pmd": 2, "move_pte": 5, "mapcount": 1, "entire_mapcount": 1,
    "maybe_mapped_shared": 1, "can_reuse": 3, "page_mapcount": 2, "page_exclusive": 2,
}  # fmt: skip
"""Number of arguments of each hook, without `vpn`."""

HOOK_RESULTS: Final = {
    "add_ptes": "a number", "add_pmd": "(nr, nr_pmdmapped)", "remove_ptes": "(nr, partially_mapped)",
    "remove_pmd": "(nr, nr_pmdmapped, partially_mapped)", "mapcount": "a number", "entire_mapcount": "a number",
    "maybe_mapped_shared": "True or False", "can_reuse": "True or False", "page_mapcount": "a number",
    "page_exclusive": "True or False",
}  # fmt: skip
"""What each hook that returns something must return."""

HOOKS_WITH_VPN: Final = frozenset(
    {
        "new_anon", "new_anon_pmd", "add_ptes", "add_pmd", "dup_ptes", "dup_pmd", "remove_ptes", "remove_pmd",
    }
)  # fmt: skip
"""The hooks that may take one more argument: the page number in address space."""


def takes_vpn(name: str, hook: Hook) -> bool:
    """Whether a policy's hook of that name takes the page number in address space, too."""
    return name in HOOKS_WITH_VPN and hook.__code__.co_argcount == HOOK_ARGUMENTS[name] + 1
