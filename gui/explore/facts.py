"""What the window wants to know of a session; each is called in the session's process, which has no Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.folio_detail import FolioDetail, folio_detail
from foliolab.framework.explore.page_detail import PageDetail, page_detail

if TYPE_CHECKING:
    from foliolab.framework.explore.accesses import Accesses
    from foliolab.framework.explore.session import Session

Key = tuple[int, int]


@dataclass(frozen=True)
class Facts:
    """What does not change while a session lasts.

    Args:
        title, kind: of its source.
        policies: of its lanes.
        mms: maps.
        pages: of a map.
        nr_steps: of the source.
        notes: sentences to say.
    """

    title: str
    kind: str
    policies: tuple[str, ...]
    mms: int
    pages: int
    nr_steps: int
    notes: tuple[str, ...]


def facts(session: Session) -> Facts:
    """What the session is."""
    source = session.source
    names = tuple(lane.name for lane in session.lanes)
    return Facts(source.title, source.kind, names, len(source.mms), source.pages, source.nr_steps, source.notes)


@dataclass(frozen=True)
class Acted:
    """Where the last step acted: a map, its first page (-1: none), how many."""

    mm: int
    page: int
    nr: int


def acted(session: Session) -> Acted:
    """Where the step that was done last acted, on the map of the MM that did it."""
    if not session.position:
        return Acted(-1, -1, 0)
    touch = session.source.touch(session.position - 1)
    names = session.lanes[0].names()
    mm = touch.mm
    if session.source.kind in ("pattern", "trace"):  # numbers of processes, whose maps are handed on
        mm = next((at for at, name in enumerate(names) if name.endswith(f" {touch.mm}")), -1)
    return Acted(mm, touch.page, touch.nr)


class InSight:
    """Details of what is seen closely."""

    def __init__(self, wanted: Mapping[Key, Sequence[int]], every_page: bool) -> None:
        """Of pages by (lane, map); with every_page=False one page of each folio is enough."""
        self.wanted, self.every_page = wanted, every_page

    def __call__(self, session: Session) -> dict[Key, tuple[dict[int, PageDetail], dict[int, FolioDetail]]]:
        """Pages by their number, folios by their head."""
        found = {}
        for (lane, mm), pages in self.wanted.items():
            found[lane, mm] = self._of(session, lane, mm, pages)
        return found

    def _of(
        self, session: Session, lane: int, mm: int, pages: Sequence[int]
    ) -> tuple[dict[int, PageDetail], dict[int, FolioDetail]]:
        one = session.lanes[lane]
        details: dict[int, PageDetail] = {}
        folios: dict[int, FolioDetail] = {}
        behind = -1
        for page in pages:
            if page < behind and not self.every_page:
                continue
            detail = details[page] = page_detail(one, mm, page)
            if detail.head < 0:
                continue
            behind = page + (1 << detail.order) - (detail.frame - detail.head)
            if self.every_page and detail.head not in folios:
                try:
                    folios[detail.head] = folio_detail(one, detail.head)
                except FolioLabError:
                    continue
        return details, folios


class Told:
    """The sentence about a page."""

    def __init__(self, lane: int, mm: int, page: int) -> None:
        self.lane, self.mm, self.page = lane, mm, page

    def __call__(self, session: Session) -> str:
        """It."""
        return page_detail(session.lanes[self.lane], self.mm, self.page).description


class AfterAccess:
    """A folio as it was after an access of the last step."""

    def __init__(self, lane: int, head: int, at: int, skipped: int) -> None:
        """Access `at` of those that are listed, of which `skipped` were left out at the beginning."""
        self.lane, self.head, self.at, self.skipped = lane, head, at, skipped

    def __call__(self, session: Session) -> FolioDetail:
        """It."""
        found: Accesses = session.accesses(self.lane)
        return found.folio(self.head, self.at + self.skipped)


def nothing(session: Session) -> None:
    """Nothing: whatever was asked before has been answered."""
