"""Folios older than a trace: what a policy does is between the two histories, and what it does not remember decides."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, pte_ref
from foliolab.framework.machine.primitives import READ_ONCE, load, pfn_folio
from foliolab.framework.replay import cells, spaces
from foliolab.framework.replay.histories import SLOTS, Regrouped, predecessors
from foliolab.framework.replay.owners import large_head, order_of
from foliolab.framework.replay.player import Plan, Player
from foliolab.framework.replay.survey import survey
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, columns
from foliolab.framework.trace.importers.remembered import Remembered
from foliolab.policies import exact, mm_id, no_page_mapcount, page_mapcount

HEAP = 0x7F12_3456_0000 >> 12 & ~511
MM_ID = mm_id.POLICY.with_parameters()
Row = dict[str, int]


class Held:
    """Events in memory."""

    path = "memory"

    def __init__(self, rows: list[Row]) -> None:
        self.events = columns(**{name: [row.get(name, 0) for row in rows] for name in ev.COLUMNS})

    def __len__(self) -> int:
        return self.events.size

    def blocks(self) -> Iterator[Events]:
        yield self.events


def played(rows: list[Row], scheme: Scheme = MM_ID, forgetful: bool = False, as_read: bool = False) -> Player:
    held = Held(rows)
    found = survey(held, lambda *_: None)
    first = predecessors(scheme) if forgetful else 0
    source = Regrouped(held, found.mms)
    plan = Plan(source, found, 1 << 30, 0, "interpreted", lambda *_: None, predecessors=first)
    if as_read:
        plan = replace(plan, trace=source.as_read(), slots=SLOTS)
    player = Player(plan, scheme)
    player.run()
    return player


def figures(player: Player) -> tuple[int, int]:
    """Copies of pages of large folios, and time for which a folio of one MM was called shared."""
    found = player.account.replayed("")
    return sum(found.count(of, policy="copied") for of in ("large", "earlier", "read")), found.false_shared.folio_ns


def family(rng: random.Random, length: int) -> list[Row]:
    """What a few relatives do with two folios."""
    rows: list[Row] = [
        {"kind": ev.NEW, "mm": 1, "page": HEAP + 16 * at, "order": rng.choice((2, 4)), "other": 64 + 16 * at}
        for at in range(2)
    ]
    alive, born = {1}, 1
    for _ in range(length):
        kind, mm = rng.random(), rng.choice(sorted(alive))
        if kind < 0.3 and len(alive) < 6:
            born += 1
            alive.add(born)
            rows.append({"kind": ev.FORK, "mm": mm, "other": born})
        elif kind < 0.5 and len(alive) > 1:
            alive.discard(mm)
            rows.append({"kind": ev.EXIT, "mm": mm})
        elif kind < 0.6:
            rows.append({"kind": ev.UNMAP, "mm": mm, "page": HEAP + rng.randrange(32), "nr": rng.randrange(1, 8)})
        else:
            rows.append({"kind": ev.WRITE, "mm": mm, "page": HEAP + rng.randrange(32), "nr": 1})
    return [{**row, "time": 1000 * (number + 1)} for number, row in enumerate(rows)]


def snapshot(player: Player, time: int) -> list[Row]:
    """What all MMs map, page by page, as a trace that begins now shows it."""
    state, machine = player.account._state, player.machine
    assert state is not None
    assert machine is not None
    vm, base, found = machine.vm, state.base, list[Row]()
    for mm, entry in enumerate(state.table(cells.AT_MM).tolist()):
        if entry in (0, spaces.DEAD):
            continue
        for dense in range(1, player.sizes.windows):
            window = spaces.virtual_of(vm, base, spaces.family_of(vm, base, entry - 1), dense)
            for at in range(512):
                value = READ_ONCE(pte_ref(vm, spaces.mm_of(vm, base, entry - 1), dense * 512 + at))
                if value & PTE_PRESENT:
                    frame = value >> PFN_SHIFT
                    head = large_head(vm, base, frame)
                    order = order_of(vm, base, head) if head >= 0 else 0
                    row = {"kind": ev.PRESENT, "mm": mm, "page": window * 512 + at, "nr": 1, "time": time}
                    found.append({**row, "order": order, "other": frame + 4096})
    return found


@pytest.mark.parametrize("seed", [3, 5, 8, 13, 21])
def test_what_happened_is_between_the_two_histories(seed: int) -> None:
    rng = random.Random(seed)
    rows = family(rng, 40)
    cut = rng.randrange(10, 30)
    before, whole = played(rows[:cut]), played(rows)
    attached = snapshot(before, rows[cut - 1]["time"]) + rows[cut:]
    kept, lost = figures(played(attached)), figures(played(attached, forgetful=True))
    for truth, then, low, high in zip(figures(whole), figures(before), kept, lost, strict=True):
        assert min(low, high) <= truth - then <= max(low, high)


def with_slots(player: Player, rows: list[Row]) -> tuple[list[Row], Remembered]:
    """The rows of a snapshot, marked by what the policy itself remembers of the folios; and the slots."""
    state, machine = player.account._state, player.machine
    assert state is not None
    assert machine is not None
    vm, base, slots = machine.vm, state.base, Remembered()
    entries = state.table(cells.AT_MM).tolist()
    for row in rows:
        if row["order"]:
            first = row["other"] >> row["order"] << row["order"]
            folio = pfn_folio(vm, first - 4096)
            own = load(spaces.mm_of(vm, base, entries[row["mm"]] - 1).mm_id)
            counts = [load(folio._mm_id_mapcount[at]) + 1 for at in range(SLOTS) if mm_id.slot_id(folio, at) == own]
            slots.add(row["mm"], first, load(folio._large_mapcount) + 1, sum(counts))
    listed = [[row.get(name, 0) for name in ev.COLUMNS] for row in rows]
    slots.mark(listed)
    return [dict(zip(ev.COLUMNS, row, strict=True)) for row in listed], slots


@pytest.mark.parametrize("seed", [3, 6, 22])
def test_with_its_slots_a_folio_has_one_history(seed: int) -> None:
    """What a policy does from the cut on is what it does after the whole history, if what it remembered was read."""
    rng = random.Random(seed)
    rows = family(rng, 60)
    cut = rng.randrange(20, 45)
    before, whole = played(rows[:cut]), played(rows)
    start, slots = with_slots(before, snapshot(before, rows[cut - 1]["time"]))
    assert slots.known == slots.folios > 0
    attached = start + rows[cut:]
    for forgetful in (False, True):
        found = figures(played(attached, forgetful=forgetful, as_read=True))
        assert found == tuple(truth - then for truth, then in zip(figures(whole), figures(before), strict=True))


def older(mms: int) -> list[Row]:
    """A folio of 16 pages that some MMs map when the trace begins; all but the last end, and it writes three pages."""
    rows = [
        {"kind": ev.PRESENT, "mm": mm, "page": HEAP, "nr": 16, "order": 4, "other": 160} for mm in range(1, mms + 1)
    ]
    rows += [{"kind": ev.EXIT, "mm": mm, "time": 10} for mm in range(1, mms)]
    writes = [{"kind": ev.WRITE, "mm": mms, "page": HEAP + at, "flags": ev.COPIED, "time": 20} for at in range(3)]
    return [{"time": 5, **row} for row in [*rows, *writes]]


@pytest.mark.parametrize("mms", [1, 2, 3, 4])
def test_a_policy_that_remembers_nobody_copies(mms: int) -> None:
    """The MM that maps the folio longest is remembered in the one history, and nobody in the other."""
    assert figures(played(older(mms))) == (0, 0)
    assert figures(played(older(mms), forgetful=True)) == (3, 15 if mms == 1 else 10)
    other = no_page_mapcount.POLICY.with_parameters()
    assert figures(played(older(mms), other, forgetful=True))[0] == 3


def test_policies_without_a_memory_of_mms_do_the_same_in_both() -> None:
    assert predecessors(exact.POLICY.with_parameters()) == 0
    counts = page_mapcount.POLICY.with_parameters()
    assert figures(played(older(3), counts)) == figures(played(older(3), counts, forgetful=True))


def test_a_snapshot_is_in_the_order_of_folios() -> None:
    rows: list[Row] = [
        {"kind": ev.PRESENT, "mm": mm, "page": HEAP + 16 * at, "nr": 16, "order": 4, "other": 160 + 16 * at}
        for mm in (1, 2, 3)
        for at in range(2)
    ]
    rows += [{"kind": ev.EXIT, "mm": 1}, {"kind": ev.EXIT, "mm": 3}, {"kind": ev.WRITE, "mm": 2, "page": HEAP}]
    source: Any = Regrouped(Held(rows), 4)
    found = [row for block in source.blocks() for row in block.rows()]
    assert [(row["other"], row["mm"]) for row in found[:6]] == [
        (160, 2),
        (160, 3),
        (160, 1),
        (176, 2),
        (176, 3),
        (176, 1),
    ]
    assert [row["kind"] for row in found[6:]] == [ev.EXIT, ev.EXIT, ev.WRITE]
    assert len(source) == len(rows) == len(found)


def test_a_folio_of_pmd_size_that_is_mapped_whole_needs_no_memory(tmp_path: Path) -> None:
    rows: list[Row] = [{"kind": ev.PRESENT, "mm": 1, "page": HEAP, "nr": 512, "order": 9, "other": 512, "time": 1}]
    rows.append({"kind": ev.WRITE, "mm": 1, "page": HEAP, "time": 2})
    assert figures(played(rows, forgetful=True)) == (0, 0)
    half = [{**rows[0], "nr": 256}, rows[1]]
    assert figures(played(half, forgetful=True))[0] == 1
    assert np.isin(played(half).account.replayed("").most_owners, 1)
