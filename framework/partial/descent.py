"""The address spaces of a trace by descent: whose page tables a walk of a folio's rmap may have to look at.

The rmap of an anonymous folio leads to the memory area in which the folio was mapped first, and to the copies of the
area in processes that descend from that one. A trace does not show areas, so the live descendants are a bound from
above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.trace import events as ev

MOST_DEPTH: Final = 256
"""Generations that are followed; in deeper trees, all MMs that live are the bound."""


class Descent:
    """Which MMs live, and from which they were forked.

    Args:
        late: whether an MM ends with GONE where that is recorded, and not with EXIT.
        gone: by MM, whether the end of its teardown is recorded.
    """

    def __init__(self, late: bool = False, gone: Sequence[bool] | NDArray[np.bool_] = ()) -> None:
        self._late = late
        self._gone = gone
        self._mm: dict[int, int] = {}  # numbers that share another's MM
        self._users: dict[int, int] = {}
        self._parent: dict[int, int] = {}
        self._below: dict[int, int] = {}  # live MMs among an MM and its descendants
        self._ended_numbers: set[int] = set()
        self._deep = False

    @property
    def alive(self) -> int:
        """How many MMs live."""
        return len(self._users)

    def mm(self, number: int) -> int:
        """The MM for which a number of the trace stands."""
        return self._mm.get(number, number)

    def walked(self, number: int) -> int:
        """How many MMs a walk may look at for a folio that this MM mapped first, at most."""
        return self.alive if self._deep else self._below.get(self.mm(number), 0)

    def see(self, kind: int, number: int, other: int) -> None:
        """Take in an event.

        Args:
            kind: of the event.
            number: its `mm`.
            other: the child's number, or the new MM's.
        """
        if kind == ev.FORK:
            self._born(self.mm(number))
            self._born(other, self.mm(number))
        elif kind == ev.SPAWN:
            self._born(self.mm(number))
            self._mm[other] = self.mm(number)
            self._users[self.mm(number)] += 1
        elif kind == ev.EXEC:
            self._ended(number)
            self._born(other)
        elif kind == ev.GONE or (kind == ev.EXIT and not (self._late and self._is_gone(number))):
            self._ended(number)
        elif number:
            self._born(self.mm(number))

    def _is_gone(self, number: int) -> bool:
        return number < len(self._gone) and bool(self._gone[number])

    def _born(self, mm: int, parent: int = 0) -> None:
        if mm in self._below:  # it lives, or it is dead and keeps its number
            return
        self._users[mm] = 1
        self._parent[mm] = parent
        self._below[mm] = 0
        self._add(mm, 1)

    def _ended(self, number: int) -> None:
        if number in self._ended_numbers:
            return
        self._ended_numbers.add(number)
        mm = self.mm(number)
        left = self._users.get(mm, 0) - 1
        if left > 0:
            self._users[mm] = left
        elif left == 0:
            del self._users[mm]
            self._add(mm, -1)

    def _add(self, mm: int, by: int) -> None:
        depth = 0
        while mm and not self._deep:
            self._below[mm] += by
            mm = self._parent[mm]
            depth += 1
            self._deep = depth > MOST_DEPTH
