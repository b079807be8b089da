"""One page of an MM's map: how it is mapped, who maps its folio, and what the policy answers about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from foliolab.framework.engine.operation import folio_size_text
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, PTRS_PER_PTE
from foliolab.framework.errors import UsageError
from foliolab.framework.explore.folio_detail import FLAGS, folio_of
from foliolab.framework.explore.source import nr_pages_text
from foliolab.framework.replay import cells

if TYPE_CHECKING:
    from foliolab.framework.explore.lane import Lane

RIGHT: Final = "right"
FALSE_SHARED: Final = "false shared"
UNSAFE: Final = "unsafe"
NAMED_OWNERS: Final = 3
"""Owners that a description names; it only counts the others."""


@dataclass(frozen=True)
class Owning:
    """An MM that maps a folio.

    Args:
        mm: number of its map.
        name: the process that has the map.
        mappings: pages of the folio that the MM maps.
    """

    mm: int
    name: str
    mappings: int


@dataclass(frozen=True)
class PageDetail:
    """A page of the map of an MM.

    Args:
        mm, page: number of the map, page on it.
        frame: the page frame that is mapped; -1 if none is.
        head: first frame of its folio; -1 if nothing is mapped.
        order: log2 of the folio's pages.
        mapcount: mappings of the page according to the page tables.
        flags: names of the page's flags.
        owners: MMs that map the folio.
        said_shared: the policy's answer to "may several MMs map the folio?"; None for a small folio, or without an
            answer.
        verdict: RIGHT, FALSE_SHARED or UNSAFE; empty if `said_shared` is None.
        description: the important part of it in one sentence.
    """

    mm: int
    page: int
    frame: int = -1
    head: int = -1
    order: int = 0
    mapcount: int = 0
    flags: tuple[str, ...] = ()
    owners: tuple[Owning, ...] = ()
    said_shared: bool | None = None
    verdict: str = ""
    description: str = ""


def verdict_of(said_shared: bool, owners: int) -> str:
    """How a policy's answer compares with the number of MMs that map the folio."""
    if said_shared == (owners > 1):
        return RIGHT
    return FALSE_SHARED if said_shared else UNSAFE


def answer_text(said_shared: bool | None) -> str:
    """A policy's answer as the end of a sentence: "says maybe shared"."""
    if said_shared is None:
        return "has no answer"
    return f"says {'maybe shared' if said_shared else 'exclusive'}"


def page_detail(lane: Lane, mm: int, page: int) -> PageDetail:
    """Describe a page of a map.

    Args:
        lane: the policy's lane.
        mm: number of the map.
        page: page on the map.

    Raises:
        UsageError: there is no such map or page.
    """
    if not 0 <= page < lane.source.pages or not 0 <= mm < len(lane.source.mms):
        raise UsageError(
            f"there is no page {page:,} of map {mm}",
            f"there are {len(lane.source.mms)} maps of {lane.source.pages:,} pages",
        )
    machine, vpn = lane.machine, lane.vpn(mm, page)
    if machine is None or vpn < 0:
        return PageDetail(mm, page, description=_unmapped(lane, mm, page))
    pmd, pte = int(machine.pmds(mm)[vpn // PTRS_PER_PTE]), int(machine.ptes(mm)[vpn])
    entry = pmd or pte
    if not entry & PTE_PRESENT:
        text = f"Page {page:,} of {_name(lane, mm)} is swapped out." if entry else _unmapped(lane, mm, page)
        return PageDetail(mm, page, description=text)
    frame = (entry >> PFN_SHIFT) + (vpn % PTRS_PER_PTE if pmd else 0)
    detail = _mapped(lane, mm, page, frame)
    return replace(detail, description=_describe(lane, detail))


def _mapped(lane: Lane, mm: int, page: int, frame: int) -> PageDetail:
    machine, state = lane.machine, lane.state
    assert machine is not None and state is not None
    head, order = folio_of(machine, frame)
    flags = int(machine.page(frame).flags.peek())
    counts = state.table(cells.AT_PAGES)[frame // cells.COUNTS : frame // cells.COUNTS + 1].view(np.uint16)
    owners = _owners(lane, head, frame, order)
    try:
        said_shared = bool(machine.maybe_shared(frame)) if order else None
    except Exception:  # whatever a policy's own code raises
        said_shared = None
    return PageDetail(
        mm=mm,
        page=page,
        frame=frame,
        head=head,
        order=order,
        mapcount=int(counts[frame % cells.COUNTS]),
        flags=tuple(name for bit, name in FLAGS.items() if flags >> bit & 1),
        owners=owners,
        said_shared=said_shared,
        verdict="" if said_shared is None else verdict_of(said_shared, len(owners)),
    )


def _owners(lane: Lane, head: int, frame: int, order: int) -> tuple[Owning, ...]:
    """The MMs that map a folio: from the account of owners, or for small folios from the page tables."""
    machine, state = lane.machine, lane.state
    assert machine is not None and state is not None
    names = lane.names()
    if order >= 2:
        counts = state.table(cells.AT_COUNT).reshape(-1, int(state.all[cells.HEADS]))[:, head >> 2]
        mappings = [(mm, int(counts[mm])) for mm in np.flatnonzero(counts).tolist()]
    else:
        mappings = []
        for mm in range(machine.shape.nr_mms):
            ptes = machine.ptes(mm)
            present = (ptes >> np.uint64(PFN_SHIFT) == frame) & (ptes & np.uint64(PTE_PRESENT) != 0)
            if nr := int(present.sum()):
                mappings.append((mm, nr))
    return tuple(Owning(mm, names[mm] if mm < len(names) else f"MM {mm}", nr) for mm, nr in mappings)


def _name(lane: Lane, mm: int) -> str:
    return lane.names()[mm] or "no process"


def _unmapped(lane: Lane, mm: int, page: int) -> str:
    if lane.machine is None:
        return f"{lane.name} does not run."
    name = lane.names()[mm]
    return f"{name} maps nothing at page {page:,}." if name else f"No process has map {mm + 1} now."


def _describe(lane: Lane, detail: PageDetail) -> str:
    """One sentence about a mapped page."""
    name = _name(lane, detail.mm)
    others = [one.name for one in detail.owners if one.mm != detail.mm]
    if not detail.order:
        shared = f"also mapped by {_listed(others)}" if others else "mapped by no other process"
        return f"Page {detail.page:,} of {name} is a small folio, {shared}."
    index = detail.frame - detail.head
    start = f"Page {detail.page:,} of {name} is page {index} of a {folio_size_text(detail.order)} folio"
    mapped = f"which {_listed(others)} {'map' if len(others) > 1 else 'maps'}, too" if others else "which only it maps"
    own = sum(one.mappings for one in detail.owners if one.mm == detail.mm)
    partial = f", it maps {nr_pages_text(own)} of it" if own < 1 << detail.order else ""
    verdict = f" ({detail.verdict})" if detail.verdict else ""
    return f"{start}, {mapped}{partial}; {lane.name} {answer_text(detail.said_shared)}{verdict}."


def _listed(names: list[str]) -> str:
    shown = names[:NAMED_OWNERS]
    if len(names) > len(shown):
        return f"{', '.join(shown)} and {len(names) - len(shown)} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
