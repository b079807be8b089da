"""Pairs of MM IDs that leave a folio equal: what a policy stores of an ID, such as a hash, does not tell them apart.

Nothing is known of how a policy shortens an ID. So many IDs map a page each, and the folio's struct pages are compared:
as at birthdays, two of a few thousand IDs are equal in a field of up to some 22 bits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.verify.laws import Watch
from foliolab.framework.verify.watchdog import Stopped

IDS: Final = 4096
"""IDs that are compared: as many from 1 on, and as many anywhere."""
MOST_PAIRS: Final = 6
"""Pairs that are returned for each way of mapping."""


def equal_pairs(scheme: Scheme, seed: int, stopped: Callable[[], bool]) -> list[tuple[int, int]]:
    """Pairs of IDs that leave a file folio equal: as the only owner, or as the second one.

    A pair says nothing if all IDs leave the folio equal; then there is none.

    Args:
        stopped: polled during the work; what was found until then is returned.
    """
    order = min(2, scheme.policy.max_order)
    machine = Machine(scheme, Shape(16, 2, 8, max_order=order), "interpreted")
    watch = Watch(machine, stopped)
    found: dict[tuple[int, int], None] = {}
    other = scheme.max_mm_id
    for second in (False, True) if scheme.policy.max_mappings > 1 else (False,):
        machine.reset()
        setup = [Operation.of("create", mm=1, mm_id=other), Operation.of("file_folio", order=order)]
        setup += [Operation.of("map_file", mm=1, vpn=0, pfn=0, nr=1)] if second else []
        ids = [mm_id for mm_id in _ids(scheme.max_mm_id, seed) if mm_id != other]
        with suppress(Stopped):
            if not any(watch.apply(operation, look=False) for operation in setup):
                found |= dict.fromkeys(_equal(watch, ids))
    return list(found)


def _equal(watch: Watch, ids: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of IDs that leave the folio equal, starting each from the present state."""
    machine = watch.machine
    start = machine.snapshot()
    size = machine.layouts["page"].size << machine.shape.max_order
    groups: dict[bytes, list[int]] = {}
    for mm_id in ids:
        machine.restore(start)
        mapping = Operation.of("create", mm=0, mm_id=mm_id), Operation.of("map_file", mm=0, vpn=0, pfn=0, nr=1)
        try:
            if any(watch.apply(operation, look=False) for operation in mapping):
                break
        except Stopped:
            break
        pages = machine.vm.buffer[machine.map.pages : machine.map.pages + size]
        groups.setdefault(pages.tobytes(), []).append(mm_id)
    if len(groups) > 1:
        pairs = [pair for group in groups.values() for pair in pairwise(group)]
        yield from sorted(pairs, key=max)[:MOST_PAIRS]


def _ids(largest: int, seed: int) -> list[int]:
    chosen = random.Random(seed)
    anywhere = (chosen.randint(1, largest) for _ in range(IDS if largest > IDS else 0))
    return list(dict.fromkeys([*range(1, min(largest, IDS) + 1), *anywhere]))
