"""What is inspected: a page and its folio under one policy, gathered where the session or the timeline lives."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from foliolab import framework
from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.accesses import Access, accesses_of
from foliolab.framework.explore.detail import FALSE_SHARED, RIGHT, UNSAFE, FolioDetail, PageDetail, folio_detail
from foliolab.framework.verify.field_names import field_of

if TYPE_CHECKING:
    from foliolab.framework.explore.session import Session
    from foliolab.framework.verify.timeline import Timeline

MOST: Final = 400
"""Accesses that are listed: the last ones of a step that has more."""
_ENGINE: Final = str(Path(framework.__file__).parent)


@dataclass(frozen=True)
class Inspected:
    """A folio under one policy.

    Args:
        policy: its name.
        told: truth and the policy's answer, in a sentence.
        verdict: right, false shared, unsafe; empty where no policy is asked.
        page: the page that was chosen; None where only a folio was.
        folio: every field; None where nothing is mapped.
        accesses: of the step that was done last, in order.
        stopped: why there are no more accesses, or that they are not to this folio; empty if there is nothing to say.
        at: the access that is looked at, by its place in `accesses`; -1: none.
        skipped: accesses of the step before the first of `accesses`, which are not listed.
    """

    policy: str
    told: str
    verdict: str = ""
    page: PageDetail | None = None
    folio: FolioDetail | None = None
    accesses: tuple[Access, ...] = ()
    stopped: str = ""
    at: int = -1
    skipped: int = 0


def inspect_page(session: Session, mm: int, page: int, accesses: bool = True) -> list[Inspected]:
    """A page of the map of an MM under every policy of a session.

    Args:
        session: where.
        mm, page: which; there must be such a page.
        accesses: whether also the last step's accesses are wanted; they cost running it again.

    Raises:
        UsageError: there is no such page.
    """
    found = []
    patience = session.patience()
    for lane in session.lanes:
        detail = lane.page(mm, page)
        if lane.machine is None:
            found.append(Inspected(lane.name, str(lane.error or detail.told), page=detail))
            continue
        folio = lane.folio(detail.head) if detail.head >= 0 else None
        done: tuple[Access, ...] = ()
        stopped = ""
        if accesses and session.position and session.awaited():
            stopped = "not run again, access by access: something else was wanted meanwhile"
        elif accesses and session.position:
            try:
                record = accesses_of(lane, patience)
                done, stopped = tuple(record.accesses), record.stopped
            except FolioLabError as fault:
                stopped = str(fault)
        more = len(done) - MOST
        if more > 0:
            done, stopped = done[-MOST:], f"the last {MOST} of {more + MOST:,} accesses. {stopped}".strip()
        frames = range(folio.head, folio.head + (1 << folio.order)) if folio is not None else range(0)
        stopped = " ".join(part for part in (_elsewhere(done, frames), stopped) if part)
        found.append(
            Inspected(
                lane.name,
                detail.told,
                detail.verdict,
                detail,
                folio,
                done,
                stopped,
                _chosen(done, frames),
                max(more, 0),
            )
        )
    return found


class Question:
    """What a session is asked, wherever it is (see `inspect_page`)."""

    def __init__(self, mm: int, page: int, accesses: bool) -> None:
        self.mm, self.page, self.accesses = mm, page, accesses

    def __call__(self, session: Session) -> list[Inspected]:
        """Inspect."""
        return inspect_page(session, self.mm, self.page, self.accesses)


def _chosen(accesses: Sequence[Access], frames: range) -> int:
    """The access that matters most: the last write to a field of the policy, in this folio, by the policy's text."""
    best = (0, -1)
    for at, one in enumerate(accesses):
        worth = 4 * (one.writes and one.stored is not None) + 2 * (one.frame in frames)
        worth += one.writes and not one.file.startswith(_ENGINE)
        best = max(best, (worth, at)) if worth else best
    return best[1]


def _elsewhere(accesses: Sequence[Access], frames: range) -> str:
    """That the step touched other folios than the one that is shown; empty if it touched this one."""
    touched = {one.frame for one in accesses if one.frame >= 0}
    if not touched or any(frame in frames for frame in touched):
        return ""
    return "The last step did not touch this folio; its accesses are to others."


@dataclass(frozen=True)
class _Played:
    """What `folio_detail` wants to know of a machine, where a timeline has it."""

    machine: Any
    stride: int


def inspect_step(timeline: Timeline, step: int) -> Inspected:
    """The folio of a counterexample after a step, and the accesses of that step's operation up to it.

    Args:
        timeline: what was played.
        step: which; -1: before the first.
    """
    machine = timeline.at(step)
    name = timeline.scheme.name
    mapped = timeline.mappings(step)
    head = timeline.folio[0] if timeline.folio[0] >= 0 else next(iter(mapped), -1)
    accesses, at = _timeline_accesses(timeline, step)
    if head < 0:
        return Inspected(name, "No large folio is mapped yet.", accesses=accesses, at=at)
    told, verdict = _answered(timeline, step, head, mapped.get(head, ()))
    layout = timeline.machine.layouts["page"].size
    pages = 1 << folio_order(machine, head)
    start, size = machine.map.pages + head * layout, pages * layout
    now = machine.vm.buffer[start : start + size].copy()
    before = timeline.at(step - 1).vm.buffer[start : start + size].copy() if step >= 0 else now
    timeline.at(step)
    folio = folio_detail(cast(Any, _Played(machine, layout)), head, now, before)
    return Inspected(name, told, verdict, None, folio, accesses, "", at)


def folio_order(machine: Any, head: int) -> int:
    """log2 of the pages of the folio of a frame."""
    from foliolab.framework.explore.detail import folio_of

    return folio_of(cast(Any, _Played(machine, 0)), head)[1]


def _answered(timeline: Timeline, step: int, head: int, counts: Sequence[int]) -> tuple[str, str]:
    """Truth and the policy's answer; the question is put to a machine that is put back afterwards."""
    owners = [mm for mm, count in enumerate(counts) if count]
    machine = timeline.at(step)
    kept = machine.snapshot()
    try:
        said: bool | None = bool(machine.maybe_shared(head))
    except Exception:  # whatever a policy's own code raises, a lock that is held among it
        said = None
    finally:
        machine.restore(kept)
    who = f"{len(owners)} MMs ({', '.join(map(str, owners))})" if len(owners) != 1 else f"MM {owners[0]} alone"
    truth = f"Folio {head} is mapped by {who}" if owners else f"Folio {head} is mapped by nobody"
    if said is None:
        return f"{truth}; {timeline.scheme.name} has no answer now.", ""
    verdict = RIGHT if said == (len(owners) > 1) else FALSE_SHARED if said else UNSAFE
    if not owners:
        return f"{truth}; {timeline.scheme.name} says {'maybe shared' if said else 'exclusive'}.", ""
    return f"{truth}; {timeline.scheme.name} says {'maybe shared' if said else 'exclusive'}: {verdict}.", verdict


def _timeline_accesses(timeline: Timeline, step: int) -> tuple[tuple[Access, ...], int]:
    """The accesses up to a step; of a sequence those of its operation."""
    found: list[Access] = []
    frames = timeline.frames[: step + 1]
    now = frames[-1] if frames else None
    for frame in frames[-MOST:]:
        if not frame.op or not frame.location:
            continue
        if not timeline.threaded and (now is None or frame.operation != now.operation):
            continue
        file, _, line = frame.location.rpartition(":")
        number = int(line) if line.isdecimal() else 0
        found.append(
            Access(
                op=frame.op,
                field=frame.field,
                old=frame.old,
                new=frame.new,
                file=file,
                line=number,
                text=linecache.getline(file, number).strip(),
                frame=-1,
                offset=-1,
                size=0,
                stored=field_of(timeline.scheme, frame.field),
                thread=frame.thread if timeline.threaded else -1,
            )
        )
    return tuple(found), len(found) - 1
