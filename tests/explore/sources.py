"""Small sources and policies that the tests of exploring share."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import Processes, SharingPattern, Usage
from foliolab.framework.explore.source import EventsSource, pattern_source, trace_source
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import AddressSpace, Header
from foliolab.policies import estimated_sharers, exact, mm_id, page_mapcount

EXACT = exact.POLICY.with_parameters()
MM_ID = mm_id.POLICY.with_parameters()
BASE = page_mapcount.POLICY.with_parameters()
HEURISTIC = estimated_sharers.POLICY.with_parameters()
FOUR = (MM_ID, BASE, EXACT, HEURISTIC)
HEAP = 0x7F12_3456_0000 >> 12 & ~511


def mixture(processes: Processes, usage: Usage) -> None:
    """Random forks, writes, unmaps, mappings of a file, and exits."""
    chance = processes.random
    alive: list[int] = []
    for _ in range(400):
        if not alive:
            alive = [processes.start()]
            processes.populate(alive[0], 0, usage.nr_pages)
        who = chance.choice(alive)
        page = chance.randrange(usage.nr_pages)
        nr = min(chance.randint(1, 12), usage.nr_pages - page)
        match chance.randrange(8):
            case 0 | 1 if len(alive) < usage.mms:
                alive.append(processes.fork(who))
            case 2 | 3 | 4:
                processes.write(who, page, nr)
            case 5:
                processes.unmap(who, page, nr)
                if chance.random() < 0.5:
                    processes.populate(who, page, nr, order=0)
            case 6 if chance.random() < 0.2:
                processes.map_file(who, page, page, nr)
            case 7 if chance.random() < 0.4:
                processes.exit(who)
                alive.remove(who)
    for who in alive:
        processes.exit(who)


MIXTURE = SharingPattern(name="mixture", summary="a test's", play=mixture)


def mixed(mms: int = 4, folios: int = 12, order: int = 2, seed: int = 1) -> EventsSource:
    return pattern_source(MIXTURE, mms, folios, order, seed)


def trace_rows(seed: int, nr: int = 600) -> list[dict[str, int]]:
    """Events of a trace, with a snapshot at the start, PMDs, moves and splits; some of them impossible."""
    chance = random.Random(seed)
    rows: list[dict[str, int]] = []
    for mm in (1, 2):  # share a folio from the start, in part
        rows.append({"kind": ev.PRESENT, "mm": mm, "page": HEAP + 4096, "nr": 12, "order": 4, "other": 1 << 20})
    rows.append({"kind": ev.PRESENT, "mm": 1, "page": HEAP + 4160, "nr": 512, "order": 9, "other": 1 << 21})
    alive, born = [1, 2], 2
    for _ in range(nr):
        who = chance.choice(alive)
        page = HEAP + chance.randrange(2048)
        match chance.randrange(10):
            case 0 if len(alive) < 5:
                born += 1
                rows.append({"kind": ev.FORK, "mm": who, "other": born})
                alive.append(born)
            case 1 if len(alive) > 1:
                alive.remove(who)
                rows.append({"kind": ev.EXIT, "mm": who})
            case 2 | 3:
                order = chance.choice((0, 2, 4, 9))
                rows.append({"kind": ev.NEW, "mm": who, "page": page >> order << order, "order": order})
            case 4 | 5 | 6:
                rows.append({"kind": ev.WRITE, "mm": who, "page": page, "flags": chance.choice((0, 1, 2))})
            case 7:
                rows.append({"kind": ev.UNMAP, "mm": who, "page": page, "nr": chance.randint(1, 600)})
            case 8:
                rows.append({"kind": ev.MOVE, "mm": who, "page": page, "nr": chance.randint(1, 64),
                             "other": HEAP + 2560 + chance.randrange(1024)})  # fmt: skip
            case 9:
                rows.append({"kind": ev.SPLIT, "mm": who, "page": page, "nr": 1})
    return rows


def recorded(folder: Path, rows: list[dict[str, int]], name: str = "trace") -> EventsSource:
    columns: dict[str, Any] = {one: [row.get(one, 0) for row in rows] for one in ev.COLUMNS}
    columns["time"] = [1000 * (number + 1) for number in range(len(rows))]
    header = Header(source="test", command="a test", mms=[AddressSpace(mm=1, comm="server")])
    with Writer(folder / name, header) as writer:
        writer.append(ev.columns(**columns))
    return trace_source(folder / name)


def names(schemes: tuple[Scheme, ...]) -> list[str]:
    return [scheme.name for scheme in schemes]
