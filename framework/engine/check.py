"""Consistency of a state: what must hold whatever the policy, and what a policy claims, against the truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import (
    MAPPING_ANON,
    PG_anon_exclusive,
    PG_lru_batch,
    PG_pagecache,
    PG_swapcache,
)
from foliolab.framework.engine.truth import Truth, free_frames, scan

__all__ = ["violations"]


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


def violations(machine: Machine, truth: Truth | None = None, two_owners: bool = False) -> list[str]:
    """What is wrong with a state; empty where nothing is.

    Args:
        machine: a machine between two operations.
        truth: its page tables' content, where already known.
        two_owners: whether no folio was ever mapped by more than two MMs at a time.
    """
    truth = scan(machine) if truth is None else truth
    return [*_engine_laws(machine, truth), *_policy_laws(machine, truth, two_owners)]


def _engine_laws(machine: Machine, truth: Truth) -> Iterator[str]:
    used = np.flatnonzero(truth.nr_pages_of > 0)
    refcount = machine.column("page", "_refcount").astype(np.int64)
    wanted = references(machine, truth)
    excess = (refcount - wanted)[used]
    small_pins = (truth.nr_pages_of[used] == 1) & (excess > 0) & (excess % GUP_PIN_COUNTING_BIAS == 0)
    for head in used[(excess != 0) & ~small_pins]:
        yield f"folio {head}: {refcount[head]} references, {wanted[head]} are accounted for"
    small = used[(truth.nr_pages_of[used] == 1)]
    mapcount = machine.column("page", "_mapcount").astype(np.int64) + 1
    for head in small[mapcount[small] != truth.page_mapcount[small]]:
        yield f"small folio {head}: mapcount {mapcount[head]}, {truth.page_mapcount[head]} mappings"
    free = free_frames(machine)
    zone = machine.vm.at("zone", machine.map.zone)
    if int(free.sum()) != zone.nr_free.peek():
        yield f"{int(free.sum())} frames are in free lists, the zone counts {zone.nr_free.peek()}"
    for pfn in np.flatnonzero(free & (truth.page_mapcount > 0)):
        yield f"frame {pfn} is free and mapped"
    for mm in range(machine.shape.nr_mms):
        yield from _rss(machine, truth, mm)
    yield from _exclusive(machine, truth)


def _rss(machine: Machine, truth: Truth, mm: int) -> Iterator[str]:
    state = machine.vm.at("mm", machine.map.mms[mm])
    mapped = int((truth.ptes[mm] + truth.pmds[mm][truth.heads]).sum())
    counted = state.rss_anon.peek() + state.rss_file.peek()
    if mapped != counted:
        yield f"MM {mm}: RSS {counted} pages, {mapped} are mapped"


def _exclusive(machine: Machine, truth: Truth) -> Iterator[str]:
    """An AnonExclusive page that is mapped at all is mapped by one MM; a writable private PTE needs the flag."""
    flags = machine.column("page", "flags")
    anon = machine.column("page", "mapping")[truth.heads] == MAPPING_ANON
    by_pmd = truth.pmds.sum(axis=0)[truth.heads] > 0
    exclusive = _bit(flags, PG_anon_exclusive).astype(np.bool_)
    shared_page = ((truth.ptes + truth.pmds[:, truth.heads]) > 0).sum(axis=0) > 1
    for pfn in np.flatnonzero(exclusive & anon & shared_page & ~by_pmd):
        yield f"page {pfn} is AnonExclusive and {truth.page_mapcount[pfn]} times mapped"
    for mm in range(machine.shape.nr_mms):
        table = machine.ptes(mm)
        writable = table[(table & np.uint64(3 | 1 << 9)) == 3] >> np.uint64(12)
        for pfn in writable[anon[writable] & ~exclusive[writable]]:
            yield f"MM {mm} may write page {pfn}, which is not AnonExclusive"


def _policy_laws(machine: Machine, truth: Truth, two_owners: bool) -> Iterator[str]:
    claims = machine.scheme.capabilities
    exact = "exact" in claims or (two_owners and "exact-for-two" in claims)
    for head in truth.folios():
        if truth.nr_pages_of[head] == 1:
            continue
        pfn = int(head)
        shared = machine.maybe_shared(pfn)
        owners = int(truth.owners[pfn])
        if owners > 1 and not shared and "safe" in claims:
            yield f"folio {pfn}: called exclusive, {owners} MMs map it"
        if owners == 1 and shared and exact:
            yield f"folio {pfn}: called shared, one MM maps it"
        if machine.mapcount(pfn) != truth.folio_mapcount[pfn]:
            yield f"folio {pfn}: mapcount {machine.mapcount(pfn)}, {truth.folio_mapcount[pfn]} mappings"
        if "page-mapcount" in claims:
            for page in range(pfn, pfn + int(truth.nr_pages_of[pfn])):
                count, real = machine.kpagecount(page), truth.page_mapcount[page]
                if count != real:
                    yield f"page {page}: mapcount {count}, {real} mappings"
    if "page-mapcount" in claims:
        mapped = int((truth.page_mapcount > 0).sum())
        counted = machine.statistic("NR_ANON_MAPPED") + machine.statistic("NR_FILE_MAPPED")
        if mapped != counted:
            yield f"statistics count {counted} pages as mapped, {mapped} are"
    yield from _unmapped(machine, truth)


def _unmapped(machine: Machine, truth: Truth) -> Iterator[str]:
    """The fields of a folio that nothing maps are back at their initial values."""
    idle = np.flatnonzero((truth.nr_pages_of > 1) & (truth.folio_mapcount == 0))
    for stored in machine.scheme.stored("folio"):
        if stored.init is None or stored.transient or stored.count > 1:
            continue
        values = machine.column("folio", stored.name)
        fits = idle[(stored.page < truth.nr_pages_of[idle])]
        for head in fits[values[fits].astype(np.int64) != stored.init]:
            yield f"folio {head} is unmapped, but {stored.name} is {int(values[head])}, not {stored.init}"
