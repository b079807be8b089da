"""`foliolab precision`: a matrix of shares, the shares by the number of MMs, and how long wrong answers last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Final

from foliolab.framework.precision.result import JudgedPolicy, Measure, PlayedWorkload, Point, PrecisionResult
from foliolab.framework.replay.result import Ended, Wrong
from foliolab.framework.report.pages.page import Column, Columns, Page, Style
from foliolab.framework.report.words import broken, duration_text, share_text, size_text

FALSE_ENDS: Final = {
    "gone": "nothing mapped",
    "owners": "shared again",
    "one page": "one page left",
    "answer": "answer corrected",
    "lasting": "lasted to the end",
}
UNSAFE_ENDS: Final = FALSE_ENDS | {"owners": "one MM left"}
SHOWN_ENDS: Final = 2
DURATIONS: Final = (
    "times", "operations:\nmedian", "90 %", "longest", "time:\nmedian", "90 %", "longest", "how it ended",
)  # fmt: skip
NOTES: Final = (
    "An operation is one event on one large folio, counted by what is true after it; time is folios x time.",
    "In the patterns an event takes one step, pauses as long as the pattern says; how much is written, and how long "
    "processes live, is chosen, not measured.",
)


Row = tuple[str, ...]


def render(result: PrecisionResult, page: Page, by: Measure = "time") -> None:
    """Write a result on a page.

    Args:
        by: what the shares by the number of MMs refer to.
    """
    _head(result, page)
    last = _largest(result)
    policies = [policy for policy in result.policies if any(p.events for p in result.points if p.policy == policy.name)]
    _matrix(result, policies, last, page)
    _unsafe(result, policies, last, page)
    _refuted(result, page)
    _by_mms(result, policies, by, page)
    _durations(result, policies, last, page, unsafe=False)
    _durations(result, policies, last, page, unsafe=True)
    _closing(result, page)


def _head(result: PrecisionResult, page: Page) -> None:
    patterns = [one for one in result.workloads if not one.recorded]
    if patterns:
        numbers = _numbers(result.mms)
        size = size_text(4 << result.order)
        page.line(
            f"{numbers} MMs at a time, {result.folios} folios of {size}, seed {result.seed}; "
            "the same events for every policy",
            "strong",
        )
    width = max((len(one.name) for one in result.workloads), default=0)
    for one in result.workloads:
        page.line(f"  {one.name.ljust(width)}  {one.summary}", "quiet")
    page.line()


def _numbers(mms: Sequence[int]) -> str:
    if len(mms) > 2 and all(later == one + 1 for one, later in pairwise(mms)):
        return f"{mms[0]} to {mms[-1]}"
    return ", ".join(map(str, mms))


def _largest(result: PrecisionResult) -> dict[tuple[str, str], Point]:
    """The point with the most MMs of each workload and policy."""
    found: dict[tuple[str, str], Point] = {}
    for point in result.points:
        key = point.workload, point.policy
        if point.events and (key not in found or point.mms > found[key].mms):
            found[key] = point
    return found


def _percent(part: int, whole: int) -> str:
    return share_text(part, whole).removesuffix(" %")


def _both(share: Callable[[Measure], tuple[int, int]]) -> str:
    """A share of operations and of time; one text if they are the same."""
    shares = [_percent(*share(by)) for by in ("operations", "time")]
    return shares[0] if shares[0] == shares[1] and shares[0] in ("0", "-") else " / ".join(shares)


def _under(title: str, page: Page, first: Columns, groups: Sequence[Columns], sections: Sequence[int] = ()) -> None:
    """A table with its title as a line above: rich would wrap a title at the width of the table."""
    page.line(title, "strong")
    page.tables("", first, groups, sections)


def _heading(result: PrecisionResult, workload: PlayedWorkload, last: dict[tuple[str, str], Point]) -> str:
    mms = max((point.mms for (name, _), point in last.items() if name == workload.name), default=0)
    same = not workload.recorded and mms == max(result.mms, default=0)
    return broken(workload.name) if same else f"{broken(workload.name)}\n({mms} MMs)"


def _table(
    title: str,
    result: PrecisionResult,
    policies: Sequence[JudgedPolicy],
    last: dict[tuple[str, str], Point],
    page: Page,
    cell: Callable[[Point], tuple[str, Style]],
) -> None:
    first = Column("policy", [page.text(policy.name) for policy in policies])
    groups = []
    for workload in result.workloads:
        found = [last.get((workload.name, policy.name)) for policy in policies]
        cells = [page.text(*(cell(point) if point else ("", ""))) for point in found]
        groups.append([Column(_heading(result, workload, last), cells, right=True)])
    _under(title, page, [first], groups)
    page.line()


def _matrix(
    result: PrecisionResult, policies: Sequence[JudgedPolicy], last: dict[tuple[str, str], Point], page: Page
) -> None:
    """The shares of exclusive folios that policies call shared."""
    patterns = any(not one.recorded for one in result.workloads)
    with_most = f", {max(result.mms, default=0)} MMs" if patterns else ""
    title = f'One MM maps the folio, the policy says "maybe shared": % of operations / of time{with_most}'

    def cell(point: Point) -> tuple[str, Style]:
        text = _both(point.false)
        return text, "" if text not in ("0", "-") else "quiet"

    _table(title, result, policies, last, page, cell)


def _unsafe(
    result: PrecisionResult, policies: Sequence[JudgedPolicy], last: dict[tuple[str, str], Point], page: Page
) -> None:
    """The shares of shared folios that policies call exclusive, for the policies that ever do."""
    unsafe = [policy for policy in policies if any(p.unsafe.ops for p in result.points if p.policy == policy.name)]
    if not unsafe:
        return

    def cell(point: Point) -> tuple[str, Style]:
        return _both(point.wrong), "strong bad" if point.unsafe.ops else "quiet"

    title = 'UNSAFE: several MMs map the folio, the policy says "exclusive": % of operations / of time'
    _table(title, result, unsafe, last, page, cell)


def _refuted(result: PrecisionResult, page: Page) -> None:
    """Refuted claims of each policy, once each, with the fewest MMs that refute them."""
    shown: set[tuple[str, str]] = set()
    for one in sorted(result.refuted, key=lambda one: one.mms):
        if (one.policy, one.claim) in shown:
            continue
        shown.add((one.policy, one.claim))
        where = f"{one.workload} with {one.mms} MMs"
        page.line(f"REFUTED: {one.policy} claims {one.claim}; {where} has {one.times:,} wrong answers", "strong bad")
    if shown:
        page.line()


def _merged(policies: Sequence[JudgedPolicy], row: Callable[[JudgedPolicy], Row]) -> list[tuple[str, Row]]:
    """Policies with equal figures, merged into one row: (names, figures)."""
    rows: dict[Row, list[str]] = {}
    for policy in policies:
        rows.setdefault(row(policy), []).append(policy.name)
    return [(",\n".join(names), figures) for figures, names in rows.items()]


def _by_mms(result: PrecisionResult, policies: Sequence[JudgedPolicy], by: Measure, page: Page) -> None:
    """The share by the number of MMs and workload, for policies that are ever wrong."""
    patterns = [one.name for one in result.workloads if not one.recorded]
    if not patterns or len(result.mms) < 2:
        return
    points = {(point.workload, point.policy, point.mms): point for point in result.points if point.events}

    def shares(workload: str, policy: JudgedPolicy) -> Row:
        found = [points.get((workload, policy.name, mms)) for mms in result.mms]
        return tuple(_percent(*point.false(by)) if point else "" for point in found)

    rows: list[tuple[str, str, Row]] = []
    sections: list[int] = []
    for workload in patterns:
        merged = _merged(policies, partial(shares, workload))
        wrong = [(label, row) for label, row in merged if set(row) - {"0", "-", ""}]
        rows += [("" if i else workload, label, row) for i, (label, row) in enumerate(wrong)]
        sections.append(len(rows) - 1)
    if rows:
        first = [
            Column("workload", [page.text(name) for name, _, _ in rows]),
            Column("policy", [page.text(label) for _, label, _ in rows]),
        ]
        groups = []
        for i, mms in enumerate(result.mms):
            cells = [page.text(row[i], "quiet" if row[i] in ("0", "-") else "") for _, _, row in rows]
            groups.append([Column(f"{mms}", cells, right=True)])
        _under(f"The same by the number of MMs: % of {by}", page, first, groups, sections)
    _never(result, policies, page)
    page.line()


def _never(result: PrecisionResult, policies: Sequence[JudgedPolicy], page: Page) -> None:
    """Policies that never call an exclusive folio shared; those that are unsafe instead are named apart."""
    sums = {policy.name: [0, 0] for policy in policies}
    for point in result.points:
        if point.policy in sums:
            sums[point.policy][0] += point.false_shared.ops
            sums[point.policy][1] += point.unsafe.ops
    never = [name for name, (false, wrong) in sums.items() if not false and not wrong]
    unsafe = [name for name, (false, wrong) in sums.items() if not false and wrong]
    if never:
        page.line(f"  always 0: {', '.join(never)}")
    if unsafe:
        page.line(f"  always 0, but UNSAFE: {', '.join(unsafe)}", "bad")


def _rounded(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return "< 1 %" if percent < 1 else f"{percent:.0f} %"


def _ends(wrong: Wrong, words: dict[str, str]) -> str:
    """The most frequent ends of wrong answers."""
    total = sum(end.times for end in wrong.ends)

    def text(end: Ended) -> str:
        what = f"{end.event}: {words[end.how]}" if end.event else words[end.how]
        return f"{_rounded(end.times, total)} {what}"

    shown = [text(end) for end in wrong.ends[:SHOWN_ENDS]]
    rest = sum(end.times for end in wrong.ends[SHOWN_ENDS:])
    return ", ".join([*shown, f"{_rounded(rest, total)} otherwise"] if rest else shown)


def _durations(
    result: PrecisionResult,
    policies: Sequence[JudgedPolicy],
    last: dict[tuple[str, str], Point],
    page: Page,
    unsafe: bool,
) -> None:
    rows: list[tuple[str, str, Row]] = []
    sections: list[int] = []
    for workload in result.workloads:
        found = _merged(policies, partial(_duration_row, last, workload, unsafe))
        lasting = [(label, row) for label, row in found if row]
        rows += [("" if i else broken(workload.name), label, row) for i, (label, row) in enumerate(lasting)]
        sections.append(len(rows) - 1)
    if not rows:
        return
    columns = [
        Column("workload", [page.text(name) for name, _, _ in rows]),
        Column("policy", [page.text(label) for _, label, _ in rows]),
    ]
    for i, heading in enumerate(DURATIONS):
        cells = [page.text(row[i]) for _, _, row in rows]
        columns.append(Column(heading, cells, right=i < len(DURATIONS) - 1))
    what = "UNSAFE answers" if unsafe else "Falsely shared"
    _under(f"{what}: how long it lasts, and how it ends", page, columns, [], sections)
    page.line()


def _duration_row(
    last: dict[tuple[str, str], Point], workload: PlayedWorkload, unsafe: bool, policy: JudgedPolicy
) -> Row:
    point = last.get((workload.name, policy.name))
    if point is None:
        return ()
    wrong = point.unsafe if unsafe else point.false_shared
    if not wrong.episodes:
        return ()
    times = wrong.median, wrong.ninth, wrong.longest
    return (
        *(f"{count:,}" for count in (wrong.episodes, wrong.median_ops, wrong.ninth_ops, wrong.longest_ops)),
        *(duration_text(time) if workload.recorded else f"{time:,}" for time in times),
        _ends(wrong, UNSAFE_ENDS if unsafe else FALSE_ENDS),
    )


def _closing(result: PrecisionResult, page: Page) -> None:
    stopped: dict[tuple[str, str], int] = {}
    for point in result.points:
        if point.stopped:
            key = point.policy, point.stopped.splitlines()[0]
            stopped[key] = stopped.get(key, 0) + 1
    for (policy, why), times in stopped.items():
        page.line(f"{policy} stopped{f' {times} times' if times > 1 else ''}: {why}", "doubtful")
    for note in NOTES:
        page.line(note, "quiet")
    if not result.complete:
        page.line("interrupted: what was done until then is shown", "strong doubtful")
