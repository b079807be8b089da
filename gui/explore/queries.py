"""What the window asks a session. The functions are called in the session's process, which does not import Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.cells import FALSE_SHARED, UNSAFE
from foliolab.framework.explore.commands import MapKey
from foliolab.framework.explore.events import CHUNK
from foliolab.framework.explore.folio_detail import FolioDetail, folio_detail
from foliolab.framework.explore.page_detail import PageDetail, page_detail
from foliolab.framework.explore.reasons import last_change
from foliolab.framework.explore.source import EventsSource, Source, Touch
from foliolab.gui.explore.step_times import StepTimes
from foliolab.gui.window.matching import says

if TYPE_CHECKING:
    from foliolab.framework.explore.lane import Lane
    from foliolab.framework.explore.session import Session

MOST_TIMES: Final = 2048
MOST_FOUND: Final = 40
"""Steps that a search for words finds at most."""
Details = tuple[dict[int, PageDetail], dict[int, FolioDetail]]
"""Pages by number, folios by head frame."""


@dataclass(frozen=True)
class Facts:
    """What does not change while a session lasts.

    Args:
        title, kind: of the source.
        policies: names of the lanes.
        mms: number of maps.
        pages: pages of a map.
        nr_steps: steps of the source.
        notes: sentences for the user.
        times: of a trace that has times.
    """

    title: str
    kind: str
    policies: tuple[str, ...]
    mms: int
    pages: int
    nr_steps: int
    notes: tuple[str, ...]
    times: StepTimes = field(default_factory=StepTimes)


def facts(session: Session) -> Facts:
    """The facts about a session."""
    source = session.source
    names = tuple(lane.name for lane in session.lanes)
    return Facts(
        source.title, source.kind, names, len(source.mms), source.pages, source.nr_steps, source.notes, times_of(source)
    )


def times_of(source: Source) -> StepTimes:
    """The times of a trace at up to MOST_TIMES positions; none if its source had only an order."""
    if not isinstance(source, EventsSource) or not source.timed:
        return StepTimes()
    wanted = np.unique(np.linspace(0, source.nr_steps, MOST_TIMES).astype(np.int64))
    steps = np.maximum(wanted - 1, 0)  # at a position, the step before it is the last one that is done
    found = np.empty(wanted.size)
    for number in np.unique(steps // CHUNK).tolist():
        of_block = steps // CHUNK == number
        found[of_block] = source.blocks.block(number).time[steps[of_block] - number * CHUNK]
    return StepTimes(wanted.astype(np.float64), (found - found[0]) / 1e9)


def sentences(session: Session, begin: int, end: int) -> list[str]:
    """The sentences of steps begin to end-1."""
    return [session.source.describe(step) for step in range(begin, min(end, session.source.nr_steps))]


@dataclass(frozen=True)
class Outline:
    """The kinds of steps, and the policies that became wrong at them.

    Args:
        begin: the first step.
        farthest: steps that were run; nothing is known of the others' wrong answers.
        policies: names of the lanes.
        names: of the kinds, in their order.
        kinds: of each step the number of its kind, shape (n,).
        wrong: of each step a bit for each policy that became wrong, shape (n,).
        unsure: the steps at which a policy may have become wrong: of a long run not all are kept, shape (n,).
    """

    begin: int
    farthest: int
    policies: tuple[str, ...]
    names: tuple[str, ...]
    kinds: NDArray[np.uint8]
    wrong: NDArray[np.uint8]
    unsure: NDArray[np.bool_]

    def covers(self, begin: int, end: int) -> bool:
        """Whether it is about steps begin to end-1."""
        return self.begin <= begin and end <= self.begin + self.kinds.size

    def text(self, step: int, of_wrong: bool) -> str:
        """The kind of a step, or the policies that became wrong at it; empty if it has not been run."""
        at = step - self.begin
        if not of_wrong:
            return str(self.names[self.kinds[at]])
        if step >= self.farthest:
            return ""
        names = [name for lane, name in enumerate(self.policies) if self.wrong[at] >> lane & 1]
        return ", ".join(names + ["?"] * bool(self.unsure[at])) or "none"

    def ranks_of_kinds(self, begin: int, nr: int) -> NDArray[np.int64]:
        """What steps are sorted by, by kind."""
        return self.kinds[begin - self.begin :][:nr].astype(np.int64)

    def ranks_of_wrong(self, begin: int, nr: int) -> NDArray[np.int64]:
        """What steps are sorted by: most wrong policies first, then the unsure ones, the right ones, those not run."""
        at = slice(begin - self.begin, begin - self.begin + nr)
        wrong, unsure = self.wrong[at], self.unsure[at]
        ranks = 1024 - 256 * np.bitwise_count(wrong).astype(np.int64) + wrong
        ranks = np.where(wrong > 0, ranks, np.where(unsure, 2048, 2049))
        return np.where(np.arange(begin, begin + nr) < self.farthest, ranks, 2050)


def outline(session: Session, begin: int, end: int) -> Outline:
    """The outline of steps begin to end-1."""
    source = session.source
    end = min(end, source.nr_steps)
    names, kinds = source.kinds(begin, end)
    wrong, unsure = session.marks.of_steps(begin, end)
    policies = tuple(lane.name for lane in session.lanes)
    return Outline(begin, session.farthest, policies, names, kinds, wrong, unsure)


def touched(session: Session, begin: int, end: int) -> dict[int, NDArray[np.bool_]] | None:
    """The pages that steps begin to end-1 acted on, by map, of the processes that have the maps now.

    None: there are too many steps, or the session has something else to do.
    """
    source, stop = session.source, session.patience()
    names = {name: index for index, name in enumerate(session.lanes[0].names())}
    found: dict[int, NDArray[np.bool_]] = {}
    for step in range(begin, min(end, source.nr_steps)):
        if step % 64 == 63 and stop():
            return None
        touch = source.touch(step)
        mm = _map_of(session, touch, names)
        if mm >= 0 and touch.page >= 0:
            found.setdefault(mm, np.zeros(source.pages, np.bool_))[touch.page : touch.page + touch.nr] = True
    return found


def _map_of(session: Session, touch: Touch, names: Mapping[str, int]) -> int:
    """The map of a touch; -1 if no map has its process now."""
    source = session.source
    if not isinstance(source, EventsSource):
        return touch.mm
    # an event names the process by a number that is never used again, whereas maps are handed on
    return names.get(source.name(touch.mm), -1)


def last_touch(session: Session) -> Touch:
    """The pages that the last step acted on; `mm` is the number of the map, -1 if there is none."""
    if not session.position:
        return Touch(-1)
    touch = session.source.touch(session.position - 1)
    names = {name: index for index, name in enumerate(session.lanes[0].names())}
    return Touch(_map_of(session, touch, names), touch.page, touch.nr)


def visible_details(
    session: Session, wanted: Mapping[MapKey, Sequence[int]], every_page: bool
) -> dict[MapKey, Details]:
    """Details of the pages that are drawn large.

    Args:
        session: the session.
        wanted: pages of each map, ascending.
        every_page: whether every page is needed, with the fields of its folio; otherwise one page of each folio.
    """
    return {(lane, mm): _details(session.lanes[lane], mm, pages, every_page) for (lane, mm), pages in wanted.items()}


def _details(lane: Lane, mm: int, pages: Sequence[int], every_page: bool) -> Details:
    details: dict[int, PageDetail] = {}
    folios: dict[int, FolioDetail] = {}
    end_of_folio = -1
    for page in pages:
        if page < end_of_folio and not every_page:
            continue
        detail = details[page] = page_detail(lane, mm, page)
        if detail.head < 0:
            continue
        end_of_folio = page + (1 << detail.order) - (detail.frame - detail.head)
        if every_page and detail.head not in folios:
            try:
                folios[detail.head] = folio_detail(lane, detail.head)
            except FolioLabError:
                continue
    return details, folios


def describe_page(session: Session, lane: int, mm: int, page: int) -> str:
    """The sentence about a page of a map."""
    return page_detail(session.lanes[lane], mm, page).description


def folio_after_access(session: Session, lane: int, head: int, access: int) -> FolioDetail:
    """A folio as it was after an access of the last step; `access` counts all accesses of the step."""
    return session.accesses(lane).folio(head, access)


def step_of_last_change(session: Session, lane: int, place: tuple[int, int]) -> int | None:
    """The step that last changed bytes of memory; None if none is found (see `reasons.last_change`).

    Args:
        place: the first byte in the machine's memory, and how many.
    """
    return last_change(session.lanes[lane], place, session.patience())


def place_of_field(session: Session, lane: int, frame: int, offset: int, bits: int) -> tuple[int, int]:
    """The bytes of a field in the machine's memory: the first one, and how many.

    Args:
        frame: of its struct page.
        offset: bytes from the start of that struct page.
        bits: width of the field.
    """
    machine = session.lanes[lane].machine
    if machine is None:
        raise FolioLabError(f"{session.lanes[lane].name} has stopped", "start another run")
    return machine.map.pages + frame * machine.layouts["page"].size + offset, -(-bits // 8)


def first_wrong(session: Session, lane: int) -> tuple[int, int, int] | None:
    """A page about which a policy is wrong, unsafe before false shared, as (lane, map, page); None if all are right.

    Args:
        lane: the policy; -1 for the first one that is wrong.
    """
    for wrong in (UNSAFE, FALSE_SHARED):
        for number, one in enumerate(session.lanes):
            if lane not in (-1, number) or one.machine is None:
                continue
            for mm in range(len(session.source.mms)):
                pages = np.flatnonzero(one.cells(mm, np.empty(one.room, np.uint8))[: session.source.pages] & wrong)
                if pages.size:
                    return number, mm, int(pages[0])
    return None


def steps_that_say(session: Session, wanted: str) -> list[tuple[int, str]]:
    """Steps whose sentences have all typed words, those after the present position first; the first ones if many.

    The search ends after a moment, or when the session has something else to do.
    """
    stop, source, here = session.patience(), session.source, session.position
    found: list[tuple[int, str]] = []
    for count, step in enumerate(chain(range(here, source.nr_steps), range(here))):
        if len(found) == MOST_FOUND or (count % 64 == 63 and stop()):
            break
        text = source.describe(step)
        if says(wanted, text):
            found.append((step, text))
    return found


def nothing(session: Session) -> None:
    """Do nothing: the answer comes after those of all earlier questions."""
