"""Programs: workloads of several phases, with operations that a sharing pattern cannot express.

These operations are mappings by PMD, MAP_SHARED, swap and protection. `foliolab consequences` examines the machine
after each operation; `foliolab compare` times the last operation, if the program is named. Random choices come from the
seed; how much is written, unmapped or swapped is chosen, not measured.

Sources: specification 2.6 (orders of forks), 2.8 (file folios, MAP_SHARED, NUMA hinting), 1.8 (swap, PMD split).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from foliolab.framework.api import PMD_ORDER, Setting, Timed, Workload

if TYPE_CHECKING:
    from foliolab.framework.api import Machine

PARENT: Final = 0
PROCESSES: Final = 4
"""Processes that live at a time, the first one included."""
PART: Final = 16
"""Pages that are written, unmapped or faulted in at a time, at most."""


def _pmd(machine: Machine, setting: Setting) -> bool:
    """Whether folios are mapped by PMDs; a policy that does not claim `pmd` gets PTEs."""
    return setting.order == PMD_ORDER and "pmd" in machine.scheme.capabilities


def _load(machine: Machine, setting: Setting) -> None:
    """The first process loads all its memory."""
    machine.create(PARENT)
    machine.populate(PARENT, 0, setting.nr_pages, setting.order, pmd=_pmd(machine, setting))


def _parts(setting: Setting, chance: random.Random, count: int) -> list[int]:
    """First pages of some random parts, each once."""
    return [PART * part for part in chance.sample(range(setting.nr_pages // PART), count)]


def zygote(machine: Machine, setting: Setting) -> Timed:
    """A zygote forks applications, which write a little, unload parts and are replaced; then the zygote dies.

    The last application forks a child, which outlives all and writes. Timed: the child unmaps its memory.
    """
    chance = random.Random(setting.seed)
    _load(machine, setting)
    apps = list(range(1, PROCESSES))
    for turn in range(2):
        for app in apps:
            if turn:
                machine.exit(app)
            machine.fork(PARENT, app)
            for start in _parts(setting, chance, 4):
                machine.write(app, start, PART // 4)
            for start in _parts(setting, chance, 4):
                machine.unmap(app, start, PART)
    grandchild = PROCESSES
    machine.fork(apps[-1], grandchild)
    machine.unmap(PARENT, 0, setting.nr_pages // 2)  # the zygote unloads the part that only applications need
    for app in apps:
        machine.exit(app)
    machine.exit(PARENT)
    half = setting.nr_pages // 2
    machine.write(grandchild, half, setting.nr_pages - half)
    return machine.bind("unmap", grandchild, 0, setting.nr_pages)


def huge_library(machine: Machine, setting: Setting) -> Timed:
    """Processes map a library: the first maps all of it by PTEs, every second one by PMDs, the others map parts.

    All processes map the last folio MAP_SHARED. The first process writes data pages of the library
    (private copies); then the processes exit in their order. Timed: the last process unmaps the library.
    """
    chance = random.Random(setting.seed)
    size = 1 << setting.order
    folios = [machine.file_folio(setting.order) for _ in range(setting.nr_pages // size)]
    for mm in range(PROCESSES):
        machine.create(mm)
        for number, pfn in enumerate(folios):
            shared = number == len(folios) - 1
            if mm % 2 and _pmd(machine, setting):
                machine.map_file(mm, number * size, pfn, size, shared=shared, pmd=True)
            elif mm == PARENT or shared:
                machine.map_file(mm, number * size, pfn, size, shared=shared)
            elif chance.random() < 0.5:
                first = chance.randrange(size)
                machine.map_file(mm, number * size + first, pfn + first, min(PART, size - first))
    machine.write(PARENT, 0, PART // 4)
    for mm in range(PROCESSES - 1):
        machine.exit(mm)
    return machine.bind("unmap", PROCESSES - 1, 0, setting.nr_pages)


def swap_pressure(machine: Machine, setting: Setting) -> Timed:
    """Memory is short while a child lives: parts of folios go to swap, and come back when they are written.

    In every second folio both processes swap pages out, in the others only the parent does. Once the child has exited,
    the parent writes all of its memory. Timed: the parent unmaps its memory.
    """
    size = 1 << setting.order
    _load(machine, setting)
    machine.fork(PARENT, 1)
    machine.split_pmd(PARENT, 0, setting.nr_pages)
    machine.split_pmd(1, 0, setting.nr_pages)
    for number, head in enumerate(range(0, setting.nr_pages // 2, size)):
        machine.swap_cache(machine.frame(PARENT, head))
        for vpn in range(head, head + size, max(1, size // 4)):
            machine.swap_out(PARENT, vpn)
            if number % 2 == 0:
                machine.swap_out(1, vpn)
    machine.exit(1)
    machine.write(PARENT, 0, setting.nr_pages)
    return machine.bind("unmap", PARENT, 0, setting.nr_pages)


def _program(name: str, summary: str, prepare: Callable[[Machine, Setting], Timed], least: int = 2) -> Workload:
    return Workload(
        name=name,
        summary=summary,
        references=("specification 1.8, 2.6 and 2.8",),
        prepare=prepare,
        orders=tuple(range(least, PMD_ORDER + 1)),
        mms=PROCESSES + 1,
        frames=4,
        program=True,
        small=512,
        limit=lambda order: 4 << PMD_ORDER,
    )


def workloads() -> list[Workload]:
    """The programs that ship."""
    return [
        _program("zygote", "a zygote forks applications, which unload parts; the last one's child stays", zygote),
        _program(
            "huge-library",
            "processes map a file's 2 MiB folios by PMDs, by PTEs in part, and MAP_SHARED",
            huge_library,
            PMD_ORDER,
        ),
        _program("swap-pressure", "folios go to swap in part while a child lives, and come back", swap_pressure),
    ]
