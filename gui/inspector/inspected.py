"""What the inspector shows: a folio and the last step's accesses under one policy.

It is gathered where the machine is: in the session's process, or in the window's for a counterexample that Verify steps
through. This module therefore does not import Qt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab import framework
from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.accesses import Access, access_of_frame, accesses_of
from foliolab.framework.explore.folio_detail import FolioDetail, decode_folio, folio_detail, folio_of
from foliolab.framework.explore.page_detail import PageDetail, answer_text, page_detail, verdict_of
from foliolab.framework.explore.reasons import Answer, answer_of

if TYPE_CHECKING:
    from foliolab.framework.explore.lane import Lane
    from foliolab.framework.explore.session import Session
    from foliolab.framework.verify.timeline import Timeline

NO_ANSWER: Final = Answer()
MOST: Final = 400
"""Most accesses that are listed: the last ones of a step."""
_ENGINE: Final = str(Path(framework.__file__).parent)


@dataclass(frozen=True)
class Inspected:
    """A folio under one policy.

    Args:
        policy: name of the policy.
        description: one sentence: who maps the folio, and what the policy answers.
        verdict: right, false shared or unsafe; empty if the policy has no answer.
        page: the chosen page; None if a folio was chosen.
        folio: every field; None if nothing is mapped.
        accesses: of the last step, in order.
        stopped: why accesses are missing, or that they are to other folios; empty if neither is so.
        at: index in `accesses` of the selected access; -1: none.
        numbers: of each of `accesses`, its number among all accesses of the step.
        answer: the policy's answer about the folio, with its reasons.
    """

    policy: str
    description: str
    verdict: str = ""
    page: PageDetail | None = None
    folio: FolioDetail | None = None
    accesses: tuple[Access, ...] = ()
    stopped: str = ""
    at: int = -1
    numbers: tuple[int, ...] = ()
    answer: Answer = NO_ANSWER


def inspect_page(session: Session, mm: int, page: int, accesses: bool = True) -> list[Inspected]:
    """Inspect a page of a map under every policy of a session.

    Args:
        session: the session.
        mm, page: number of the map, page on it.
        accesses: whether to record the last step's accesses, for which the step runs again.

    Raises:
        UsageError: there is no such page.
    """
    stop = session.patience()
    return [_inspect(session, lane, mm, page, stop if accesses else None) for lane in session.lanes]


def _inspect(session: Session, lane: Lane, mm: int, page: int, stop: Callable[[], bool] | None) -> Inspected:
    detail = page_detail(lane, mm, page)
    if lane.machine is None:
        return Inspected(lane.name, str(lane.error or detail.description), page=detail)
    folio = folio_detail(lane, detail.head) if detail.head >= 0 else None
    recorded, stopped = _record(lane, session, stop) if stop is not None and session.position else ([], "")
    listed = folded(recorded)
    if len(listed) > MOST:
        stopped = f"The list has the last {MOST} of {len(listed):,} accesses. {stopped}".strip()
        listed = listed[-MOST:]
    numbers, accesses = [number for number, _ in listed], [access for _, access in listed]
    frames = range(folio.head, folio.head + (1 << folio.order)) if folio is not None else range(0)
    answer = answer_of(lane.machine, folio.head, len(frames)) if folio is not None and folio.order else NO_ANSWER
    return Inspected(
        policy=lane.name,
        description=detail.description,
        verdict=detail.verdict,
        page=detail,
        folio=folio,
        accesses=tuple(accesses),
        stopped=" ".join(part for part in (_elsewhere(recorded, frames), stopped) if part),
        at=_most_important(accesses, frames),
        numbers=tuple(numbers),
        answer=answer,
    )


def folded(recorded: Sequence[Access]) -> list[tuple[int, Access]]:
    """Accesses with their numbers; reads of page tables by one line, one after the other, are one: a scan."""
    listed: list[tuple[int, Access]] = []
    for number, access in enumerate(recorded):
        before = listed[-1][1] if listed else None
        if before is not None and _scans(access) and _scans(before) == _scans(access):
            listed[-1] = number, replace(access, count=before.count + 1)
        else:
            listed.append((number, access))
    return listed


def _scans(access: Access) -> tuple[str, str, int, str] | None:
    """What a read of a page table has in common with the others of its scan; None for another access."""
    if access.writes or access.frame >= 0 or ".pte[" not in access.field:
        return None
    return access.op, access.file, access.line, access.field.partition("[")[0]


def _record(lane: Lane, session: Session, stop: Callable[[], bool]) -> tuple[list[Access], str]:
    """(the last step's accesses, why some are missing)."""
    if session.awaited():
        return [], "The accesses were not recorded because another command came."
    try:
        recorded = accesses_of(lane, stop)
    except FolioLabError as fault:
        return [], str(fault)
    return recorded.accesses, recorded.stopped


def _most_important(accesses: Sequence[Access], frames: range) -> int:
    """Index of the last write to a field of the policy, in the folio, by the policy's text, or what comes closest."""
    best = (0, -1)
    for index, access in enumerate(accesses):
        weight = 4 * (access.writes and access.stored is not None) + 2 * (access.frame in frames)
        weight += access.writes and not access.file.startswith(_ENGINE)
        best = max(best, (weight, index)) if weight else best
    return best[1]


def _elsewhere(accesses: Sequence[Access], frames: range) -> str:
    """A sentence if the step accessed folios, but not the one with these frames; otherwise empty."""
    touched = {access.frame for access in accesses if access.frame >= 0}
    if not touched or any(frame in frames for frame in touched):
        return ""
    return "The last step did not access this folio; its accesses are to others."


# -- counterexamples, as Verify steps through them ------------------------------------------------------
def inspect_step(timeline: Timeline, step: int) -> Inspected:
    """The folio of a counterexample after a step.

    Args:
        timeline: of the counterexample.
        step: number of the step; -1 for the state before the first.

    Returns:
        the folio, with the accesses up to the step; without threads only those of the step's operation.
    """
    machine = timeline.at(step)
    name = timeline.scheme.name
    mapped = timeline.mappings(step)
    head = timeline.folio[0] if timeline.folio[0] >= 0 else next(iter(mapped), -1)
    accesses = _accesses_until(timeline, step)
    at = len(accesses) - 1
    if head < 0:
        return Inspected(name, "No large folio is mapped yet.", accesses=accesses, at=at)
    description, verdict, answer = _answer(timeline, step, head, mapped.get(head, ()))
    stride = machine.layouts["page"].size
    start, size = machine.map.pages + head * stride, stride << folio_of(machine, head)[1]
    before = timeline.at(step - 1).vm.buffer[start : start + size].copy() if step >= 0 else None
    machine = timeline.at(step)
    now = machine.vm.buffer[start : start + size].copy()
    folio = decode_folio(machine, head, now, now if before is None else before)
    return Inspected(name, description, verdict, None, folio, accesses, "", at, answer=answer)


def _answer(timeline: Timeline, step: int, head: int, mappings: Sequence[int]) -> tuple[str, str, Answer]:
    """(owners and the policy's answer in a sentence, verdict, the answer); the machine is restored afterwards."""
    owners = [mm for mm, nr in enumerate(mappings) if nr]
    machine = timeline.at(step)
    kept = machine.snapshot()
    answer = answer_of(machine, head, 1 << folio_of(machine, head)[1])
    said_shared = answer.shared
    machine.restore(kept)
    if not owners:
        mapped = "not mapped"
    elif len(owners) == 1:
        mapped = f"mapped by MM {owners[0]} alone"
    else:
        mapped = f"mapped by {len(owners)} MMs ({', '.join(map(str, owners))})"
    text = f"Folio {head} is {mapped}; {timeline.scheme.name} {answer_text(said_shared)}"
    if said_shared is None or not owners:
        return f"{text}.", "", answer
    verdict = verdict_of(said_shared, len(owners))
    return f"{text}: {verdict}.", verdict, answer


def _accesses_until(timeline: Timeline, step: int) -> tuple[Access, ...]:
    frames = timeline.frames[: step + 1]
    found = []
    for frame in frames[-MOST:]:
        if not timeline.threaded and frame.operation != frames[-1].operation:
            continue
        access = access_of_frame(frame, timeline.scheme, frame.thread if timeline.threaded else -1)
        if access is not None:
            found.append(access)
    return tuple(found)


def write_to(accesses: Sequence[Access], place: tuple[int, int]) -> int | None:
    """The index of the last access that changed some bytes of a place; None if none did.

    Args:
        place: first byte in the machine's memory, and number of bytes.
    """
    first, nr = place

    def changes(one: Access) -> bool:
        begin, end = max(first, one.offset), min(first + nr, one.offset + one.size)
        changed = (
            ((one.old ^ one.new) >> 8 * (begin - one.offset)) & ((1 << 8 * (end - begin)) - 1) if begin < end else 0
        )
        return one.offset >= 0 and changed != 0

    return max((at for at, one in enumerate(accesses) if changes(one)), default=None)
