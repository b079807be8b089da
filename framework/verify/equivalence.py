"""Whether an operation under a caller leaves memory as Linux's own text of the operation does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.caller import EQUIVALENT
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.structs import CPU
from foliolab.framework.errors import ModelError

Memory = NDArray[np.uint8]


class Twin:
    """A machine of the same shape and policy that runs Linux's own text.

    It goes through one operation at a time, from the memory that the other machine had before.

    Args:
        machine: runs a caller's text.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.twin = Machine(machine.scheme.under(None), machine.shape, "interpreted")
        self._batch = [byte for off in machine.map.cpus for byte in _batch_of(off)]

    def differs(self, before: Memory, operation: Operation) -> list[Violation]:
        """The law `equivalent`, where an operation that has run broke it.

        The mmu_gather's batch may differ: other pieces of a range are other entries.

        Args:
            before: the machine's memory before the operation.
        """
        self.twin.restore(before)
        try:
            self.twin.apply(operation)
        except ModelError as fault:
            return [self._violation(operation, f"Linux's own text refuses it: {fault.what}")]
        here, there = self.machine.vm.buffer, self.twin.vm.buffer
        changed = np.flatnonzero(here != there)
        changed = changed[~np.isin(changed, self._batch)]
        if not changed.size:
            return []
        at = int(changed[0]) // 8 * 8
        values = [int.from_bytes(memory[at : at + 8].tobytes(), "little") for memory in (here, there)]
        what = f"{place_of(self.machine, at)} is {values[0]:#x}, and {values[1]:#x} by Linux's own text"
        return [self._violation(operation, what)]

    @staticmethod
    def _violation(operation: Operation, what: str) -> Violation:
        return Violation("equivalent", f"{operation.sentence()}: {what}", EQUIVALENT)


def _batch_of(cpu: int) -> list[int]:
    """The bytes of a CPU's mmu_gather."""
    fields = [CPU.by_name[name] for name in ("gather_nr", "gather")]
    return [cpu + byte for field in fields for byte in range(field.offset, field.end)]


def place_of(machine: Machine, offset: int) -> str:
    """What lies in memory at a byte offset, in words."""
    where, stride = machine.map, machine.layouts["page"].size
    if offset < where.zone:
        return f"word {offset % stride // 8} of the struct page of frame {offset // stride}"
    for mm, (pgd, pmd, struct) in enumerate(zip(where.pgds, where.pmds, where.mms, strict=True)):
        if pgd <= offset < pgd + 8 * machine.shape.nr_vpns:
            return f"the PTE of page {(offset - pgd) // 8} of MM {mm}"
        if pmd <= offset < pmd + machine.pmds(mm).nbytes:
            return f"PMD {(offset - pmd) // 8} of MM {mm}"
        if struct <= offset < struct + machine.layouts["mm"].size:
            return f"byte {offset - struct} of struct mm of MM {mm}"
    for cpu, off in enumerate(where.cpus):
        if off <= offset < off + CPU.size:
            return f"byte {offset - off} of the statistics of CPU {cpu}"
    return f"byte {offset} of memory"
