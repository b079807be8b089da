"""Makes answers of results: verdicts of the ledger, precision, comparison, layout and consequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from foliolab.framework.report.replay import moments
from foliolab.framework.report.words import change_text, share_text, size_text, time_text
from foliolab.gui.compare.answer import FALSE_SHARED, UNSAFE, Answer, Curve, Figure, Tone, unknown

if TYPE_CHECKING:
    from foliolab.framework.consequences.result import ConsequencesResult, PolicyOutcome
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.precision.result import Point, PrecisionResult
    from foliolab.framework.replay.result import ReplayResult
    from foliolab.framework.results.comparison import Row
    from foliolab.framework.results.result import Result
    from foliolab.framework.verify.ledger import KeptVerdict

TYPICAL: Final = 4
"""Order of the folio (64 KiB) whose memory cost the matrix shows."""
OWED: Final = "what every policy owes"
RARELY: Final = 0.01
"""Share of the time below which a policy counts as nearly exact."""


# -- right -----------------------------------------------------------------------------------------------
def right(scheme: Scheme, kept: Mapping[str, KeptVerdict], command: tuple[str, ...]) -> Answer:
    """The verdicts of `verify` on the claims of a policy.

    Args:
        scheme: the policy.
        kept: the ledger's verdicts on its text, by claim.
        command: the words of the command line that verifies the policy.
    """
    if not kept:
        return unknown(command, "This text is not verified yet. Press M to attack it for some seconds.")
    claims = ["", *sorted(scheme.capabilities)]
    verdicts = {claim: kept[claim].verdict if claim in kept else "undecided" for claim in claims}
    refuted = [claim for claim, verdict in verdicts.items() if verdict == "refuted"]
    held = sum(verdict == "held" for verdict in verdicts.values())
    tone: Tone = "bad" if refuted else "good" if held == len(claims) else "doubtful"
    doubt = "undecided" if "undecided" in verdicts.values() else "partly held"
    word = {"bad": "refuted", "good": "held", "doubtful": doubt}[tone]
    safe = "safe" in scheme.capabilities
    if tone == "good" and not safe:  # a policy that claims little is not as right as one that claims to be safe
        tone, word = "doubtful", "keeps its claims"
    if refuted:
        sentence = f"{scheme.name}: {kept[refuted[0]].text}."
    else:
        lacks = "" if safe else " It does not claim to be safe."
        sentence = f"{held} of the {len(claims)} claims of {scheme.name} held under the attacks so far.{lacks}"
        newest = max(kept.values(), key=lambda verdict: verdict.date)
        sentence += f" Newest verdict: {newest.source}."
    caption = "claims held" if safe else "does not claim safe"
    rows = [
        (claim or OWED, verdicts[claim], kept[claim].attack, kept[claim].source, kept[claim].message)
        if claim in kept
        else (claim or OWED, "undecided", "", "", "")
        for claim in claims
    ]
    marks = tuple((claim or "owed", {"held": 1.0, "refuted": -1.0}.get(verdicts[claim], 0.0)) for claim in claims)
    figure = f"{held} of {len(claims)}" + " claims" * (not safe)
    return Answer(
        word, tone, figure, caption, sentence, Curve(marks, "claim", "verdict", marks=True),
        ("claim", "verdict", "by", "found", "what happens"), tuple(rows), command,
        old="judged by another verifier" if any(verdict.stale for verdict in kept.values()) else "",
        values={UNSAFE: float("safe" in refuted)},
    )  # fmt: skip


# -- precise ---------------------------------------------------------------------------------------------
def precise(result: PrecisionResult, policy: str) -> Answer:
    """How often a policy calls an exclusive folio shared, over all patterns."""
    points = [point for point in result.points if point.policy == policy]
    stopped = next((point.stopped for point in points if point.stopped), "")
    part, whole = _false(points)
    if not whole:
        return unknown(why=f"{policy} was not measured: {stopped or 'no folio was exclusive'}")
    unsafe = sum(point.unsafe.folio_ns for point in points)
    shared = sum(point.shared_time for point in points)
    share = part / whole
    word, tone = _precision(share, unsafe)
    numbers = sorted({point.mms for point in points})
    curve = []
    for mms in numbers:
        at_mms = [point for point in points if point.mms == mms]
        shares = [point.wrong("time") for point in at_mms] if unsafe else [_false(at_mms)]
        ratio = _ratio(sum(share[0] for share in shares), sum(share[1] for share in shares))
        curve.append((str(mms), 100 * ratio))
    worst = max(points, key=lambda point: _ratio(*point.false("time")))
    sentence = f"{policy} calls a folio that one MM maps “maybe shared” {share_text(part, whole)} of the time, "
    sentence += f"over {len({point.workload for point in points})} patterns with {numbers[0]} to {numbers[-1]} MMs"
    if part:
        sentence += f"; at worst {share_text(*worst.false('time'))} ({worst.workload}, {worst.mms} MMs)"
    if unsafe:
        sentence += f". It calls shared folios exclusive {share_text(unsafe, shared)} of the time: that is unsafe"
    rows = tuple(
        (point.workload, str(point.mms), share_text(*point.false("time")), share_text(*point.false("operations")),
         share_text(*point.wrong("time")), str(point.false_shared.episodes), point.stopped)
        for point in points
    )  # fmt: skip
    return Answer(
        word, tone, share_text(unsafe, shared) if unsafe else share_text(part, whole),
        "called exclusive" if unsafe else "false shared", sentence + ".",
        Curve(tuple(curve), "MMs at a time", f"{'unsafe' if unsafe else 'false shared'}, % of the time"),
        ("workload", "MMs", "false shared, time", "operations", "unsafe, time", "times", "stopped"), rows,
        _words(result.command), values={FALSE_SHARED: share, UNSAFE: _ratio(unsafe, shared)},
    )  # fmt: skip


def replayed(result: ReplayResult, policy: str) -> Answer:
    """How often a policy calls an exclusive folio shared, over a recorded trace."""
    one = next(one for one in result.policies if one.policy == policy)
    whole = sum(one.owner_ns)
    if not whole:
        return unknown(why=f"{policy} was not replayed: {one.stopped or 'no large folio was mapped'}")
    falsely, unsafe = one.false_shared, one.unsafe
    word, tone = _precision(falsely.folio_ns / whole, unsafe.folio_ns)
    sentence = (
        f"On the trace {result.recording.path}, {share_text(falsely.folio_ns, whole)} of large folios x time are "
        f"mapped by one MM and called “maybe shared” by {policy}"
    )
    if unsafe.episodes:
        sentence += f". It calls shared folios exclusive {unsafe.episodes:,} times: that is unsafe"
    curve = tuple((f"{sample.time / 1e9:.3g}", float(sample.false_folios)) for sample in moments(one.samples))
    rows = tuple(
        (f"{sample.time / 1e9:.3f}", str(sample.mms), str(sum(sample.folios)), str(sample.false_folios),
         str(sample.unsafe_folios))
        for sample in one.samples
    )  # fmt: skip
    figure = share_text(unsafe.folio_ns, whole) if unsafe.episodes else share_text(falsely.folio_ns, whole)
    return Answer(
        word, tone, figure, "called exclusive" if unsafe.episodes else "false shared", sentence + ".",
        Curve(curve, "s since the start", "folios false shared"),
        ("at, s", "MMs", "large folios", "false shared", "unsafe"), rows, _words(result.command),
        values={FALSE_SHARED: falsely.folio_ns / whole, UNSAFE: unsafe.folio_ns / whole},
    )  # fmt: skip


def _false(points: Sequence[Point]) -> tuple[int, int]:
    parts = [point.false("time") for point in points]
    return sum(part for part, _ in parts), sum(whole for _, whole in parts)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _precision(share: float, unsafe: int) -> tuple[str, Tone]:
    if unsafe:
        return "unsafe", "bad"
    if not share:
        return "exact", "good"
    return ("nearly exact", "good") if share < RARELY else ("imprecise", "doubtful")


# -- cost ------------------------------------------------------------------------------------------------
def cost(result: Result, policy: str, baseline: str = "") -> Answer:
    """The times of a policy as ratios to a baseline: a figure for each workload, never one of several together.

    Args:
        result: the times of both.
        policy: the policy.
        baseline: the policy that it is compared with; by default the one that the result names.
    """
    from foliolab.framework.results.comparison import compare
    from foliolab.framework.results.together import together

    baseline = baseline or result.config.baseline
    rows = [row for row in compare(_of_two(result, policy, baseline)) if row.policy == policy]
    if policy == baseline and any(row.ns_per_page is not None for row in rows):
        return base(baseline, _words(result.command))
    measured = [row for row in rows if row.ratio is not None]
    workloads = list(dict.fromkeys(row.workload for row in measured))
    means = {name: together([row for row in measured if row.workload == name]) for name in workloads}
    wholes = {name: mean for name, mean in means.items() if mean is not None}
    if not wholes:
        return unknown(why=next((row.reason for row in rows if row.reason), f"{policy} was not measured"))
    word, tone = _cost_word({whole.word for whole in wholes.values()})
    table = tuple(
        (row.workload, size_text(row.size_kib), time_text(row.ns_per_page or 0), f"{change_text(row.ratio)} %",
         f"{change_text(row.ratio_low or 0)} … {change_text(row.ratio_high or 0)} %", row.verdict)
        if row.ratio is not None
        else (row.workload, size_text(row.size_kib), "", "", "", row.reason)
        for row in rows
    )  # fmt: skip
    figures = [f"{name} {change_text(whole.ratio)} %" for name, whole in wholes.items()]
    values: dict[Figure, float] = {name: whole.ratio for name, whole in wholes.items()}
    values |= {(row.workload, row.size_kib): row.ratio for row in measured if row.ratio is not None}
    said = "; ".join(
        f"{name} by {change_text(whole.ratio)} % ({change_text(whole.low)} to {change_text(whole.high)} %)"
        for name, whole in wholes.items()
    )
    return Answer(
        word, tone, figures[0], " · ".join(figures[1:3]) + ", …" * (len(figures) > 3),
        f"The times of {policy} differ from those of {baseline}: {said}. Each is the geometric mean over all sizes.",
        _cost_curve(measured, workloads[:2], baseline),
        ("workload", "size", "ns per page", "change", "95 % interval", "verdict"), table, _words(result.command),
        values=values,
    )  # fmt: skip


def _of_two(result: Result, policy: str, baseline: str) -> Result:
    """The part of a result that compares one policy with a baseline."""
    import msgspec

    pair = list(dict.fromkeys([baseline, policy]))
    cells = [cell for cell in result.cells if cell.policy in pair]
    config = msgspec.structs.replace(result.config, policies=pair, baseline=baseline)
    return msgspec.structs.replace(result, config=config, cells=cells)


def _cost_word(words: set[str]) -> tuple[str, Tone]:
    """The verdicts of several workloads in one word."""
    differ = words & {"faster", "slower", "mixed"}
    word = "mixed" if len(differ) > 1 else next(iter(differ or words)) if differ or len(words) == 1 else "undecided"
    tones: dict[str, Tone] = {"faster": "good", "slower": "doubtful", "same": "good", "mixed": "doubtful"}
    return word, tones.get(word, "quiet")


def _cost_curve(rows: Sequence[Row], workloads: Sequence[str], baseline: str) -> Curve:
    """The ratios by folio size: a line for each of two workloads; of one workload with the interval."""
    by_case = {(row.workload, row.size_kib): row for row in rows}
    sizes = sorted({row.size_kib for row in rows if all((name, row.size_kib) in by_case for name in workloads)})
    first, *rest = [[by_case[name, size] for size in sizes] for name in workloads]
    title = f"time / {baseline}’s" if len(workloads) > 1 else f"time of {workloads[0]} / {baseline}’s"
    points = tuple((size_text(row.size_kib), row.ratio or 0.0) for row in first)
    if rest:
        second = tuple(row.ratio or 0.0 for row in rest[0])
        return Curve(points, "folio size", title, level=1.0, second=second, names=tuple(workloads))
    low, high = (tuple((row.ratio_low if lower else row.ratio_high) or 0.0 for row in first) for lower in (True, False))
    return Curve(points, "folio size", title, low, high, 1.0)


def base(policy: str, command: tuple[str, ...] = ()) -> Answer:
    """The answer of the baseline itself."""
    return Answer("baseline", "quiet", "", "the others’ 1.0", f"The other policies are compared with {policy}.",
                  command=command)  # fmt: skip


# -- memory ----------------------------------------------------------------------------------------------
def memory(scheme: Scheme, command: tuple[str, ...]) -> Answer:
    """The memory that a policy needs by the fields that it declares."""
    from foliolab.framework.anatomy.layout import ORDERS
    from foliolab.framework.anatomy.layout import cost as stored
    from foliolab.framework.machine.layout import CTYPES

    costs = [stored(scheme, order) for order in ORDERS if 0 < order <= scheme.policy.max_order]
    typical = next((cost for cost in costs if cost.order == TYPICAL), costs[-1])
    per_mm = sum(CTYPES[field.ctype].bits * field.count for field in scheme.stored("mm"))
    grows = any(cost.extra for cost in costs)
    beside = f"; {_bits(per_mm)} per MM" if per_mm else ""
    larger = (
        f" Struct pages grow by {typical.extra >> typical.order} bytes each."
        if grows
        else " The fields fit into today's struct pages."
    )
    rows = tuple(
        (size_text(4 << cost.order), str(cost.bits), f"{cost.bits_per_page:.4g}", str(cost.extra)) for cost in costs
    )
    return Answer(
        "grows" if grows else "fits", "doubtful" if grows else "good", _bits(typical.bits),
        f"per {size_text(4 << typical.order)}{beside}",
        f"{scheme.name} stores {typical.bits:,} bits in a folio of {size_text(4 << typical.order)}"
        f"{f' and {per_mm} bits in each MM' if per_mm else ''}.{larger}",
        Curve(tuple((size_text(4 << cost.order), float(cost.bits)) for cost in costs), "folio size", "bits per folio"),
        ("folio", "bits", "bits per page", "bytes more"), rows, command,
    )  # fmt: skip


def _bits(bits: int) -> str:
    return f"{bits} bits" if bits < 8192 else f"{bits / 8192:.3g} KiB"


# -- what /proc shows ------------------------------------------------------------------------------------
def proc(result: ConsequencesResult, policy: str) -> Answer:
    """How far the figures of /proc are from the page tables, over all sources."""
    from foliolab.framework.consequences.result import totals

    outcome = next((outcome for outcome in totals(result.sources) if outcome.policy == policy), None)
    if outcome is None or not outcome.moments:
        why = outcome.stopped if outcome else ""
        return unknown(why=f"{policy} was not measured{f': {why}' if why else ''}")
    figures = [figure for figure in outcome.figures if figure.values]
    wrong = [figure for figure in figures if figure.high or figure.low]
    worst = max(figures, key=lambda figure: figure.mean_relative, default=None)
    rows = tuple(
        (figure.name, f"{figure.high + figure.low:,} of {figure.values:,}", f"{100 * figure.mean_relative:.3g} %",
         f"{figure.largest:.4g}", f"{figure.given:.4g}" if figure.at else "",
         f"{figure.right:.4g}" if figure.at else "", figure.at)
        for figure in figures
    )  # fmt: skip
    sentence = f"All {len(figures)} figures agree with the page tables at each of {outcome.moments:,} moments."
    figure, caption = "0 %", f"{len(figures)} figures"
    if wrong and worst is not None:
        figure, caption = f"{100 * worst.mean_relative:.3g} %", f"error of {worst.name}"
        sentence = (
            f"{', '.join(figure.name for figure in wrong)} of {policy} differ from the page tables; {worst.name} by "
            f"{figure} on average."
        )
    curve = tuple((figure.name, 100 * figure.mean_relative) for figure in figures)
    return Answer(
        "approximate" if wrong else "true", "doubtful" if wrong else "good", figure, caption,
        sentence + _held_back(outcome), Curve(curve, "figure", "mean error, %"),
        ("figure", "wrong", "mean error", "largest", "shown", "true", "where"), rows, _words(result.command),
    )  # fmt: skip


def _held_back(outcome: PolicyOutcome) -> str:
    """A sentence about the decisions that rest on the policy's answers."""
    back = sum(decision.held_back for decision in outcome.decisions)
    risked = sum(decision.risked for decision in outcome.decisions)
    asked = sum(decision.asked for decision in outcome.decisions)
    parts = []
    if back:
        parts.append(f"{share_text(back, asked)} of the possible operations were skipped")
    if risked:
        parts.append(f"{risked:,} operations acted on a shared folio")
    return f" The kernel code that asks the policy: {'; '.join(parts)}." if parts else ""


def _words(command: str) -> tuple[str, ...]:
    import shlex

    return tuple(shlex.split(command))
