"""Random operations: the laws of every state (I1 to I6 of specification 2.3 among them), whatever the policy,
and the same bytes whether the text is interpreted or compiled.

A sequence is a list of small numbers; `Drive` turns each into an operation that is possible in the state it
meets, so the same list drives every policy and both executions, and hypothesis can shrink it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import MAPPING_ANON, NR_ORDERS, PG_lru_batch, PG_swapcache
from foliolab.framework.engine.truth import Truth, scan
from foliolab.framework.errors import ModelError
from foliolab.framework.policy import Scheme
from foliolab.policies import exact, foliolab_policies, mm_id, no_page_mapcount, page_mapcount, vma_pagetable

Step = tuple[str, int, int, int, int]
PMD = 512
SMALL = Shape(512, 4, 64, max_order=4)
HUGE = Shape(8192, 3, 2048)

CHOSEN: dict[str, list[dict[str, int | str]]] = {
    "page-mapcount": [{}, {"batched": 0}, {"large_mapcount": 0, "batched": 0}],
    "mm-id-v1": [{}, {"page_mapcounts": 0}],
    "mm-id": [{}, {"slots": 1}, {"slots": 3}, {"slots": 8}, {"width": 32}],
    "likely-mapped-shared": [{}, {"version": "6.9"}],
    "vma-pagetable": [{}, {"count": "vmas"}],
    "rmap-id": [{}, {"stage": "mapcount"}, {"batched": 0}],
}
SCHEMES = [policy.with_parameters(chosen) for policy in foliolab_policies() for chosen in CHOSEN.get(policy.name, [{}])]
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)

OPERATIONS = (
    "create", "populate", "populate", "fork", "fork", "exit", "unmap", "unmap", "unmap_unflushed", "flush", "write",
    "write", "write", "mremap", "pin", "unpin", "get", "put", "drain", "swap_cache", "swap_out", "swap_out", "swap_in",
    "file", "map_file", "map_file", "pmd", "pmd", "split", "map_file_pmd",
)  # fmt: skip
# Shrinking takes minutes, and 30 steps can be read; add Phase.shrink to pursue a failure.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
NUMBER = st.integers(0, 1 << 12)
STEPS = st.lists(st.tuples(st.sampled_from(OPERATIONS), NUMBER, NUMBER, NUMBER, NUMBER), min_size=4, max_size=30)


class Drive:
    """Carries steps out on one machine; answers what each operation answered."""

    def __init__(self, m: Machine, nr_mms: int) -> None:
        self.m = m
        self.nr_mms = nr_mms
        self.vpns = m.shape.nr_vpns
        self.pins: list[int] = []
        self.users: list[int] = []
        self.files: list[int] = []
        m.create(0)

    def step(self, step: Step) -> Any:
        name, *numbers = step
        try:
            return getattr(self, name)(*numbers)
        except ModelError as fault:
            assert "no memory" in str(fault), f"{step}: {fault}"
            return "no memory"

    # -- choices --------------------------------------------------------------------------------------
    def live(self, n: int) -> int | None:
        """An MM that exists; None where there is none."""
        alive = [mm for mm in range(self.nr_mms) if self.m.is_alive(mm)]
        return alive[n % len(alive)] if alive else None

    def range(self, a: int, b: int, unit: int = 1) -> tuple[int, int]:
        start = a % (self.vpns // unit)
        return start * unit, (b % min(20, self.vpns // unit - start) + 1) * unit

    def page(self, mm: int, n: int, want: Callable[[int, int], bool]) -> int | None:
        """A page of address space with a PTE that `want(entry, flags of its folio)`."""
        table = self.m.ptes(mm)
        found = [int(v) for v in np.flatnonzero(table) if want(int(table[v]), self.folio_flags(int(table[v])))]
        return found[n % len(found)] if found else None

    def folio_flags(self, entry: int) -> int:
        return int(self.m.column("page", "flags")[self.head(entry >> 12)])

    def head(self, pfn: int) -> int:
        link = int(self.m.column("page", "compound_head")[pfn])
        return link >> 1 if link & 1 else pfn

    def anon(self, entry: int) -> bool:
        return bool(self.m.column("page", "mapping")[self.head(entry >> 12)] == MAPPING_ANON)

    # -- operations -----------------------------------------------------------------------------------
    def create(self, a: int, b: int, c: int, d: int) -> Any:
        mm = a % self.nr_mms
        return None if self.m.is_alive(mm) else self.m.create(mm)

    def populate(self, a: int, b: int, c: int, d: int) -> Any:
        mm, order = self.live(a), (0, 2, 3, 4)[b % 4]
        start, nr = self.range(c, d % 3, 1 << order)
        if mm is not None and not self.m.is_mapped(mm, start, nr):
            self.m.populate(mm, start, nr, order, batched=d % 5 == 0)
            return start, nr
        return None

    def pmd(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        if mm is None or self.vpns < PMD:
            return None
        start, _ = self.range(b, 0, PMD)
        if not self.m.is_mapped(mm, start, PMD):
            self.m.populate(mm, start, PMD, 9, pmd=c % 4 > 0)
            return start
        return None

    def fork(self, a: int, b: int, c: int, d: int) -> Any:
        parent, child = self.live(a), b % self.nr_mms
        if parent is None or self.m.is_alive(child):
            return None
        if c % 4:
            return self.m.fork(parent, child)
        start, nr = self.range(d, c, PMD if self.vpns >= PMD else 1)
        return self.m.fork(parent, child, start, nr)

    def exit(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        return None if mm is None else self.m.exit(mm, flush=b % 4 > 0)

    def unmap(self, a: int, b: int, c: int, d: int, flush: bool = True) -> Any:
        mm = self.live(a)
        start, nr = self.range(b, c, 64 if self.vpns >= PMD and d % 2 else 1)
        return None if mm is None else self.m.unmap(mm, start, nr, flush)

    def unmap_unflushed(self, a: int, b: int, c: int, d: int) -> Any:
        return self.unmap(a, b, c, d, flush=False)

    def flush(self, a: int, b: int, c: int, d: int) -> Any:
        return self.m.flush_gather()

    def write(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        if mm is None:
            return None
        start, nr = self.range(b, c % 4)
        return self.m.write(mm, start, nr, value=d % 256, nbytes=3)

    def mremap(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        start, nr = self.range(b, d)
        to = c % (self.vpns - nr + 1)
        if mm is None or abs(start - to) < nr or self.m.is_mapped(mm, to, nr):
            return None
        return self.m.mremap(mm, start, to, nr)

    def pin(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        vpn = b % self.vpns
        if mm is None or self.m.frame(mm, vpn) < 0 or len(self.pins) > 3:
            return None
        self.pins.append(self.m.pin(mm, vpn))
        return self.pins[-1]

    def unpin(self, a: int, b: int, c: int, d: int) -> Any:
        return self.m.unpin(self.pins.pop(a % len(self.pins))) if self.pins else None

    def get(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        vpn = b % self.vpns
        if mm is None or self.m.frame(mm, vpn) < 0 or len(self.users) > 3:
            return None
        self.users.append(self.m.frame(mm, vpn))
        return self.m.get_user(self.users[-1])

    def put(self, a: int, b: int, c: int, d: int) -> Any:
        return self.m.put_user(self.users.pop(a % len(self.users))) if self.users else None

    def drain(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        if mm is None or self.m.frame(mm, b % self.vpns) < 0:
            return None
        return self.m.drain(self.m.frame(mm, b % self.vpns))

    def swap_cache(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        vpn = None if mm is None else self.page(mm, b, lambda entry, _: bool(entry & 1) and self.anon(entry))
        return None if mm is None or vpn is None else self.m.swap_cache(self.m.frame(mm, vpn))

    def swap_out(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)

        def cached(entry: int, flags: int) -> bool:
            return bool(entry & 1) and self.anon(entry) and flags >> PG_swapcache & 1 == 1

        vpn = None if mm is None else self.page(mm, b, cached)
        return None if mm is None or vpn is None else self.m.swap_out(mm, vpn)

    def swap_in(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        vpn = None if mm is None else self.page(mm, b, lambda entry, _: not entry & 1)
        return None if mm is None or vpn is None else self.m.swap_in(mm, vpn)

    def file(self, a: int, b: int, c: int, d: int) -> Any:
        if len(self.files) < 3:
            order = 9 if self.vpns >= PMD and b % 2 else (0, 1, 2, 3, 4)[a % 5]
            self.files.append(self.m.file_folio(order, shmem=c % 2 == 1))
        return self.files[-1]

    def map_file(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        if mm is None or not self.files:
            return None
        head = self.files[b % len(self.files)]
        pages = int(scan(self.m).nr_pages_of[head])
        offset = d % pages
        start, nr = self.range(c, pages - 1)
        nr = min(nr, pages - offset)
        if self.m.is_mapped(mm, start, nr):
            return None
        return self.m.map_file(mm, start, head + offset, nr, shared=d % 3 == 0, write=d % 2 == 0)

    def map_file_pmd(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        huge = [pfn for pfn in self.files if scan(self.m).nr_pages_of[pfn] == PMD]
        start, _ = self.range(b, 0, PMD if self.vpns >= PMD else 1)
        if mm is None or not huge or self.m.is_mapped(mm, start, PMD):
            return None
        return self.m.map_file(mm, start, huge[c % len(huge)], PMD, pmd=True)

    def split(self, a: int, b: int, c: int, d: int) -> Any:
        mm = self.live(a)
        start, nr = self.range(b, c)
        return None if mm is None else self.m.split_pmd(mm, start, nr)

    # -- the end --------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Give everything back."""
        while self.pins:
            self.unpin(0, 0, 0, 0)
        while self.users:
            self.put(0, 0, 0, 0)
        for mm in range(self.nr_mms):
            if self.m.is_alive(mm):
                self.m.exit(mm)
        self.m.flush_gather()
        self.reclaim()
        for pfn in self.files:
            self.m.drop_file(pfn)

    def reclaim(self) -> None:
        """Drain the LRU batches, and take the swap cache's references from what nothing else holds.

        A folio whose last swap entry went while somebody held a reference stays in the swap cache until reclaim,
        which is not modelled: its references are turned into ordinary ones here, and dropped.
        """
        truth, flags = scan(self.m), self.m.column("page", "flags")
        for head in self.held(truth, PG_lru_batch):
            self.m.drain(head)
        for head in self.held(truth, PG_swapcache):
            flags[head] &= np.uint64(~(1 << PG_swapcache) % (1 << 64))
            self.m.column("page", "gup_refs")[head] += int(truth.nr_pages_of[head])
            self.m.put_user(head, int(truth.nr_pages_of[head]))

    def held(self, truth: Truth, bit: int) -> list[int]:
        flags = self.m.column("page", "flags")
        return [int(h) for h in np.flatnonzero((flags >> np.uint64(bit) & np.uint64(1) > 0) & (truth.nr_pages_of > 0))]


def foreseen(m: Machine, truth: Truth, law: str) -> bool:
    """Where the specification itself says that a scheme calls one owner's folio shared."""
    if "called shared" not in law:
        return False
    head = int(law.split()[1].rstrip(":"))
    if m.scheme.policy.name == "mm-id-v1":
        return int(m.column("page", "mapping")[head]) != MAPPING_ANON  # 2.4, T5: the first map clears the flag
    if m.scheme.policy.name == "rmap-id":
        pages = int(truth.nr_pages_of[head])
        return pages < 4 or int(truth.folio_mapcount[head]) > pages  # 4.1: shared without looking
    return False


def slot_violations(m: Machine, truth: Truth) -> list[str]:
    """I1, I2, I4 and I5 of specification 2.3, for the merged two-slot schemes."""
    if m.scheme.name not in ("mm-id", "no-page-mapcount", "total-mapped-pages"):
        return []
    wrong = []
    number = {m.mm_id(mm): mm for mm in range(m.shape.nr_mms)}
    for head in np.flatnonzero(truth.nr_pages_of > 1):
        folio = m.folio(int(head))
        word = folio._mm_ids.peek() % (1 << 64)
        ids = [word & 0x7FFFFFFF, word >> 32 & 0x7FFFFFFF]
        counts = [folio._mm_id_mapcount[i].peek() for i in (0, 1)]
        shared = word >> 63
        for mm, count in zip(ids, counts, strict=True):
            if (mm == 0) != (count == -1):
                wrong.append(f"I1: folio {head}: ID {mm}, count {count}")
            if mm and not 1 <= count + 1 <= truth.mappings[number[mm], head]:
                wrong.append(f"I2: folio {head}: slot of MM {number[mm]} says {count + 1}")
        if ids[0] == ids[1] != 0:
            wrong.append(f"I1: folio {head}: {ids[0]} occupies both slots")
        if all(ids) and not shared:
            wrong.append(f"I4: folio {head}: two slots, not shared")
        if truth.folio_mapcount[head] == 0 and (any(ids) or shared):
            wrong.append(f"I5: folio {head}: unmapped, ids {ids}, shared {shared}")
    return wrong


def pair_violations(m: Machine, truth: Truth) -> list[str]:
    """The count of `vma-pagetable` (specification 5.2), from the page tables; see its docstring on what a VMA is."""
    if m.scheme.policy.name != "vma-pagetable":
        return []
    of_tables = dict(m.scheme.values)["count"] == 0
    pairs: dict[int, set[tuple[int, ...]]] = {int(head): set() for head in np.flatnonzero(truth.nr_pages_of > 1)}
    for mm in range(m.shape.nr_mms):
        present = np.flatnonzero(m.ptes(mm) & np.uint64(1))
        places = [(int(vpn), int(m.ptes(mm)[vpn]) >> 12) for vpn in present]
        places += [(int(at) * PMD, int(m.pmds(mm)[at]) >> 12) for at in np.flatnonzero(m.pmds(mm))]
        for vpn, pfn in places:
            head = int(truth.heads[pfn])
            if head in pairs:
                pairs[head].add((mm, vpn - (pfn - head), vpn // PMD if of_tables else 0))
    return [
        f"folio {head}: {m.folio(head)._pair_mapcount.peek()} pairs counted, {sorted(found)} are"
        for head, found in pairs.items()
        if m.folio(head)._pair_mapcount.peek() != len(found)
    ]


LEVELS = (
    "NR_ANON_MAPPED", "NR_FILE_MAPPED", "NR_ANON_THPS", "NR_SHMEM_PMDMAPPED", "NR_FILE_PMDMAPPED",
    "NR_ANON_PARTIALLY_MAPPED",
)  # fmt: skip
"""The statistics that are levels; the others count events for ever."""


def is_pristine(m: Machine) -> list[str]:
    """What is not as on a machine where nothing ever happened, but for what the statistics count for ever."""
    wrong = []
    zone = m.at("zone", m.map.zone)
    if zone.nr_free.peek() != m.shape.nr_pages:
        wrong.append(f"{zone.nr_free.peek()} of {m.shape.nr_pages} frames are free")
    for name in LEVELS:
        if m.statistic(name):
            wrong.append(f"{name} is {m.statistic(name)}")
    nr_anon = [m.at("cpu", m.map.cpus[0]).nr_anon[order].peek() for order in range(NR_ORDERS)]
    if any(nr_anon):
        wrong.append(f"nr_anon is {nr_anon}")
    for mm in range(m.shape.nr_mms):
        state = m.at("mm", m.map.mms[mm])
        if any(field.peek() for field in (state.mm_id, state.rss_anon, state.rss_file, state.rss_swap)):
            wrong.append(f"MM {mm} has an ID or an RSS")
    return wrong


def run_and_check(scheme: Scheme, shape: Shape, steps: list[Step], nr_mms: int) -> None:
    m = Machine(scheme, shape, "interpreted")
    drive = Drive(m, nr_mms)
    for step in steps:
        drive.step(step)
        truth = scan(m)
        broken = violations(m, truth, most_owners=nr_mms)
        assert [law for law in broken if not foreseen(m, truth, law)] == [], step
        assert slot_violations(m, truth) == [], step
        assert pair_violations(m, truth) == [], step
    drive.finish()
    assert violations(m) == []
    assert is_pristine(m) == []


@every_scheme
@settings(max_examples=25, phases=PHASES)
@given(steps=STEPS)
def test_laws_hold(scheme: Scheme, steps: list[Step]) -> None:
    run_and_check(scheme, SMALL, steps, nr_mms=4)


@every_scheme
@settings(max_examples=15, phases=PHASES)
@given(steps=STEPS)
def test_laws_hold_with_two_owners_at_most(scheme: Scheme, steps: list[Step]) -> None:
    """I6: as long as at most two MMs map a folio at a time, the two slots answer exactly."""
    run_and_check(scheme, SMALL, steps, nr_mms=2)


@every_scheme
@settings(max_examples=6, phases=PHASES)
@given(steps=STEPS)
def test_laws_hold_with_pmds(scheme: Scheme, steps: list[Step]) -> None:
    run_and_check(scheme, HUGE, steps, nr_mms=3)


# -- one text, two executions ------------------------------------------------------------------------------
DEFAULTS = [page_mapcount, mm_id, no_page_mapcount, vma_pagetable, exact]


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
@pytest.mark.parametrize("module", DEFAULTS, ids=lambda module: module.POLICY.name)
@pytest.mark.parametrize(("shape", "examples"), [(SMALL, 20), (HUGE, 8)], ids=["small", "pmd"])
def test_interpreted_and_native_leave_the_same_bytes(module: Any, shape: Shape, examples: int) -> None:
    scheme = module.POLICY.with_parameters()
    shape = Shape(shape.nr_pages, shape.nr_mms, shape.nr_vpns, 1, shape.max_order, contents=shape is SMALL)

    @settings(max_examples=examples, phases=PHASES)
    @given(steps=STEPS)
    def check(steps: list[Step]) -> None:
        slow, fast = (Machine(scheme, shape, how) for how in ("interpreted", "native"))
        drives = [Drive(m, shape.nr_mms) for m in (slow, fast)]
        for step in steps:
            assert drives[0].step(step) == drives[1].step(step), step
        assert np.array_equal(slow.vm.buffer, fast.vm.buffer)
        assert np.array_equal(slow.contents.buffer, fast.contents.buffer)
        for pfn in map(int, scan(slow).folios()):
            assert slow.maybe_shared(pfn) == fast.maybe_shared(pfn)
            assert slow.kpagecount(pfn) == fast.kpagecount(pfn)
            assert slow.exclusive(pfn) == fast.exclusive(pfn)
        for mm in range(shape.nr_mms):
            assert slow.smaps(mm) == fast.smaps(mm)
        for drive in drives:
            drive.finish()
        assert np.array_equal(slow.vm.buffer, fast.vm.buffer)

    check()
