"""The memory accesses of each operation on a folio, by kind and field: to hold two policies against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.primitives import ATOMIC_RMW, reads
from foliolab.framework.machine.ref import Ref

Counts = Counter[tuple[str, str]]
"""How often each kind of access (load, store, locked) was made to each field."""


@dataclass
class Counted:
    """Counts the accesses to some fields (an observer of memory)."""

    fields: frozenset[str]
    counts: Counts = field(default_factory=Counter)

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        kind = "locked" if op in ATOMIC_RMW else "load" if reads(op) else "store"
        if ref.field.name in self.fields:
            self.counts[kind, ref.field.name] += 1


def accesses(scheme: Scheme, pmd: bool = False) -> dict[str, Counts]:
    """What each operation does to the policy's fields and to MM IDs, without the text's checks.

    Args:
        pmd: whether the folios have the size of a PMD and are mapped by PMDs, too.
    """
    order = PMD_ORDER if pmd else 3
    nr = 1 << order
    machine = Machine(scheme, Shape(6 * nr, 3, nr, max_order=order), "interpreted", checks=False)
    fields = frozenset({one.name for one in scheme.fields} | {"mm_id"})
    found: dict[str, Counts] = {}

    def count(name: str, act: Callable[[], object]) -> None:
        machine.vm.observer = seen = Counted(fields)
        act()
        machine.vm.observer = None
        found[name] = seen.counts

    for mm in range(3):
        machine.create(mm)
    count("new folio", lambda: machine.populate(0, 0, nr, order, pmd=pmd))
    machine.exit(1)
    machine.exit(2)
    count("fork", lambda: machine.fork(0, 1))
    count("fork again", lambda: machine.fork(1, 2))
    count("the first leaves", lambda: machine.unmap(0, 0, nr))
    count("a part goes", lambda: machine.unmap(2, 0, nr // 2))
    count("the rest goes", lambda: machine.unmap(2, nr // 2, nr // 2))
    count("write faults", lambda: machine.write(1, 0, 2))
    count("the last leaves", lambda: machine.unmap(1, 0, nr))
    head = machine.file_folio(order)
    for mm in range(3):
        count(f"MM {mm} maps a file", lambda mm=mm: machine.map_file(mm, 0, head, nr, pmd=pmd))  # type: ignore[misc]
    count("MM 1 leaves the file", lambda: machine.unmap(1, 0, nr))
    if not pmd:
        machine.unmap(2, 0, nr // 2)
        count("MM 2 maps a part again", lambda: machine.map_file(2, 0, head, nr // 2))
    count("MM 2 leaves the file", lambda: machine.unmap(2, 0, nr))
    count("MM 0 leaves the file", lambda: machine.unmap(0, 0, nr))
    return found


def differences(a: dict[str, Counts], b: dict[str, Counts]) -> dict[str, dict[tuple[str, str], tuple[int, int]]]:
    """Where two policies differ, by operation, kind and field."""
    assert a.keys() == b.keys()
    unequal = {
        name: {key: (a[name][key], b[name][key]) for key in {*a[name], *b[name]} if a[name][key] != b[name][key]}
        for name in a
    }
    return {name: found for name, found in unequal.items() if found}
