"""The expectations of a scenario, checked against the records of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from foliolab.framework.scenario.formatter import item_text, step_text
from foliolab.framework.scenario.observe import ModelView
from foliolab.framework.scenario.record import FAULTED, UNKNOWN, UNSEEN, Record, View
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import KERNEL_STATISTICS, Expect, Item, Mark, Scenario, ScenarioStep


@dataclass(frozen=True)
class Failure:
    """An expectation that a run did not meet.

    Attributes:
        line: in the scenario's file; 0 if the scenario does not come from a file.
        expected: what the scenario expects.
        found: what the run shows instead.
        step: the step before.
    """

    line: int
    expected: str
    found: str
    step: str


def policies_of(scenario: Scenario) -> tuple[str, ...]:
    """The policies that a scenario names, as written, its own first."""
    named = (item.policy for item in scenario.items if isinstance(item, Expect))
    return tuple(dict.fromkeys(name for name in (scenario.policy, *named) if name))


def count(scenario: Scenario, of: Collection[str], kernel: bool = False, unseen: Collection[int] = ()) -> int:
    """How many expectations `failures` checks.

    Args:
        kernel: whether it is a run of the kernel.
        unseen: the numbers of the steps whose outcomes it does not show.
    """
    number, checked = -1, 0
    for item in scenario.items:
        number += isinstance(item, ScenarioStep)
        about_state = isinstance(item, Expect) and (item.process or item.number is not None)
        hidden = kernel and (not _visible(item) or (not about_state and number in unseen))
        checked += _concerns(scenario, item, of) and not hidden
    return checked


def failures(scenario: Scenario, records: Sequence[Record], of: Collection[str]) -> Iterator[Failure]:
    """The expectations that a run did not meet, in their order.

    Args:
        records: of the run; fewer than the scenario has steps if the run was interrupted. Subjects that only the
            engine knows (mapcount, owners, shared and exclusive) are not checked on records of the kernel.
        of: the policies whose expectations apply, as the scenario writes them. Expectations without a policy apply
            to every run. So do the bytes that a `read` or `peek` finds: they do not depend on who counts mappings.
    """
    layout = Layout(scenario.regions)
    number = -1
    for item in scenario.items:
        number += isinstance(item, ScenarioStep)
        if number >= len(records):
            return
        if number < 0 or isinstance(item, Mark) or not _concerns(scenario, item, of):
            continue
        record = records[number]
        wanted, found = (
            _expect(item, record, layout, scenario)
            if isinstance(item, Expect)
            else (item.answer, _answer(item.answer, record))
        )
        if wanted != found:
            about = isinstance(item, Expect) and (item.process or item.number is not None)
            expected = item_text(item) if about else wanted
            yield Failure(item.line, expected, found, step_text(record.step, answer=False))


def wrong(records: Sequence[Record], claims: Collection[str]) -> Iterator[Failure]:
    """What no policy with these claims may do, whatever the scenario expects.

    A write may not reuse a page that another process or reference holds; a policy that claims `safe` may not call a
    folio exclusive that several processes own. A folio is named once, until the answer is right again.
    """
    unsafe: set[str] = set()
    for record in records:
        step = record.step
        for why in record.wrong:
            yield Failure(step.line, "copied", f"reused {why}", step_text(step, answer=False))
        now = {one.folio: one for one in record.verdicts if one.kind == "unsafe" and "safe" in claims}
        for folio in sorted(now.keys() - unsafe):
            found = f"exclusive, while {now[folio].owners} processes own it"
            yield Failure(step.line, f"{folio} shared", found, step_text(step, answer=False))
        unsafe = set(now)


def _concerns(scenario: Scenario, item: Item, of: Collection[str]) -> bool:
    if isinstance(item, Mark):
        return False
    if isinstance(item, Expect):
        policy = item.policy or scenario.policy
        return not policy or policy in of
    return bool(item.answer) and (not scenario.policy or scenario.policy in of or item.action in ("read", "peek"))


def _visible(item: Item) -> bool:
    if isinstance(item, Expect) and item.number is not None and not item.process:
        return item.subject in KERNEL_STATISTICS
    return not isinstance(item, Expect) or not item.process or item.subject in _IN_PROC


def _expect(expect: Expect, record: Record, layout: Layout, scenario: Scenario) -> tuple[str, str]:
    """(what is expected, what was found); both are the same where the run cannot know."""
    if not expect.process:
        if expect.number is None:
            return expect.subject, _answer(expect.subject, record)
        return str(expect.number), str(record.statistics.get(expect.subject, expect.number))
    assert expect.pages is not None
    view, where = record.views[scenario.process_of[expect.process]], layout.range(expect.pages)
    if expect.subject in _IN_PROC:
        found = _IN_PROC[expect.subject](view, where) if not record.hidden or expect.subject != "kpagecount" else None
    else:
        found = _folios(record, view, where, expect.subject) if isinstance(view, ModelView) else None
    wanted = expect.subject if expect.number is None else str(expect.number)
    return wanted, wanted if found is None else ", ".join(found)


def _answer(wanted: str, record: Record) -> str:
    """What the step did. With hidden frames, a fault counts as the expected one of `reused` and `copied`."""
    faulted = record.text == FAULTED and wanted in ("reused", "copied")
    return wanted if faulted or UNSEEN in record.outcomes else record.text


def _presence(view: View, where: slice) -> list[str]:
    return ["present" if present else "absent" for present in np.unique(view.present[where]).tolist()]


def _counts(view: View, where: slice) -> list[str]:
    return [str(number) for number in np.unique(view.counts[where]).tolist()]


def _page_exclusive(view: View, where: slice) -> list[str]:
    return [str(number) for number in np.unique(view.exclusive[where]).tolist()]


def _anon_exclusive(view: View, where: slice) -> list[str] | None:
    numbers = np.unique(view.anon_exclusive[where])
    known = numbers[numbers != UNKNOWN]
    return [str(number) for number in known.tolist()] if known.size else None


_IN_PROC: Final[dict[str, Callable[[View, slice], list[str] | None]]] = {
    "kpagecount": _counts,
    "page_exclusive": _page_exclusive,
    "AnonExclusive": _anon_exclusive,
    "present": _presence,
    "absent": _presence,
}
"""Subjects that /proc shows, for the engine and for the kernel."""


def _folios(record: Record, view: ModelView, where: slice, subject: str) -> list[str]:
    """What is true of each folio in the range, each answer once."""
    verdicts = {verdict.frame: verdict for verdict in record.verdicts}
    found: dict[str, None] = {}
    for page in range(where.start, where.stop):
        head = int(view.heads[page])
        verdict = verdicts.get(head)
        if head < 0:
            found["absent"] = None
        elif subject == "owners":
            views = [other for other in record.views.values() if isinstance(other, ModelView)]
            found[str(sum(bool((other.heads == head).any()) for other in views))] = None
        elif subject == "mapcount":
            found[str(verdict.mapcount if verdict else view.counts[page])] = None
        elif subject == "deferred_split":
            found[str(view.queued[page])] = None
        else:  # a small folio is shared if it is mapped more than once
            shared = verdict.shared if verdict else view.counts[page] > 1
            found["shared" if shared else "exclusive"] = None
    return list(found)
