"""A random sequence: operations that are possible in the present state, with the laws checked after each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import FolioLabError
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.verify.mm_ids import boundary_ids
from foliolab.framework.verify.random_operations.choice import IN_PLACE, KINDS, PMD_KINDS, Chooser
from foliolab.framework.verify.random_operations.fieldstates import Landmark
from foliolab.framework.verify.random_operations.prefixes import Prefix, State
from foliolab.framework.verify.sequence import OperationSequence

INSTEAD: Final = ("populate", "fork", "unmap", "create")
"""Kinds that replace an operation that is not possible, in order of preference."""


@dataclass(frozen=True)
class Scene:
    """The machine that sequences run on.

    Args:
        orders: of anonymous folios.
        steps: operations in a sequence, at most.
        share: weight of this scene's share of the work.
        in_place: whether the operations are those on one small file that MMs map in place.
    """

    shape: Shape
    orders: tuple[int, ...]
    steps: int
    share: int
    in_place: bool = False

    def kinds(self, scheme: Scheme) -> list[str]:
        if self.in_place:
            return list(IN_PLACE)
        pmds = PMD_ORDER in self.orders and "pmd" in scheme.capabilities
        return [kind for kind in KINDS if pmds or kind not in PMD_KINDS]

    def machine(self, scheme: Scheme) -> Machine:
        return Machine(scheme, self.shape, "interpreted")


def scenes(scheme: Scheme) -> list[Scene]:
    """The scenes for a policy: few and many MMs with small folios, folios mapped by PMDs, one file of two or four pages
    that three MMs map in place, the largest folios."""
    largest = scheme.policy.max_order
    small = tuple(order for order in (0, 2, 3, 4) if order <= largest)
    top, most = min(largest, 4), scheme.max_mm_id
    few, two, many = (
        Scene(Shape(512, min(mms, most), 32, max_order=top), small, 50, share)
        for mms, share in ((3, 4), (2, 2), (8, 2))
    )
    found = [few]
    if largest >= PMD_ORDER and "pmd" in scheme.capabilities:
        found.append(Scene(Shape(4096, min(3, most), 2 * PTRS_PER_PTE), (*small, PMD_ORDER), 25, 3))
    small_file = Scene(Shape(64, min(3, most), 1 << min(largest, 2), max_order=top), (min(largest, 2),), 50, 4, True)
    found += [small_file, two, many]
    if largest > top:
        found.append(Scene(Shape(4 << largest, min(3, most), 2 << largest, max_order=largest), (2, largest), 10, 1))
    return found


@dataclass
class Tally:
    """Counts of what was tried.

    Args:
        operations, sequences: their numbers.
        mms: the largest number of MMs of a machine.
        orders: of the folios.
    """

    operations: int = 0
    sequences: int = 0
    mms: int = 0
    orders: frozenset[int] = frozenset()

    def add(self, sequence: RandomSequence) -> None:
        """Count a sequence that has ended."""
        mine = sequence.done[sequence.continued :]
        self.sequences += 1
        self.operations += len(mine)
        self.mms = max(self.mms, sequence.scene.shape.nr_mms)
        self.orders |= {one.get("order") for one in mine if one.name in ("populate", "file_folio")}

    def bound(self, scheme: Scheme) -> str:
        """What was covered, in words (see `Finding`)."""
        orders = ", ".join(str(order) for order in sorted(self.orders - {0}))
        return (
            f"{self.operations:,} operations in {self.sequences:,} random sequences, up to {self.mms} MMs with IDs up "
            f"to {scheme.max_mm_id:,}, folios of orders {orders}"
        )


class RandomSequence(OperationSequence):
    """A sequence whose operations are chosen by numbers.

    Args:
        machine: a fresh or restored one.
        scene: limits the choice of operations.
        stopped: whether to abandon the sequence.

    Attributes:
        continued: how many of its operations another sequence has done and checked.
    """

    def __init__(self, machine: Machine, scene: Scene, stopped: Callable[[], bool]) -> None:
        super().__init__(machine, stopped)
        ids = boundary_ids(machine.scheme.max_mm_id)
        self.chooser = Chooser(machine, scene.orders, PMD_ORDER in scene.orders, ids)
        self.scene = scene
        self.continued = 0

    def begin(self, prefix: Prefix, fresh: NDArray[np.uint8]) -> None:
        """Go on behind a prefix.

        Args:
            fresh: the memory of a fresh machine.
        """
        prefix.state.put(self.machine.vm.buffer, fresh)
        self.watch.recall(prefix.watch)
        self.done = list(prefix.operations)
        self.chooser.pins, self.chooser.users = list(prefix.pins), list(prefix.users)
        self.continued = len(self.done)

    def prefix(self, fresh: NDArray[np.uint8], landmarks: frozenset[Landmark] = frozenset()) -> Prefix:
        """What the sequence has done until now.

        Args:
            landmarks: what its last operation reached first.
        """
        state = State.of(self.machine.vm.buffer, fresh)
        pins, users = tuple(self.chooser.pins), tuple(self.chooser.users)
        return Prefix(tuple(self.done), state, self.watch.memory(), pins, users, landmarks)

    def step(self, kind: str, numbers: tuple[int, int, int, int]) -> None:
        """Run the operation that the numbers choose, unless the sequence has ended.

        Raises:
            Stopped: the sequence is abandoned.
        """
        instead = () if self.scene.in_place else INSTEAD
        for possible in () if self.ended else (kind, *instead):
            operation = self.chooser.choose(possible, *numbers)
            if operation is not None:
                self.do(operation)
                break

    def repeat(self, operation: Operation) -> None:
        """Run an operation of another sequence, if it is possible here.

        Raises:
            Stopped: the sequence is abandoned.
        """
        if self.ended:
            return
        with suppress(FolioLabError):
            self.machine.bind_operation(operation)
            if self.chooser.note(operation):
                self.do(operation)

    def finish(self) -> None:
        """Release everything: pins, references, MMs, files.

        Raises:
            Stopped: the sequence is abandoned.
        """
        self.all(self.chooser.finish())
        self.ended = True
