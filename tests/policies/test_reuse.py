"""COW reuse of large folios: every row of specification 2.7, interpreted and native, and what other schemes say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import PG_locked
from foliolab.framework.engine.truth import scan
from foliolab.policies import exact, mm_id, mm_id_v1, no_page_mapcount, page_mapcount

A, B, C = 0, 1, 2
P = 16
SLOTS = "mm-id"
SHAPE = Shape(256, 3, 64, max_order=4, contents=True)


def populated(m: Machine, batched: bool = False) -> None:
    """An order-4 folio, all pages mapped by A; every page says what A wrote into it."""
    m.create(A)
    m.populate(A, 0, P, 4, batched=batched)
    assert m.write(A, 0, P, value=7) == "unchanged"


def fork_and_exit(m: Machine) -> None:
    m.fork(A, B)
    m.exit(B)


@dataclass(frozen=True)
class Row:
    """A situation when `writer` writes to page `vpn`, and what then happens; `others` where schemes differ."""

    prepare: Callable[[Machine], None]
    outcome: str
    writer: int = A
    vpn: int = 0
    after: Callable[[Machine], None] = lambda m: None
    others: tuple[tuple[str, str], ...] = ()


def shares(m: Machine, *wanted: int) -> None:
    """Mappings of the folio at frame 0 by A, B and C: by the page tables, and in all by the policy."""
    found = scan(m).mappings[:, 0].tolist()
    assert found[: len(wanted)] == list(wanted)
    assert m.mapcount(0) == sum(found)


def never_forked(m: Machine) -> None:
    populated(m)


def child_alive(m: Machine) -> None:
    populated(m)
    m.fork(A, B)


def child_exited(m: Machine) -> None:
    populated(m)
    fork_and_exit(m)


def rest_is_reused(m: Machine) -> None:
    """Pages 1 to 15 each fault once and are reused; a second write faults no more."""
    before = m.statistic("PGREUSE")
    for vpn in range(1, P):
        assert m.write(A, vpn) == "reused"
        assert m.frame(A, vpn) == vpn
    assert m.statistic("PGREUSE") == before + P - 1
    assert {m.write(A, vpn) for vpn in range(P)} == {"unchanged"}
    shares(m, P)


def gather_not_flushed(m: Machine) -> None:
    populated(m)
    m.fork(A, B)
    m.exit(B, flush=False)
    assert m.mapcount(0) == P < m.folio(0)._refcount.peek()


def gather_flushed_later(m: Machine) -> None:
    gather_not_flushed(m)
    m.flush_gather()


def extra_reference(m: Machine) -> None:
    child_exited(m)
    m.get_user(5)


def extra_pin(m: Machine) -> None:
    child_exited(m)
    m.pin(A, 5)


def reference_given_back(m: Machine) -> None:
    extra_reference(m)
    m.put_user(5)


def pinned_before_fork(m: Machine) -> None:
    """fork copies for the child what the parent may have pinned: A's pages stay AnonExclusive."""
    populated(m)
    m.pin(A, 5)
    fork_and_exit(m)


def in_swapcache(m: Machine) -> None:
    child_exited(m)
    assert m.swap_cache(0)


def swapped_out_and_in_again(m: Machine) -> None:
    child_exited(m)
    assert m.swap_cache(0)
    assert m.swap_out(A, 3)
    m.swap_in(A, 3)


def in_swapcache_and_locked(m: Machine) -> None:
    in_swapcache(m)
    m.column("page", "flags")[0] |= np.uint64(1 << PG_locked)


def a_swap_entry_is_left(m: Machine) -> None:
    child_exited(m)
    assert m.swap_cache(0)
    assert m.swap_out(A, 3)


def in_lru_batch(m: Machine) -> None:
    populated(m, batched=True)
    fork_and_exit(m)


def batch_drained(m: Machine) -> None:
    in_lru_batch(m)
    m.drain(0)


def one_page_left(m: Machine) -> None:
    child_exited(m)
    m.unmap(A, 0, P - 1)


def two_pages_left(m: Machine) -> None:
    child_exited(m)
    m.unmap(A, 0, P - 2)


def folio_is_free(m: Machine) -> None:
    assert m.column("page", "_refcount")[0] == 0
    assert scan(m).nr_pages_of[0] == 0


def two_children_left_in_order(m: Machine) -> None:
    populated(m)
    m.fork(A, B)
    m.fork(A, C)
    m.exit(C)
    m.exit(B)


def only_the_third_is_left(m: Machine) -> None:
    populated(m)
    m.fork(A, B)
    m.fork(A, C)
    m.exit(A)
    m.exit(B)


def copied_until_one_is_left(m: Machine) -> None:
    """Page by page; at the last one the folio is called exclusive, but one mapping is copied, too (step 1)."""
    for vpn in range(1, P - 1):
        assert m.write(C, vpn) == "copied"
        assert m.mapcount(0) == P - 1 - vpn
    assert m.maybe_shared(0) is False
    assert m.write(C, P - 1) == "copied"
    folio_is_free(m)


def child_is_left(m: Machine) -> None:
    populated(m)
    m.fork(A, B)
    m.exit(A)


def reader_shares(m: Machine) -> None:
    child_alive(m)
    m.unmap(B, 0, P - 1)


def left_swapcache(m: Machine) -> None:
    assert m.folio(0)._refcount.peek() == P == m.mapcount(0)
    assert m.swap_cache(0), "it had left"


ROWS = {
    "never forked": Row(never_forked, "unchanged"),
    "child alive, nothing unmapped": Row(child_alive, "copied", after=lambda m: shares(m, 15, 16)),
    "child exited, references gone": Row(
        child_exited, "reused", after=rest_is_reused, others=(("page-mapcount", "copied"),)
    ),
    "child called exit, mmu_gather not yet flushed": Row(gather_not_flushed, "copied"),
    "mmu_gather flushed": Row(gather_flushed_later, "reused", others=(("page-mapcount", "copied"),)),
    "child exited; a GUP reference": Row(extra_reference, "copied"),
    "child exited; a pin": Row(extra_pin, "copied"),
    "child exited; the reference was given back": Row(
        reference_given_back, "reused", others=(("page-mapcount", "copied"),)
    ),
    "pinned before fork; AE is still set": Row(pinned_before_fork, "unchanged"),
    "child exited; swapcache, swap entries gone, lock free": Row(
        in_swapcache, "reused", others=(("page-mapcount", "copied"),), after=left_swapcache
    ),
    "child exited; swapped out and in again": Row(
        swapped_out_and_in_again, "reused", others=(("page-mapcount", "copied"),)
    ),
    "child exited; swapcache, folio locked": Row(in_swapcache_and_locked, "copied"),
    "child exited; swapcache, a PTE is still a swap entry": Row(a_swap_entry_is_left, "copied"),
    "child exited; still in a per-CPU LRU batch": Row(in_lru_batch, "copied"),
    "child exited; the LRU batch was drained": Row(batch_drained, "reused", others=(("page-mapcount", "copied"),)),
    "child exited; 15 of 16 pages unmapped": Row(one_page_left, "copied", vpn=P - 1, after=folio_is_free),
    "child exited; 14 of 16 pages unmapped": Row(
        two_pages_left, "reused", vpn=P - 1, others=(("page-mapcount", "copied"),)
    ),
    "A forked B and C; C exits, then B": Row(
        two_children_left_in_order, "reused", others=(("page-mapcount", "copied"),)
    ),
    "A forked B and C; A and B gone, C writes": Row(
        only_the_third_is_left, "copied", writer=C, after=copied_until_one_is_left, others=(("exact", "reused"),)
    ),
    "A forked B; A has unmapped everything; B writes": Row(
        child_is_left, "reused", writer=B, others=(("page-mapcount", "copied"),)
    ),
    "B keeps one page; A writes another": Row(reader_shares, "copied"),
}


def check(m: Machine, row: Row, outcome: str, expects_after: bool) -> None:
    row.prepare(m)
    frame = m.frame(row.writer, row.vpn)
    before = {name: m.statistic(name) for name in ("PGCOPY", "PGREUSE")}
    assert m.write(row.writer, row.vpn, value=9) == outcome
    moved = m.frame(row.writer, row.vpn) != frame
    assert moved is (outcome == "copied")
    grown = {name: m.statistic(name) - count for name, count in before.items()}
    assert grown == {"PGCOPY": int(outcome == "copied"), "PGREUSE": int(outcome == "reused")}
    at = m.frame(row.writer, row.vpn) * 4096
    assert m.contents.buffer[at] == 9
    if moved and scan(m).nr_pages_of[0]:
        assert m.contents.buffer[frame * 4096] == 7, "whoever else maps the old page still reads it"
    if expects_after:
        row.after(m)
    m.column("page", "flags")[0] &= np.uint64(~(1 << PG_locked) % (1 << 64))
    assert violations(m) == []


def outcome_for(row: Row, policy: str) -> str:
    return dict(row.others).get(policy, row.outcome)


@pytest.mark.parametrize("title", ROWS)
def test_merged_scheme_interpreted(title: str) -> None:
    m = Machine(mm_id.POLICY.with_parameters(), SHAPE, "interpreted")
    check(m, ROWS[title], ROWS[title].outcome, True)


@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
@pytest.mark.parametrize("title", ROWS)
def test_merged_scheme_native(title: str) -> None:
    m = Machine(mm_id.POLICY.with_parameters(), SHAPE, "native")
    check(m, ROWS[title], ROWS[title].outcome, True)


OTHERS: list[Scheme] = [
    page_mapcount.POLICY.with_parameters(),
    no_page_mapcount.POLICY.with_parameters(),
    mm_id_v1.POLICY.with_parameters(),
    mm_id_v1.POLICY.with_parameters({"page_mapcounts": 0}),
    exact.POLICY.with_parameters(),
]


@pytest.mark.parametrize("scheme", OTHERS, ids=lambda s: s.name)
@pytest.mark.parametrize("title", ROWS)
def test_other_schemes(title: str, scheme: Scheme) -> None:
    """Up to 6.14 a large folio is always copied (1.9); the exact scheme misses no reuse but gives one mapping back."""
    row = ROWS[title]
    outcome = outcome_for(row, scheme.policy.name)
    check(Machine(scheme, SHAPE, "interpreted"), row, outcome, outcome == row.outcome)


def test_reuse_makes_one_page_exclusive_and_one_pte_writable() -> None:
    """2.7: only the faulting page gets AE, and only its PTE becomes writable."""
    m = Machine(mm_id.POLICY.with_parameters(), SHAPE, "interpreted")
    child_exited(m)
    assert m.write(A, 6) == "reused"
    flags = m.column("page", "flags")
    assert [int(f >> 17 & 1) for f in flags[:P]] == [int(i == 6) for i in range(P)]
    assert [int(pte >> 1 & 1) for pte in m.ptes(A)[:P]] == [int(i == 6) for i in range(P)]


def test_stale_slots_do_not_matter_to_reuse() -> None:
    """2.7: slots' IDs are not read: B got slot 1 and is reused from there (last row)."""
    m = Machine(mm_id.POLICY.with_parameters(), SHAPE, "interpreted")
    child_is_left(m)
    assert [m.folio(0)._mm_id[i].peek() for i in (0, 1)] == [0, m.mm_id(B)]
    assert {m.write(B, vpn) for vpn in range(P)} == {"reused"}


def test_pmd_removal_lowers_large_before_entire() -> None:
    """Between the two steps large is lowered and entire is not (fix 20250415095007.569836-1-david@redhat.com)."""
    m = Machine(mm_id.POLICY.with_parameters(), Shape(1024, 2, 512), "interpreted")
    m.create(A)
    m.populate(A, 0, 512, 9, pmd=True)
    m.fork(A, B)
    between: list[tuple[int, int]] = []

    class Watch:
        def access(self, op: str, ref: object, old: int, new: int) -> None:
            if op == "atomic_add_negative":
                between.append((m.folio(0)._large_mapcount.peek() + 1, m.folio(0)._entire_mapcount.peek() + 1))

    m.vm.observer = Watch()
    m.unmap(B, 0, 512)
    m.vm.observer = None
    assert between == [(1, 2)]
