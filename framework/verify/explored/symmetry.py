"""Symmetry reduction: interchangeable threads share a trie; states that only exchange such threads are one state."""

from __future__ import annotations

from foliolab.framework.machine.layout import CTYPES, Field
from foliolab.framework.verify.explored.history import ThreadClass
from foliolab.framework.verify.explored.world import ThreadProgram, World


def thread_classes(world: World, symmetric: bool) -> list[ThreadClass]:
    """The classes of a world's threads. Without `symmetric` each thread is a class of its own."""
    found: list[ThreadClass] = []
    for thread, program in enumerate(world.programs):
        for thread_class in found if symmetric else []:
            if _interchangeable(world, world.programs[thread_class.thread], program):
                thread_class.others[thread] = _moves(world, world.programs[thread_class.thread], program)
                break
        else:
            found.append(ThreadClass(thread))
    for thread_class in found:
        thread_class.distinguishing = _distinguishing(world, thread_class)
    return found


def _moves(world: World, one: ThreadProgram, other: ThreadProgram) -> list[tuple[int, int, int]]:
    """The word ranges of a thread's CPU, MMs and page tables, with those of the other thread: (start, end, other's)."""
    where = world.machine.map
    cpu = (where.mms[0] - where.cpus[0]) // world.shape.nr_cpus
    ranges = [(one.cpu, other.cpu, cpu)]
    sizes = [(where.mms, (where.ida - where.mms[0]) // world.shape.nr_mms)]
    sizes += [(where.pgds, world.table_bytes[0]), (where.pmds, world.table_bytes[1])]
    for starts, size in sizes:
        ranges += [(starts[a], starts[b], size) for a, b in zip(one.mms, other.mms, strict=True)]
    return [(a >> 3, (a + size) >> 3, b >> 3) for a, b, size in ranges]


def _interchangeable(world: World, one: ThreadProgram, other: ThreadProgram) -> bool:
    if len(one.mms) != len(other.mms) or len(one.calls) != len(other.calls) or one.reserve or other.reserve:
        return False
    names = {start << 3: to << 3 for start, _, to in _moves(world, one, other)}
    for a, b in zip(one.calls, other.calls, strict=True):
        if a.function is not b.function or tuple(names.get(x, x) for x in a.numbers) != b.numbers:
            return False
    tables = all(_equal_tables(world, a, b) for a, b in zip(one.mms, other.mms, strict=True))
    return tables and _equal(world, one.cpu, other.cpu, world.machine.layouts["cpu"].size)


def _equal(world: World, a: int, b: int, size: int) -> bool:
    return bool((world.base[a : a + size] == world.base[b : b + size]).all())


def _equal_tables(world: World, a: int, b: int) -> bool:
    where, (ptes, pmds) = world.machine.map, world.table_bytes
    return _equal(world, where.pgds[a], where.pgds[b], ptes) and _equal(world, where.pmds[a], where.pmds[b], pmds)


def _distinguishing(world: World, thread_class: ThreadClass) -> dict[str, bool]:
    """The fields of struct mm in which MMs of a class differ (see `ThreadClass.distinguishing`)."""
    found: dict[str, bool] = {}
    one = world.programs[thread_class.thread]
    for thread, moves in thread_class.others.items():
        names = {start << 3: to << 3 for start, _, to in moves}
        for a, b in zip(one.mms, world.programs[thread].mms, strict=True):
            for field in world.machine.layouts["mm"].fields:
                first, second = (_bytes_of(world, mm, field) for mm in (a, b))
                if first != second:
                    address = names.get(int.from_bytes(first, "little"), -1) == int.from_bytes(second, "little")
                    found[field.name] = found.get(field.name, False) or not address
    return found


def _bytes_of(world: World, mm: int, field: Field) -> bytes:
    start = world.machine.map.mms[mm] + field.offset
    return bytes(world.base[start : start + CTYPES[field.ctype].bytes * field.count])
