"""vm-scalability's anon-cow cases: a parent's memory, and N children who write all of it at the same time.

The parent populates private anonymous memory with folios of one size (a PMD maps 2 MiB folios, as it does a THP)
and forks N children. Then each child, a thread on a CPU of its own, writes as many 8-byte words as there are:
`anon-cow-seq` writes all words in order, `anon-cow-rand` random ones. The first write to a page copies it, since the
parent keeps it. Every folio starts with N + 1 MMs, more than two slots can name: from the second child
on, MMs map and unmap folios untracked.

The children start together; the time ends when the last child has finished. A counting run counts one child alone, the
last one. The published throughput is N times the bytes of a child, divided by that time.

Every page of a child takes the zone's lock, since per-CPU page lists are not modelled; Linux takes it once for dozens
of pages. That costs the same under every policy, and more than the policies' own work, so relative differences are
smaller here than in a kernel.

Source: specification 6.3 (usemem of vm-scalability; described there, nothing is copied) and 4.6.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.api import (
    COPIED,
    PAGE_SIZE,
    PMD_ORDER,
    READ_ONCE,
    Memory,
    ModelError,
    Setting,
    Timed,
    Workload,
    atomic_inc,
    cpu_at,
    cpu_relax,
    frame_of,
    mm_at,
    pte_at,
    store,
    u64,
    write_page,
    zone_at,
)

if TYPE_CHECKING:
    from foliolab.framework.api import Machine

PARENT: Final = 0
WORDS: Final = PAGE_SIZE // 8
"""8-byte words of a page."""
FEW_WORDS: Final = 16
"""Random words for each page in an interpreted run: enough to reach every page."""
SEQ_PAGES: Final = 1 << 16
"""Page frames of anon-cow-seq, parent and children together: more than any cache holds."""
RAND_PAGES: Final = 1 << 13
"""Page frames of anon-cow-rand: fewer, since it writes each page 512 times, each time with a cache miss."""
REFERENCES: Final = ("specification 6.3 and 4.6", "20231124132626.235350-1-david@redhat.com")

# Knuth's MMIX generator; its upper half is used
MULTIPLIER: Final = 6364136223846793005
INCREMENT: Final = 1442695040888963407


def meet(vm: Memory, gate: int, children: int) -> None:
    """Wait until all children have arrived."""
    if children > 1:
        arrived = pte_at(vm, gate).pte
        atomic_inc(arrived)
        while READ_ONCE(arrived) < children:
            cpu_relax()


def write_all(vm: Memory, contents: Any, cpu: int, zone: int, who: int, gate: int, children: int, nr: int) -> int:
    """Once all children have arrived, write every word of nr pages; return how many pages were written."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    mm = mm_at(vm, who)
    meet(vm, gate, children)
    for vpn in range(nr):
        if write_page(vm, contents, c, z, mm, vpn, 1, PAGE_SIZE) > COPIED:
            return vpn
    return nr


def write_random(
    vm: Memory, contents: Any, cpu: int, zone: int, who: int, gate: int, children: int, nr: int, words: int, seed: int
) -> int:
    """Once all children have arrived, write nr * words random words of nr pages; nr, or less if a write fails."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    mm = mm_at(vm, who)
    meet(vm, gate, children)
    state = seed
    for i in range(nr * words):
        state = u64(state * MULTIPLIER + INCREMENT)
        word = (state >> 32 & 0xFFFFFFFF) * (nr * 512) >> 32
        vpn = word >> 9
        if write_page(vm, contents, c, z, mm, vpn, 0, 0) > COPIED:
            return i // words
        store(pte_at(contents, frame_of(vm, mm, vpn) * PAGE_SIZE + 8 * (word & 511)).pte, state)
    return nr


def _all_of(write: Callable[[], int], nr: int) -> None:
    """Run a child; a child that could not write all pages is an error, since its time means nothing."""
    written = write()
    if written != nr:
        raise ModelError(f"a child wrote {written} of {nr} pages", "give the workload more page frames")


def _in_turn(calls: Sequence[Timed]) -> None:
    for call in calls:
        call()


@dataclass(frozen=True)
class AnonCow:
    """One of the cases.

    Args:
        children: how many write; from two children on, the slots of `mm-id` are full.
        random: whether they write random words.
    """

    children: int
    random: bool

    def prepare(self, machine: Machine, setting: Setting) -> Sequence[Timed]:
        """Populate and fork; a call for each child."""
        machine.create(PARENT)
        # a policy that cannot be mapped by PMDs is measured with PTEs, as in the other workloads
        pmd = setting.order == PMD_ORDER and "pmd" in machine.scheme.capabilities
        machine.populate(PARENT, 0, setting.nr_pages, setting.order, pmd=pmd)
        for child in range(1, self.children + 1):
            machine.fork(PARENT, child)
        if setting.counting:
            return [self._child(machine, setting, self.children, 1)]
        if machine.execution == "interpreted":  # nothing runs at the same time there
            return [partial(_in_turn, [self._child(machine, setting, c, 1) for c in range(1, self.children + 1)])]
        return [self._child(machine, setting, c, self.children) for c in range(1, self.children + 1)]

    def _child(self, machine: Machine, setting: Setting, child: int, children: int) -> Timed:
        """The timed call of a child, which waits until `children` have arrived."""
        where = (machine.map.cpus[child - 1], machine.map.zone, machine.map.mms[child], machine.map.scratch, children)
        if self.random:
            words = FEW_WORDS if machine.execution == "interpreted" else WORDS
            seed = (setting.seed * (self.children + 1) + child) % (1 << 62)
            numbers = (*where, setting.nr_pages, words, seed)
            write = machine.bind_function(write_random, "mmiiiiiiii", *numbers)
        else:
            write = machine.bind_function(write_all, "mmiiiiii", *where, setting.nr_pages)
        return partial(_all_of, write, setting.nr_pages)

    def limit(self, order: int) -> int:
        """Pages of the parent: at least two folios; all copies together have SEQ_PAGES or RAND_PAGES."""
        enough = RAND_PAGES if self.random else SEQ_PAGES
        return max(2 << order, enough // (self.children + 1))


def workload(name: str, children: int, random: bool) -> Workload:
    """An anon-cow case as a workload.

    Args:
        name: unique among all workloads.
        children: how many write at the same time, each with a copy of all memory.
        random: whether they write random words instead of all words in order.
    """
    case = AnonCow(children, random)
    what = "as many random words" if random else "every word, in order"
    return Workload(
        name=name,
        summary=f"{children} forked children write {what}, all at the same time, all of it timed (copies)",
        references=REFERENCES,
        prepare=case.prepare,
        mms=1 + children,
        frames=1 + children,
        threads=children,
        contents=True,
        scratch=8,
        limit=case.limit,
    )


def workloads() -> list[Workload]:
    """Both cases, with a child for each core as in vm-scalability, and at least two."""
    children = max(2, os.cpu_count() or 1)
    return [workload("anon-cow-seq", children, False), workload("anon-cow-rand", children, True)]
