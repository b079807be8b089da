"""The workload contract: how a state is prepared, and the calls that are then timed.

A workload is a `Workload` value around one function, `prepare`. The function brings a fresh machine into a state and
returns the timed call, or one call for each thread. The same function serves native timing over
gigabytes and the interpreted counting of atomics over a few folios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foliolab.framework.errors import PluginError
from foliolab.framework.machine.layout import PMD_ORDER

if TYPE_CHECKING:
    from foliolab.framework.engine.machine import Machine

Timed = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """The size and seed of one measurement.

    Args:
        order: log2 of the pages of a folio.
        nr_pages: pages of memory to work on; a multiple of the folio's.
        seed: of everything random.
        counting: whether the run is interpreted and counts accesses: one thread, as little work as is representative.
    """

    order: int
    nr_pages: int
    seed: int
    counting: bool = False

    @property
    def size_kib(self) -> int:
        """Size of a folio in KiB."""
        return 4 << self.order


def _whole(setting: Setting) -> int:
    return setting.nr_pages


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A prepared state and the calls that are timed in it.

    Args:
        name: unique; lower case with hyphens.
        summary: one line: what is prepared, what is timed.
        references: where it comes from.
        prepare: (machine, setting) -> the timed call, or a list of calls, one per thread.
        orders: the folio orders that the workload is meant for.
        needs: capabilities that a policy must claim.
        mms: address spaces that it uses.
        spaces: address space of each MM, in multiples of the setting's pages.
        frames: page frames, in multiples of the setting's pages.
        contents: whether it writes page contents (real 4 KiB copies).
        scratch: bytes of scratch memory that it uses, or a function of the setting.
        threads: threads that it starts.
        pages: pages that one timed call handles, for ns per page; a function of the setting.
        limit: (order) -> pages of memory beyond which results no longer change; None without limit.
        small: pages that suffice for counting; at least two folios are always used.
        program: whether `prepare` runs a program through several phases, rather than to one state:
            `foliolab consequences` follows it, and comparisons time it only where it is named.
    """

    name: str
    summary: str
    prepare: Callable[[Machine, Setting], Timed | Sequence[Timed]]
    references: tuple[str, ...] = ()
    orders: tuple[int, ...] = (0, *range(2, PMD_ORDER + 1))
    needs: frozenset[str] = frozenset()
    mms: int = 2
    spaces: int = 1
    frames: int = 1
    contents: bool = False
    scratch: Callable[[Setting], int] | int = 0
    threads: int = 1
    pages: Callable[[Setting], int] = _whole
    limit: Callable[[int], int] | None = None
    small: int = 64
    program: bool = False

    def __post_init__(self) -> None:
        if not callable(self.prepare):
            raise PluginError(
                f"workload {self.name}: prepare is not a function", "give it a function of (machine, setting)"
            )

    def scratch_for(self, setting: Setting) -> int:
        """Bytes of scratch memory for a setting."""
        return self.scratch(setting) if callable(self.scratch) else self.scratch
