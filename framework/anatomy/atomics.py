"""Atomics per operation, counted: the scheme's hooks run interpreted, and an observer sees every access."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.blame import location_outside
from foliolab.framework.isolation.limits import TooSlow, limited
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import CACHE_LINE
from foliolab.framework.machine.primitives import ATOMIC_RMW, reads
from foliolab.framework.machine.ref import Ref

SECONDS: Final = 20.0
"""How long one series may take: a hook may loop."""
LOCK: Final = "test_and_set_bit_lock"


@dataclass(frozen=True)
class Operation:
    """The atomics of one operation on one whole folio, on the scheme's own fields.

    Args:
        level: "PTE" or "PMD".
        atomics: atomic read-modify-writes, lock acquisitions included; None where it cannot be counted.
        locks: how many of them take a lock.
        problem: why it cannot be counted.
    """

    name: str
    level: str
    order: int
    atomics: int | None
    locks: int
    problem: str = ""

    @property
    def per_page(self) -> float | None:
        return None if self.atomics is None else self.atomics / (1 << self.order)


@dataclass
class Counter:
    """Counts accesses by kind (an `Observer`).

    Attributes:
        policy_fields: the scheme's own fields, whose atomics and locks have counts of their own.
        lines: the cache lines that were accessed.
    """

    policy_fields: frozenset[str]
    atomics: int = 0
    policy_atomics: int = 0
    lock_sections: int = 0
    policy_locks: int = 0
    loads: int = 0
    stores: int = 0
    lines: set[int] = field(default_factory=set)

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        self.lines.add(ref.off // CACHE_LINE)
        if op in ATOMIC_RMW:
            own = ref.field.name in self.policy_fields
            self.atomics += 1
            self.policy_atomics += own
            self.lock_sections += op == LOCK
            self.policy_locks += own and op == LOCK
        elif reads(op):
            self.loads += 1
        else:
            self.stores += 1


def operations(scheme: Scheme, order: int = 4) -> list[Operation]:
    """The operations on a folio of one order by PTEs and, if the scheme can, on one of PMD size by a PMD."""
    found = _Series(scheme, order, pmd=False).run() if order <= scheme.policy.max_order else []
    if "pmd" in scheme.capabilities and scheme.policy.max_order >= PMD_ORDER:
        found += _Series(scheme, PMD_ORDER, pmd=True).run()
    return found


class _Series:
    """One series of operations, on a machine of its own."""

    def __init__(self, scheme: Scheme, order: int, pmd: bool) -> None:
        self.order = order
        self.pmd = pmd
        self.nr = 1 << order
        vpns = max(self.nr, 1 << PMD_ORDER) if pmd else self.nr
        shape = Shape(nr_pages=4 * self.nr, nr_mms=2, nr_vpns=vpns, max_order=max(order, 2))
        self.machine = Machine(scheme, shape, "interpreted", checks=False)
        self.level = "PMD" if pmd else "PTE"
        self.fields = frozenset(f.name for f in scheme.fields)
        self.found: list[Operation] = []
        self.running = "preparation"

    def run(self) -> list[Operation]:
        """Count every operation; what fails is listed with its reason, and ends the series."""
        try:
            with limited(SECONDS):
                self._anonymous()
                self._file()
        except TooSlow as fault:
            self._fail(fault, f"did not end within {SECONDS:g} s")
        except FolioLabError as fault:
            self._fail(fault, fault.what)
        except Exception as fault:  # whatever a hook raises is the hook's failure
            self._fail(fault, f"{type(fault).__name__}: {fault}")
        return self.found

    def _fail(self, fault: BaseException, what: str) -> None:
        location = location_outside(fault)
        problem = f"{location}: {what}" if location else what
        self.found.append(Operation(self.running, self.level, self.order, None, 0, problem))

    def _anonymous(self) -> None:
        if self.order == 1:
            return  # there are no anonymous folios of order 1
        machine, nr = self.machine, self.nr
        machine.create(0)
        self.count("new anonymous folio", lambda: machine.populate(0, 0, nr, self.order, pmd=self.pmd))
        self.count("dup (fork)", lambda: machine.fork(0, 1))
        self.count("remove, others stay (child unmaps)", lambda: machine.unmap(1, 0, nr))
        machine.exit(1)
        self.count("remove, the last mapping", lambda: machine.unmap(0, 0, nr))
        if not self.pmd:
            machine.populate(0, 0, nr, self.order)
            machine.fork(0, 1)
            machine.exit(1)
            self.count("write faults of the sole owner, one a page", lambda: machine.write(0, 0, nr))
        machine.exit(0)

    def _file(self) -> None:
        machine, nr = self.machine, self.nr
        machine.create(0)
        machine.create(1)
        pfn = machine.file_folio(self.order)
        self.count("add, the first mapping (file)", lambda: machine.map_file(0, 0, pfn, nr, pmd=self.pmd))
        self.count("add, mapped already (file)", lambda: machine.map_file(1, 0, pfn, nr, pmd=self.pmd))

    def count(self, name: str, operation: Callable[[], object]) -> None:
        """Run an operation and note its atomics."""
        self.running = name
        memory = self.machine.vm
        memory.observer = seen = Counter(self.fields)
        try:
            operation()
        finally:
            memory.observer = None
        self.found.append(Operation(name, self.level, self.order, seen.policy_atomics, seen.policy_locks))
