"""`foliolab replay`: the answer in sentences; owners over time, false shared folios, write faults, spared copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from foliolab.framework.replay.result import OLDER, YARDSTICK, Replayed, ReplayResult, ReplaySample
from foliolab.framework.report.answer import answer
from foliolab.framework.report.pages.curves import Curves
from foliolab.framework.report.pages.page import Column, Page, Style
from foliolab.framework.report.words import broken, duration_text, share_text

GROUPS: Final = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 8), (9, 16), (17, 63), (64, 64))
"""Numbers of MMs that share a column, both ends included; the last one has no upper end."""
MAPPING: Final = ("present", "new", "map")
"""Kinds of events without which no folio is known."""
MOMENTS: Final = 12
"""Rows of the table over time; the result file has all samples."""
FORGETFUL: Final = ", knows no MM of older folios"
"""What a policy's second row says, where folios are older than the trace (`replay.histories`)."""
CLASSES: Final = {
    "large": "large folio",
    "small": "small folio",
    "unknown": "not known to the trace",
    "disturbed": "large, changed by the kernel",
    "earlier": "large, older than the trace",
    "read": "large, older, slots were read",
}


def render(result: ReplayResult, page: Page) -> None:
    """Write a result on a page, the answer first."""
    if sentences := answer([result]):
        page.line("The answer", "strong")
        for sentence in sentences:
            page.line(f"  {sentence}")
        page.line()
    _head(result, page)
    shown = result.yardstick or next((one for one in result.policies if one.events), None)
    if shown is not None:
        mapped = any(result.recording.kinds.get(kind) for kind in MAPPING)
        if mapped:
            _owners(shown, page)
            _over_time(shown, result, page)
            _answers(result, page)
        if mapped or any(one.faults for one in result.policies):
            _faults(result, page)
        if mapped:
            _spared(result, page)
            _older(result, page)
        else:
            page.line("no event maps a folio: this trace cannot tell who shares folios, nor what a policy would cost")
            page.line()
    _closing(result, page)


def _head(result: ReplayResult, page: Page) -> None:
    recording = result.recording
    header = recording.header
    where = f", Linux {header.kernel}" if header.kernel else ""
    source = f", {header.source}" if header.source else ""
    page.line(f"{recording.path}: {recording.events:,} events in {recording.span / 1e9:.3f} s{where}{source}", "strong")
    page.line("  " + ", ".join(f"{count:,} {kind}" for kind, count in recording.kinds.items()))
    if header.command:
        page.line(f"  {header.command}", "quiet")
    for sentence in header.shows.cannot_tell:
        page.line(f"  {sentence}", "doubtful")
    page.line()


def _label(one: Replayed, result: ReplayResult) -> str:
    """A policy in the table of answers."""
    recorded = " (as recorded)" if one.recorded else ""
    return f"{one.policy}{recorded}{FORGETFUL if any(one is other for other in result.forgetful) else ''}"


def _group(low: int, high: int) -> str:
    if high == GROUPS[-1][1]:
        return f"{low}+"
    return f"{low}" if low == high else f"{low}-{high}"


def _grouped(counts: Sequence[int]) -> list[int]:
    return [sum(counts[low - 1 : high]) for low, high in GROUPS]


def _used(rows: Sequence[Sequence[int]]) -> list[int]:
    return [i for i in range(len(GROUPS)) if any(row[i] for row in rows)] or [0]


def _owners(shown: Replayed, page: Page) -> None:
    folios, pages = _grouped(shown.owner_ns), _grouped(shown.owner_page_ns)
    columns = [Column("", [page.text("of large folios x time"), page.text("of their pages x time")])]
    for i in _used([folios]):
        cells = [page.text(share_text(row[i], sum(row))) for row in (folios, pages)]
        columns.append(Column(_group(*GROUPS[i]), cells, right=True))
    page.tables(f"MMs that map a large folio ({shown.policy})", columns, [])
    if not sum(folios):
        none = "no large folio was mapped" if not shown.most_owners else "the trace has no duration to have a share of"
        page.line(f"  {none}", "quiet")
    page.line()


def moments(samples: Sequence[ReplaySample]) -> list[ReplaySample]:
    """Up to MOMENTS samples, evenly in time, with the first and the last one."""
    if len(samples) <= MOMENTS:
        return list(samples)
    first, span = samples[0].time, samples[-1].time - samples[0].time
    wanted = [first + span * i / (MOMENTS - 1) for i in range(MOMENTS)]
    found = [min(samples, key=lambda sample: abs(sample.time - when)) for when in wanted]
    return list({sample.time: sample for sample in found}.values())


def _over_time(shown: Replayed, result: ReplayResult, page: Page) -> None:
    """How many MMs map a large folio, over time, with the folios that each policy falsely calls shared."""
    chosen = moments(shown.samples)
    if not chosen:
        return
    rows = [_grouped(sample.folios) for sample in chosen]
    unit, ns = ("s", 1e9) if result.recording.span >= 10e9 else ("ms", 1e6)
    first = [
        Column(f"at, {unit}", [page.text(f"{sample.time / ns:,.3f}") for sample in chosen], right=True),
        Column("MMs", [page.text(f"{sample.mms:,}") for sample in chosen], right=True),
    ]
    for i in _used(rows):
        low, high = GROUPS[i]
        heading = f"by {_group(low, high)}"
        first.append(Column(heading, [page.text(f"{row[i]:,}") for row in rows], right=True))
    groups = []
    for one in result.policies:
        at = {sample.time: sample for sample in one.samples}
        cells = [f"{at[sample.time].false_folios:,}" if sample.time in at else "" for sample in chosen]
        groups.append([Column(f"{broken(one.policy)}\nfalse shared", [page.text(c) for c in cells], right=True)])
    page.tables("Large folios over time, mapped by so many MMs", first, groups)
    _course(shown, result, page)
    page.line()


def _course(shown: Replayed, result: ReplayResult, page: Page) -> None:
    """All samples as curves: folios by the number of MMs that map them, and those falsely called shared."""
    samples = shown.samples
    if len(samples) < 2:
        return
    at = [sample.time / 1e9 for sample in samples]
    rows = [_grouped(sample.folios) for sample in samples]
    owners = {f"{_group(*GROUPS[i])} MM{'s' * (i > 0)}": [row[i] for row in rows] for i in _used(rows)}
    page.curves(Curves("Large folios over time, by the number of MMs that map them", "s", at, owners))
    falsely = {
        one.policy: [sample.false_folios for sample in one.samples]
        for one in result.policies
        if len(one.samples) == len(samples) and any(sample.false_folios for sample in one.samples)
    }
    if falsely:
        page.curves(Curves("Large folios that one MM maps and a policy calls maybe shared", "s", at, falsely))


def _answers(result: ReplayResult, page: Page) -> None:
    """Wrong answers of each policy: about folios that one MM maps, and about those that several map."""
    done = [side for one in result.policies if one.events for side in result.sides(one)]

    def column(heading: str, cells: Sequence[str], style: Style = "") -> Column:
        return Column(heading, [page.text(cell, style if cell not in ("0", "-") else "") for cell in cells], right=True)

    columns = [
        Column("policy", [page.text(_label(one, result)) for one in done]),
        column(
            "false shared,\nfolios x time", [share_text(one.false_shared.folio_ns, sum(one.owner_ns)) for one in done]
        ),
        column("pages x time", [share_text(one.false_shared.page_ns, sum(one.owner_page_ns)) for one in done]),
        column("times", [f"{one.false_shared.episodes:,}" for one in done]),
        column("mean", [duration_text(one.false_shared.mean) for one in done]),
        column("longest", [duration_text(one.false_shared.longest) for one in done]),
        column("most at once", [f"{one.false_shared.peak:,}" for one in done]),
        column("UNSAFE", [f"{one.unsafe.episodes:,}" for one in done], "strong bad"),
        column("events/s", [f"{one.events / one.seconds:,.0f}" if one.seconds else "-" for one in done]),
    ]
    page.tables('False shared: one MM maps the folio, the policy says "maybe shared"', columns, [])
    for one in done:
        if one.unsafe.episodes or one.unsafe.folio_ns:
            claim = "although it claims to be safe" if one.safe else "and it does not claim to be safe"
            page.line(
                f"  UNSAFE: {one.policy} called folios exclusive that several MMs mapped, {claim}: "
                f"{one.unsafe.episodes:,} times, first {one.unsafe.first / 1e9:.6f} s after the start",
                "strong bad" if one.safe else "bad",
            )
    page.line()


def _faults(result: ReplayResult, page: Page) -> None:
    done = [one for one in result.policies if one.events]
    keys: dict[tuple[str, str, str], None] = {}
    for of in CLASSES:
        for kernel in ("reused", "copied", "unknown"):
            for policy in ("reused", "copied", "unchanged", "new page", "not mapped"):
                if any(one.count(of, kernel, policy) for one in done):
                    keys[of, kernel, policy] = None
    if not keys:
        page.line("no write faults on write-protected pages were recorded", "quiet")
        page.line()
        return
    words = list(keys)
    first = [
        Column("page of a", [page.text(CLASSES[of]) for of, _, _ in words]),
        Column("the kernel", [page.text(kernel) for _, kernel, _ in words]),
        Column("the policy", [page.text(policy) for _, _, policy in words]),
    ]
    groups = []
    for one in done:
        cells = []
        for of, kernel, policy in words:
            certain, uncertain = (one.count(of, kernel, policy, certain=sure) for sure in (True, False))
            text = f"{certain:,}" + (f" (+{uncertain:,})" if uncertain else "")
            differs = kernel != "unknown" and policy in ("reused", "copied") and policy != kernel
            cells.append(
                page.text(text, "doubtful" if differs and certain else "" if certain or uncertain else "quiet")
            )
        groups.append([Column(broken(one.policy), cells, right=True)])
    page.tables("Write faults (in brackets: uncertain, since another process of the family was exiting)", first, groups)
    for one in done:
        parts = []
        for word, certain in (("certain", True), ("uncertain", False)):
            same, recorded = one.agreement(certain)
            if recorded:
                parts.append(f"{same:,} of {recorded:,} {word}")
        if parts:
            page.line(f"  {one.policy}: {' and '.join(parts)} outcomes on large folios as the kernel's")
    page.line()


def _more(value: float, form: str = ",") -> str:
    """A difference with its sign; one that rounds to 0 has none."""
    text = format(abs(value), form)
    return text if not text.strip("0.,") else ("−" if value < 0 else "+") + text


def _mib(nbytes: float) -> str:
    return f"{_more(nbytes / (1 << 20), ',.1f')} MiB"


def _spared(result: ReplayResult, page: Page) -> None:
    if not result.spared:
        page.line(f"spared copies: {YARDSTICK} did not replay the whole trace", "quiet")
        page.line()
        return
    spared = result.spared
    sole = {one.policy: one.sole_copies for one in result.policies}

    def column(heading: str, cells: Sequence[str]) -> Column:
        return Column(heading, [page.text(cell) for cell in cells], right=True)

    columns = [
        Column("policy", [page.text(one.policy) for one in spared]),
        column("copies of\nlarge folios' pages", [_more(one.large) for one in spared]),
        column("copies by\nthe only MM", [f"{sole[one.policy]:,}" for one in spared]),
        column("of small folios", [_more(one.small) for one in spared]),
        column("copied", [_mib(one.bytes_copied) for one in spared]),
        column("memory in use,\nmean", [_mib(one.frames_mean * 4096) for one in spared]),
        column("peak", [_mib(one.frames_peak * 4096) for one in spared]),
        column("time", ["-" if one.ns is None else f"{_more(one.ns / 1e6, ',.2f')} ms" for one in spared]),
    ]
    page.tables(f"More than {spared[0].against}: what a precise scheme would have spared", columns, [])
    if result.costs:
        costs = result.costs
        page.line(f"  {costs.copy_ns:.0f} ns a copy, {costs.reuse_ns:.0f} ns a reuse: {costs.source}", "quiet")
    page.line()


def _older(result: ReplayResult, page: Page) -> None:
    """Copies of pages of folios older than the trace: of each policy at least and at most, and the kernel's."""
    done = [one for one in result.policies if one.whole]
    if not any(one.count(of) for one in done for of in OLDER):
        return
    bounds = [result.copies_of_older(one) for one in done]
    kernel = max(sum(one.count(of, "copied") for of in OLDER) for one in done)
    columns = [
        Column("policy", [page.text(one.policy) for one in done]),
        Column("at least", [page.text(f"{low:,}") for low, _ in bounds], right=True),
        Column("at most", [page.text(f"{high:,}") for _, high in bounds], right=True),
    ]
    page.tables(f"Copies of pages of folios older than the trace; the kernel made {kernel:,}", columns, [])
    page.line("  at most: the policy remembers no MM that maps them; at least: those that map them longest", "quiet")
    page.line()


def _closing(result: ReplayResult, page: Page) -> None:
    first = next((one for one in result.policies if one.events), None)
    for what, count in (first.not_modelled if first else {}).items():
        page.line(f"not in the replay: {count:,} {what}")
    for note in result.notes:
        page.line(f"note: {note}", "doubtful" if note.startswith("the trace is damaged") else "")
    if not result.complete:
        page.line("interrupted: what was done until then is shown", "strong doubtful")
    machine = result.machine
    page.line()
    page.line(f"{machine.cpu}, {machine.cores} cores, {machine.os}, Linux {result.kernel}", "quiet")
