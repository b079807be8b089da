"""The contract of askers: who asks a policy whether a folio is shared, when, and what the kernel does with the answer.

An asker is an `Asker` value around one function. The function gets a `Moment`, a machine between two operations, and
returns how each of the asker's questions falls: by the policy's answers, and by the page tables. `foliolab
consequences` counts the differences. All of it is arrays, so that an asker sees every process and folio at once; their
own methods and operators suffice for most askers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, get_args

from foliolab.framework.errors import PluginError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts: TypeAlias = NDArray[np.int64]
    Bools: TypeAlias = NDArray[np.bool_]

Rows = TypeVar("Rows", "Entries", "Pairs")
Of = Literal["folio", "page", "frame"]


def _where(rows: Rows, wanted: Bools) -> Rows:
    return type(rows)(*(getattr(rows, one.name)[wanted] for one in fields(rows)))


@dataclass(frozen=True)
class Entries:
    """Present page table entries, each array of shape (entries,).

    Attributes:
        mm: the MM of each.
        vpn: the first page of address space that the entry maps.
        frame: the first frame that the entry maps.
        flags: the low bits of the entry.
    """

    mm: Counts
    vpn: Counts
    frame: Counts
    flags: Counts

    def where(self, wanted: Bools) -> Entries:
        """The entries for which `wanted`, of shape (entries,), holds."""
        return _where(self, wanted)


@dataclass(frozen=True)
class Pairs:
    """MMs with the large folios that they map, each array of shape (pairs,).

    Attributes:
        head: the folio's first frame.
    """

    mm: Counts
    head: Counts

    def where(self, wanted: Bools) -> Pairs:
        """The pairs for which `wanted`, of shape (pairs,), holds."""
        return _where(self, wanted)


@dataclass(frozen=True)
class Ranges:
    """Aligned ranges of address space in which some PTE is present, each array of shape (ranges,).

    Attributes:
        mm: the MM of each.
        vpn: the first page of address space of each.
        swapped: swap entries in each.
        of_pte: the range of each of `Moment.ptes`, shape (entries,).
    """

    mm: Counts
    vpn: Counts
    swapped: Counts
    of_pte: Counts

    def count(self, ptes: Bools) -> Counts:
        """How many of the chosen PTEs lie in each range, shape (ranges,).

        Args:
            ptes: which of `Moment.ptes`, shape (entries,).
        """
        import numpy as np

        return np.bincount(self.of_pte, weights=ptes, minlength=self.mm.size).astype(np.int64)


@dataclass(frozen=True)
class Seen:
    """What /proc shows of every mapped page of a large folio, each array of shape (pages,).

    Attributes:
        frame: the page's frame.
        kpagecount: /proc/kpagecount of it.
        exclusive: bit 56 of pagemap.
    """

    frame: Counts
    kpagecount: Counts
    exclusive: Bools


@dataclass(frozen=True)
class Answers:
    """How an asker's questions fall at a moment, each array of shape (questions,).

    Attributes:
        given: whether the policy's answer makes the kernel act as on an exclusive folio.
        right: whether the page tables would.
        mm: the MM that is concerned; -1 for no particular one.
        of: the folio (by its first frame), page of address space or frame that is concerned (see `Asker.of`).
    """

    given: Bools
    right: Bools
    mm: Counts
    of: Counts


class Moment(Protocol):
    """A machine between two operations: the truth of its page tables and references, and what its policy answers.

    Arrays by frame have the shape (frames,); those about folios count at a folio's first frame, its head.
    """

    @property
    def heads(self) -> Counts:
        """The head of the folio that each frame belongs to, by frame."""

    @property
    def nr_pages_of(self) -> Counts:
        """The pages of each folio, at its head; 0 elsewhere."""

    @property
    def owners(self) -> Counts:
        """How many MMs map each folio, at its head."""

    @property
    def mapcount(self) -> Counts:
        """Mappings of each folio, PTEs and PMDs alike, at its head."""

    @property
    def page_mapcount(self) -> Counts:
        """Mappings of each page, by frame."""

    @property
    def anon(self) -> Bools:
        """Which folios are anonymous, at their heads."""

    @property
    def swapcache(self) -> Bools:
        """Which folios are in the swap cache, at their heads."""

    @property
    def swap_entries(self) -> Counts:
        """Swap entries of each folio, at its head."""

    @property
    def lru_batch(self) -> Counts:
        """References that per-CPU LRU batches hold to each folio, at its head."""

    @property
    def pins(self) -> Counts:
        """Pins of each large folio (FOLL_PIN), at its head."""

    @property
    def extra(self) -> Counts:
        """References to each folio besides mappings and caches, at its head: LRU batch, GUP, pins, mmu_gather."""

    @property
    def anon_exclusive(self) -> Bools:
        """Which pages are marked AnonExclusive, by frame."""

    @property
    def large(self) -> Counts:
        """Heads of the large folios that are mapped, shape (folios,)."""

    @property
    def called_shared(self) -> Bools:
        """Which large folios the policy says that several MMs may map, at their heads."""

    @property
    def pairs(self) -> Pairs:
        """Every MM with each large folio that it maps."""

    @property
    def ptes(self) -> Entries:
        """Every present PTE."""

    @property
    def pmds(self) -> Entries:
        """Every present PMD."""

    @property
    def seen(self) -> Seen:
        """What /proc shows of mapped pages of large folios."""

    def by_ptes(self, pairs: Pairs) -> Bools:
        """Whether the MM of a pair maps the folio by PTEs, shape (pairs,)."""

    def vm_shared(self, pairs: Pairs) -> Bools:
        """Whether the MM of a pair maps the folio in a MAP_SHARED mapping, shape (pairs,)."""

    def ranges(self, order: int) -> Ranges:
        """The aligned ranges of 2**order pages of address space in which some PTE is present."""

    def once_a_folio(self, entries: Entries) -> Entries:
        """The first of the entries for each MM and folio."""

    def can_reuse(self, entries: Entries) -> Bools:
        """What the policy's `can_reuse` answers to a write fault of each PTE of a large folio, shape (entries,)."""

    def by_answer(self, pairs: Pairs) -> Answers:
        """Questions that depend on nothing but whether several MMs map the folio, one for each pair."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks a policy whether a folio is shared, and what the kernel does with the answer.

    A question counts only where the answer matters: leave out what another reference, a limit or the kind of folio
    settles whatever the policy says.

    Args:
        name: unique; lower case with hyphens.
        who: who asks.
        when: on which occasion it asks, and about what.
        exclusive: what it does if the folio is exclusive.
        shared: what it does if several MMs may map the folio.
        source: where that is described.
        ask: (moment) -> how each of its questions falls.
        of: what `Answers.of` names.
        safe: whether acting on a shared folio breaks the policy's claim `safe`.
        usual: whether it is asked where no askers are named.
    """

    name: str
    who: str
    when: str
    exclusive: str
    shared: str
    source: str
    ask: Callable[[Moment], Answers]
    of: Of = "folio"
    safe: bool = True
    usual: bool = True

    def __post_init__(self) -> None:
        what: Any = self.ask  # a plugin may put any type here
        if not callable(what):
            raise PluginError(f"asker {self.name}: ask is not a function", "give it a function of (moment)")
        if self.of not in get_args(Of):
            raise PluginError(f"asker {self.name}: of is {self.of!r}", f"choose {', '.join(get_args(Of))}")

    @property
    def summary(self) -> str:
        """Who asks and when, in one line."""
        return f"{self.who}, {self.when}"
