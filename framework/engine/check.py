"""Consistency of a state: the laws of the engine, and what a policy owes or claims, checked against the truth."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import exact_claim, exact_up_to
from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PTE_MIGRATION, PTE_PRESENT
from foliolab.framework.engine.structs import (
    MAPPING_ANON,
    PG_anon_exclusive,
    PG_lru_batch,
    PG_pagecache,
    PG_partially_mapped,
    PG_swapcache,
)
from foliolab.framework.engine.truth import Counts, Truth, scan

__all__ = ["Violation", "asks_policy", "references", "unmarked", "violations", "wrong_reuse"]

MANY_OWNERS = 1 << 30
MAPPED_STATISTICS = (
    "NR_ANON_MAPPED", "NR_FILE_MAPPED", "NR_ANON_THPS", "NR_SHMEM_PMDMAPPED", "NR_FILE_PMDMAPPED",
)  # fmt: skip


class Violation(str):
    """A broken law, as a sentence.

    Attributes:
        law: the law that is broken (see `verify.laws.LAWS`).
        claim: the capability that it refutes; empty: every policy owes it.
    """

    law: str
    claim: str

    def __new__(cls, law: str, message: str, claim: str = "") -> Self:
        """A violation of that law."""
        made = super().__new__(cls, message)
        made.law, made.claim = law, claim
        return made


def _bit(flags: NDArray[np.uint64], bit: int) -> NDArray[np.int64]:
    return ((flags >> np.uint64(bit)) & np.uint64(1)).astype(np.int64)


def _gathered(engine: Engine) -> NDArray[np.int64]:
    """References that unflushed mmu_gathers hold, by head frame."""
    held = np.zeros(engine.shape.nr_pages, np.int64)
    for off in engine.map.cpus:
        cpu = engine.vm.at("cpu", off)
        for i in range(cpu.gather_nr.peek()):
            entry = cpu.gather[i].peek()
            held[entry >> 16] += entry & 0xFFFF
    return held


def references(engine: Engine, truth: Truth) -> NDArray[np.int64]:
    """References of each folio, at its head, as the sum of their sources; small folios' pins are left out."""
    flags = engine.column("page", "flags")
    sources = truth.folio_mapcount + _gathered(engine)
    sources += truth.nr_pages_of * (_bit(flags, PG_swapcache) + _bit(flags, PG_pagecache))
    sources += _bit(flags, PG_lru_batch) + engine.column("page", "gup_refs").astype(np.int64)
    large = np.flatnonzero(truth.nr_pages_of > 1)
    sources[large] += engine.column("folio", "_pincount")[large]
    return sources


def asks_policy(machine: Machine, truth: Truth, frame: int) -> bool:
    """Whether a write fault on a mapped page asks the policy: it lies in a large folio, and is not AnonExclusive."""
    head = int(truth.heads[frame])
    exclusive = int(machine.column("page", "flags")[frame]) >> PG_anon_exclusive & 1
    return bool(truth.nr_pages_of[head] > 1 and not exclusive and not truth.pmds[:, head].any())


def wrong_reuse(machine: Machine, truth: Truth, frame: int) -> str:
    """Why a write fault that asked the policy may not have reused a page; empty if it may.

    Args:
        truth: after the write.
    """
    head = int(truth.heads[frame])
    owners = int(truth.owners[head])
    if owners != 1:
        return f"which {owners} MMs map"
    extra = int(references(machine, truth)[head] - truth.folio_mapcount[head])
    return f"with {extra} references that are no mappings" if extra else ""


def violations(
    machine: Machine, truth: Truth | None = None, most_owners: int | Counts = MANY_OWNERS
) -> list[Violation]:
    """The laws that a state breaks.

    Args:
        machine: a machine between two operations.
        truth: its page tables' content, where already known.
        most_owners: how many MMs mapped each folio at a time so far, at most; of all, or by head frame.
    """
    truth = scan(machine) if truth is None else truth
    most = np.broadcast_to(np.asarray(most_owners), (machine.shape.nr_pages,))
    return [*_engine_laws(machine, truth), *_policy_laws(machine, truth, most)]


def _engine_laws(machine: Machine, truth: Truth) -> Iterator[Violation]:
    used = np.flatnonzero(truth.nr_pages_of > 0)
    refcount = machine.column("page", "_refcount").astype(np.int64)
    wanted = references(machine, truth)
    excess = (refcount - wanted)[used]
    small_pins = (truth.nr_pages_of[used] == 1) & (excess > 0) & (excess % GUP_PIN_COUNTING_BIAS == 0)
    for head in used[(excess != 0) & ~small_pins]:
        message = f"folio {head}: {refcount[head]} references, {wanted[head]} are accounted for"
        yield Violation("references", message)
    small = used[(truth.nr_pages_of[used] == 1)]
    mapcount = machine.column("page", "_mapcount").astype(np.int64) + 1
    for head in small[mapcount[small] != truth.page_mapcount[small]]:
        message = f"small folio {head}: mapcount {mapcount[head]}, {truth.page_mapcount[head]} mappings"
        yield Violation("mapcount", message)
    free = truth.free
    zone = machine.vm.at("zone", machine.map.zone)
    if int(free.sum()) != zone.nr_free.peek():
        yield Violation("frames", f"{int(free.sum())} frames are in free lists, the zone counts {zone.nr_free.peek()}")
    for pfn in np.flatnonzero(free & (truth.page_mapcount > 0)):
        yield Violation("frames", f"frame {pfn} is free and mapped")
    for mm in range(machine.shape.nr_mms):
        yield from _rss(machine, truth, mm)
    yield from _exclusive(machine, truth)
    yield from _pinned(machine)


def _rss(machine: Machine, truth: Truth, mm: int) -> Iterator[Violation]:
    state = machine.vm.at("mm", machine.map.mms[mm])
    table = machine.ptes(mm)
    migrating = int(((table & np.uint64(PTE_PRESENT | PTE_MIGRATION)) == PTE_MIGRATION).sum())
    if migrating:
        yield Violation("migration", f"MM {mm}: {migrating} migration entries, though no folio is being migrated")
    mapped = int((truth.ptes[mm] + truth.pmds[mm][truth.heads]).sum()) + migrating
    counted = state.rss_anon.peek() + state.rss_file.peek()
    if mapped != counted:
        yield Violation("rss", f"MM {mm}: RSS {counted} pages, {mapped} are mapped")


def _exclusive(machine: Machine, truth: Truth) -> Iterator[Violation]:
    """An AnonExclusive page that is mapped at all is mapped by one MM; a writable private PTE needs the flag."""
    flags = machine.column("page", "flags")
    anon = machine.column("page", "mapping")[truth.heads] == MAPPING_ANON
    by_pmd = truth.pmds.sum(axis=0)[truth.heads] > 0
    exclusive = _bit(flags, PG_anon_exclusive).astype(np.bool_)
    shared_page = ((truth.ptes + truth.pmds[:, truth.heads]) > 0).sum(axis=0) > 1
    for pfn in np.flatnonzero(exclusive & anon & shared_page & ~by_pmd):
        message = f"page {pfn} is AnonExclusive and {truth.page_mapcount[pfn]} times mapped"
        yield Violation("anon-exclusive", message)
    for mm in range(machine.shape.nr_mms):
        table = machine.ptes(mm)
        writable = table[(table & np.uint64(3 | 1 << 9)) == 3] >> np.uint64(12)
        for pfn in writable[anon[writable] & ~exclusive[writable]]:
            message = f"MM {mm} may write page {pfn}, which is not AnonExclusive"
            yield Violation("anon-exclusive", message)


def _pinned(machine: Machine) -> Iterator[Violation]:
    """What gup_fast has pinned for writing through a private mapping belongs to that MM alone, and stays so."""
    flags = machine.column("page", "flags")
    for pfn in np.flatnonzero(machine.pins()):
        if not int(flags[pfn]) >> PG_anon_exclusive & 1:
            yield Violation("pinned", f"page {pfn} is pinned for writing and not AnonExclusive")


def _policy_laws(machine: Machine, truth: Truth, most_owners: Counts) -> Iterator[Violation]:
    claims = machine.scheme.capabilities
    for head in truth.folios():
        if truth.nr_pages_of[head] > 1:
            yield from _answers(machine, truth, int(head), int(most_owners[head]))
            yield from _counts(machine, truth, int(head))
    counted = machine.statistic("NR_ANON_MAPPED") + machine.statistic("NR_FILE_MAPPED")
    mapped = int((truth.page_mapcount > 0).sum())
    if "page-mapcount" in claims and mapped != counted:
        message = f"statistics count {counted} pages as mapped, {mapped} are"
        yield Violation("statistics", message, "page-mapcount")
    if not mapped:
        yield from _nothing_mapped(machine)
    yield from _unmapped(machine, truth)


def _answers(machine: Machine, truth: Truth, head: int, most_owners: int) -> Iterator[Violation]:
    """The answer to "may several MMs map it?" as far as it is claimed to be right."""
    claims = machine.scheme.capabilities
    shared = machine.maybe_shared(head)
    owners = int(truth.owners[head])
    if owners > 1 and not shared and "safe" in claims:
        yield Violation("safe", f"folio {head}: called exclusive, {owners} MMs map it", "safe")
    if owners == 1 and shared:
        message = f"folio {head}: called shared, one MM maps it"
        if "exact" in claims:
            yield Violation("exact", message, "exact")
        if most_owners <= (limit := exact_up_to(claims)):
            yield Violation("exact-up-to", f"{message}, and never more than {limit} did", exact_claim(limit))


def _average(truth: Truth, head: int) -> int:
    """The average page mapcount of a mapped folio, rounded to nearest, at least 1 (specification 3.3)."""
    pages = int(truth.nr_pages_of[head])
    total = int(truth.page_mapcount[head : head + pages].sum())
    return max((total + pages // 2) // pages, 1)


def _counts(machine: Machine, truth: Truth, head: int) -> Iterator[Violation]:
    claims = machine.scheme.capabilities
    if (count := machine.mapcount(head)) != truth.folio_mapcount[head]:
        yield Violation("mapcount", f"folio {head}: mapcount {count}, {truth.folio_mapcount[head]} mappings")
    pages = range(head, head + int(truth.nr_pages_of[head]))
    if "page-mapcount" in claims:
        counts, real = machine.kpagecounts(pages), truth.page_mapcount[head : pages.stop]
        for at in np.flatnonzero(counts != real):
            message = f"page {pages[at]}: mapcount {counts[at]}, {real[at]} mappings"
            yield Violation("page-mapcount", message, "page-mapcount")
    if claims & {"safe", "page-mapcount"}:
        yield from _bits(machine, truth, pages)
    if "average-mapcount" in claims and (count := machine.kpagecount(head)) != (wanted := _average(truth, head)):
        message = f"folio {head}: average mapcount {count}, {wanted} by the stated formula"
        yield Violation("average-mapcount", message, "average-mapcount")


def _bits(machine: Machine, truth: Truth, pages: range) -> Iterator[Violation]:
    """pagemap's bit 56, which says that one process maps the page, and once, where page mapcounts are exact."""
    claims = machine.scheme.capabilities
    bits = machine.exclusives(pages) != 0
    mms = ((truth.ptes[:, pages.start : pages.stop] + truth.pmds[:, pages.start][:, None]) > 0).sum(axis=0)
    real = truth.page_mapcount[pages.start : pages.stop]
    wrong = bits & (mms > 1)
    if "safe" in claims and wrong.any() and machine.maybe_shared(pages.start):  # else `safe` itself is broken
        for at in np.flatnonzero(wrong):
            message = f"page {pages[at]}: bit 56 of pagemap is set, {mms[at]} MMs map it"
            yield Violation("page-exclusive", message, "safe")
    if "page-mapcount" in claims:
        for at in np.flatnonzero((bits != (real == 1)) & (real > 0)):
            message = f"page {pages[at]}: bit 56 of pagemap is {int(bits[at])}, {real[at]} mappings"
            yield Violation("page-exclusive", message, "page-mapcount")


def unmarked(machine: Machine, truth: Truth, excused: Collection[int] = ()) -> Iterator[Violation]:
    """Large anonymous folios that are partially mapped now and not marked so, where that is claimed.

    Args:
        excused: heads of folios that the kernel does not mark: those that were in the swap cache.
    """
    if "partial-mapping" not in machine.scheme.capabilities:
        return
    anon = machine.column("page", "mapping") == MAPPING_ANON
    for head in np.flatnonzero((truth.nr_pages_of > 2) & anon & truth.partially_mapped).tolist():
        marked = int(machine.column("folio", "_flags_1")[head]) >> PG_partially_mapped & 1
        if not marked and head not in excused:
            message = f"folio {head} is partially mapped and not marked so"
            yield Violation("partial-mapping", message, "partial-mapping")


def _nothing_mapped(machine: Machine) -> Iterator[Violation]:
    """Statistics of mapped pages sum to zero while nothing is mapped, whatever they count in between."""
    for name in MAPPED_STATISTICS:
        if value := machine.statistic(name):
            yield Violation("statistics-zero", f"nothing is mapped, but {name} is {value}")


def _unmapped(machine: Machine, truth: Truth) -> Iterator[Violation]:
    """What a policy stores in a folio that nothing maps, and in its pages, is back at its initial values."""
    idle = np.flatnonzero((truth.nr_pages_of > 1) & (truth.folio_mapcount == 0))
    if not idle.size:
        return
    pages = np.flatnonzero(np.isin(truth.heads, idle))
    for stored in machine.scheme.fields:
        if stored.per == "mm" or stored.init is None or stored.transient:
            continue
        frames = pages if stored.per == "page" else idle[stored.page < truth.nr_pages_of[idle]]
        for element in range(stored.count):
            values = machine.column(stored.per, stored.name, element)[frames].astype(np.int64)
            for at in np.flatnonzero(values != stored.init):
                name = f"{stored.name}[{element}]" if stored.count > 1 else stored.name
                message = f"{stored.per} {frames[at]} is unmapped, but {name} is {int(values[at])}, not {stored.init}"
                yield Violation("initial-values", message)
