"""Delta debugging: what shows a fault, made smaller as long as it still shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Case = TypeVar("Case")


def shrink(
    case: Case,
    length: Callable[[Case], int],
    without: Callable[[Case, int, int], Case],
    simpler: Callable[[Case], Iterable[Case]],
    still_fails: Callable[[Case], Case | None],
) -> Iterator[Case]:
    """Ever smaller cases that still fail, until no part can be left out and nothing can be simplified.

    Parts are left out many at a time first, and from the end, since what comes later depends on what comes before.

    Args:
        case: fails.
        length: the number of parts of a case.
        without: (case, first, nr) -> the case without nr parts from `first` on.
        simpler: simpler cases with as many parts; the first one that fails is taken.
        still_fails: the failing case, perhaps cut behind the failure; None where it does not fail.
    """
    improved = True
    while improved:
        improved = False
        nr = length(case) // 2
        while nr:
            first = length(case) - nr
            while first >= 0:
                smaller = still_fails(without(case, first, nr))
                if smaller is not None:
                    case, improved = smaller, True
                    yield case
                first = min(first - nr, length(case) - nr)
            nr //= 2
        for candidate in simpler(case):
            smaller = still_fails(candidate)
            if smaller is not None:
                case, improved = smaller, True
                yield case
                break
