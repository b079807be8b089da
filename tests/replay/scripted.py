"""Traces made of a script of events, replayed and held against the page tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Execution
from foliolab.framework.engine.truth import scan
from foliolab.framework.replay import cells
from foliolab.framework.replay.owners import IS_FALSE, IS_UNSAFE, OWNERS_MASK
from foliolab.framework.replay.player import Plan, Player
from foliolab.framework.replay.result import Replayed
from foliolab.framework.replay.survey import survey
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Trace, Writer
from foliolab.framework.trace.header import Header
from foliolab.policies import mm_id

MM_ID = mm_id.POLICY.with_parameters()

HEAP = 0x7F12_3456_0000 >> 12 & ~511
Row = dict[str, Any]


def quiet(phase: str, done: int, total: int) -> None:
    pass


class Script:
    """Events one after the other, a microsecond apart by default."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.time = 10_000_000

    def __call__(self, kind: int, mm: int = 1, after: int = 1000, **columns: int) -> Script:
        self.time += after
        self.rows.append({"time": self.time, "kind": kind, "mm": mm, **columns})
        return self

    def trace(self, folder: Path) -> Trace:
        columns = {name: [row.get(name, 0) for row in self.rows] for name in ev.COLUMNS}
        with Writer(folder / "trace", Header(source="test")) as writer:
            writer.append(ev.columns(**columns))
        return Trace(folder / "trace")


def played(
    trace: Trace,
    scheme: Scheme = MM_ID,
    execution: Execution = "interpreted",
    samples: int = 0,
    memory: int = 1 << 30,
    late: bool = False,
    predecessors: int = 0,
) -> Player:
    plan = Plan(trace, survey(trace, quiet), memory, samples, execution, quiet, late, predecessors=predecessors)
    found = Player(plan, scheme)
    found.run()
    check(found)
    return found


def result(trace: Trace, scheme: Scheme = MM_ID, **options: Any) -> Replayed:
    return played(trace, scheme, **options).account.replayed(scheme.name)


def check(found: Player) -> None:
    """The incremental account against the page tables, and the machine's laws."""
    assert found.machine is not None
    machine, truth = found.machine, scan(found.machine)
    assert violations(machine) == []
    state = found.account._state
    assert state is not None
    folios = state.table(cells.AT_FOLIO).reshape(-1, cells.FOLIO_CELLS)
    large = truth.nr_pages_of > 1
    owners = np.where(large, truth.owners, 0)
    heads = np.flatnonzero(owners)
    assert (folios[heads >> 2, 1] == owners[heads]).all()
    assert (folios[heads >> 2, 0] & OWNERS_MASK == owners[heads]).all()
    assert folios[:, 1].sum() == owners.sum(), "no folio is accounted for that is not there"
    buckets = state.table(cells.AT_BUCKET).reshape(cells.BUCKETS, cells.BUCKET_CELLS)
    wanted = np.bincount(owners[heads], minlength=cells.MOST_OWNERS + 1)
    assert (buckets[1 : cells.MOST_OWNERS + 1, 0] == wanted[1:]).all()
    pages = np.bincount(owners[heads], truth.nr_pages_of[heads], cells.MOST_OWNERS + 1)
    assert (buckets[1 : cells.MOST_OWNERS + 1, 1] == pages[1:]).all()
    said = np.array([machine.maybe_shared(int(head)) for head in heads], bool)
    false, unsafe = (owners[heads] == 1) & said, (owners[heads] > 1) & ~said
    assert ((folios[heads >> 2, 0] & IS_FALSE != 0) == false).all()
    assert ((folios[heads >> 2, 0] & IS_UNSAFE != 0) == unsafe).all()
    assert (buckets[cells.FALSE, 0], buckets[cells.UNSAFE, 0]) == (false.sum(), unsafe.sum())
