"""One random sequence: operations that are possible where they stand, each held against the laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PMD_ORDER, PTRS_PER_PTE
from foliolab.framework.verify.mm_ids import boundary_ids
from foliolab.framework.verify.random_operations.choice import KINDS, PMD_KINDS, Chooser
from foliolab.framework.verify.sequence import Trial

INSTEAD: Final = ("populate", "fork", "unmap", "create")
"""What is done in the place of an operation that is not possible."""


@dataclass(frozen=True)
class Scene:
    """On what sequences run.

    Args:
        shape: of the machine.
        orders: of anonymous folios.
        steps: operations of a sequence, at most.
        share: of the time.
    """

    shape: Shape
    orders: tuple[int, ...]
    steps: int
    share: int

    def kinds(self, scheme: Scheme) -> list[str]:
        """The kinds of operations that are possible at all."""
        pmds = PMD_ORDER in self.orders and "pmd" in scheme.capabilities
        return [kind for kind in KINDS if pmds or kind not in PMD_KINDS]

    def machine(self, scheme: Scheme) -> Machine:
        """The machine, fresh."""
        return Machine(scheme, self.shape, "interpreted")


def scenes(scheme: Scheme) -> list[Scene]:
    """Few and many MMs with small folios, then folios that PMDs map, then the policy's largest."""
    largest = scheme.policy.max_order
    small = tuple(order for order in (0, 2, 3, 4) if order <= largest)
    top = min(largest, 4)
    few, two, many = (
        Scene(Shape(512, mms, 32, max_order=top), small, 50, share) for mms, share in ((3, 4), (2, 2), (8, 2))
    )
    found = [few]
    if largest >= PMD_ORDER and "pmd" in scheme.capabilities:
        found.append(Scene(Shape(4096, 3, 2 * PTRS_PER_PTE), (*small, PMD_ORDER), 25, 3))
    found += [two, many]
    if largest > top:
        found.append(Scene(Shape(4 << largest, 3, 2 << largest, max_order=largest), (2, largest), 10, 1))
    return found


@dataclass
class Tally:
    """What was done.

    Args:
        operations, sequences: how many.
        mms: the most that a machine had.
        orders: of the folios.
    """

    operations: int = 0
    sequences: int = 0
    mms: int = 0
    orders: frozenset[int] = frozenset()

    def told(self, scheme: Scheme) -> str:
        """In words: what a claim that held, held against."""
        orders = ", ".join(str(order) for order in sorted(self.orders - {0}))
        return (
            f"{self.operations:,} operations in {self.sequences:,} random sequences, up to {self.mms} MMs with IDs up "
            f"to {scheme.max_mm_id:,}, folios of orders {orders}"
        )


class Sequence(Trial):
    """Runs one random sequence on a machine as it was at its start.

    Args:
        machine: fresh, or restored.
        scene: what may be chosen.
        stopped: whether to give up.
    """

    def __init__(self, machine: Machine, scene: Scene, stopped: Callable[[], bool]) -> None:
        super().__init__(machine, stopped)
        ids = boundary_ids(machine.scheme.max_mm_id)
        self.chooser = Chooser(machine, scene.orders, PMD_ORDER in scene.orders, ids)
        self.scene = scene

    def step(self, kind: str, numbers: tuple[int, int, int, int]) -> None:
        """Do what the numbers choose, unless the sequence has ended.

        Raises:
            Stopped: it is to be given up.
        """
        for other in () if self.ended else (kind, *INSTEAD):
            operation = self.chooser.choose(other, *numbers)
            if operation is not None:
                self.do(operation)
                break

    def finish(self) -> None:
        """Give everything back.

        Raises:
            Stopped: it is to be given up.
        """
        self.all(self.chooser.finish())
        self.ended = True
