"""The answer of replays in at most five sentences, each made from their results, for a reviewer to quote.

The sentences say how often large folios were written to, what a policy costs beyond `result.YARDSTICK`, how long it
was wrong, whether this program could have shown that at all, and how far to believe it. What a trace cannot show is
said to be unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from foliolab.framework.replay.result import OLDER, YARDSTICK, Replayed, ReplayResult, Spared
from foliolab.framework.report.words import duration_text, share_text

SEES_FAULTS: Final = frozenset({"perf", "bpftrace"})
"""Sources of traces that show every write fault and every new folio, where a header does not say it."""
ABSENT: Final = {
    "threads": "threads and forks are not told apart",
    "teardown": "when exiting processes were gone is not shown",
    "ranges": "what was unmapped is not shown",
    "times": "only the order of events is known",
}
"""What makes an answer doubtful where the source does not show events of a kind."""
MOST_OWNERS: Final = 64
"""Numbers of MMs from here on share one element of `Replayed.owner_ns`."""


def answer(results: Sequence[ReplayResult]) -> list[str]:
    """The sentences, none if no policy replayed anything.

    Args:
        results: of one trace, or of several runs of the same program; figures that differ become ranges.
    """
    if not results or not all(any(one.events for one in result.policies) for result in results):
        return []
    subjects = [subject(result) for result in results]
    found = [_writes(results)]
    judged = [one for one in subjects if one is not None]
    if len(judged) < len(results) or len({one.policy.partition(":")[0] for one in judged}) > 1:
        judged = []  # there is not one policy that the sentences could be about
    else:
        if any(_observer(result).count(of) for result in results for of in ("large", *OLDER)):
            found.append(_cost(results, judged))
        if any(sum(_observer(result).owner_ns) for result in results):
            found.append(_wrong(results, judged))
    found.append(_sharing(results, judged))
    found.append(_sureness(results))
    return found


def subject(result: ReplayResult) -> Replayed | None:
    """The policy that the answer is about: one that has room for some MMs only, if possible the recorded kernel's.

    Without such a policy it is the recorded kernel's, else the first one. `YARDSTICK` itself is never the subject; None
    if nothing else replayed events.
    """
    others = [one for one in result.policies if one.events and one.policy.partition(":")[0] != YARDSTICK]
    limited = [one for one in others if one.exact_up_to and not one.exact]
    ranked = [*(one for one in limited if one.recorded), *limited, *(one for one in others if one.recorded), *others]
    return next(iter(ranked), None)


def _observer(result: ReplayResult) -> Replayed:
    """A replay whose account of the folios' owners is used: the yardstick's, else the first one with events."""
    return result.yardstick or next(one for one in result.policies if one.events)


def _sees(result: ReplayResult, what: str = "faults") -> bool:
    """Whether the source of a trace shows events of a kind; what its header does not say depends on the source."""
    said: bool | None = getattr(result.recording.header.shows, what)
    known = what not in ("faults", "allocations") or result.recording.header.source in SEES_FAULTS
    return known if said is None else said


def _these(results: Sequence[ReplayResult]) -> str:
    return "this run" if len(results) == 1 else "these runs"


def _older(one: Replayed, kernel: str = "", policy: str = "") -> int:
    """Write faults on large folios older than the trace, by outcome."""
    return sum(one.count(of, kernel, policy) for of in OLDER)


def _has_older(results: Sequence[ReplayResult]) -> bool:
    """Whether a trace begins with folios that were mapped before."""
    return any("present" in result.recording.kinds for result in results)


def _timed(results: Sequence[ReplayResult]) -> bool:
    return all(_sees(result, "times") for result in results)


def _writes_known(results: Sequence[ReplayResult]) -> bool:
    """Whether the traces show write faults: their source does, or they have some."""
    return all(_sees(result) or "write" in result.recording.kinds for result in results)


def _writes_on(seen: Sequence[Replayed]) -> bool:
    """Whether any write fault fell on a large folio of known history."""
    return any(one.count("large") for one in seen)


def _errs(one: Replayed) -> bool:
    """Whether a policy ever called a folio maybe shared that one MM mapped."""
    return bool(one.false_shared.episodes or one.false_shared.ops)


# -- the sentences -----------------------------------------------------------------------------------
def _writes(results: Sequence[ReplayResult]) -> str:
    """What the kernel did with writes to large folios older than the trace, then with those of known history."""
    names = list(dict.fromkeys(result.recording.path for result in results))
    where = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    if not _writes_known(results):
        blind = next(result for result in results if not _sees(result))
        source = blind.recording.header.source or "its source"
        return (
            f"{where} has no write fault and {source} need not show any, so the trace cannot tell how often large "
            "folios were written to, nor what that cost."
        )
    seen = [_observer(result) for result in results]
    faults = [one.count("large") for one in seen]
    spans = [result.recording.span for result in results]
    span = f"in {_between(spans, duration_text)} " if _timed(results) and all(spans) else ""
    older = _older_writes(results)
    write = "write fault" if all(map(_sees, results)) else "known write"
    if not any(faults):
        others = sum(one.count() - _older(one) for one in seen)
        if others and not all(_sees(result, "allocations") for result in results):
            return (
                f"{where}: {span}{older}{_counted([others], write)} fell on pages of which the trace cannot tell "
                "whether they are those of large folios, nor what the kernel did."
            )
        rest = f"; {others:,} fell on other pages" if others else ""
        return f"{where}: {span}{older}no {write} fell on a large folio of known history{rest}."
    return (
        f"{where}: {span}{older}{_counted(faults, write)} fell on pages of large folios of known history; "
        f"the kernel {_did(seen, 'large')} of them."
    )


def _did(seen: Sequence[Replayed], *classes: str) -> str:
    """What the kernel did with write faults of some classes, in words."""
    did = {
        outcome: [sum(one.count(of, outcome) for of in classes) for one in seen]
        for outcome in ("copied", "reused", "unknown")
    }
    parts = [f"{outcome} {_numbers(did[outcome])}" for outcome in ("copied", "reused") if any(did[outcome])]
    if any(did["unknown"]):
        parts.append(f"did what the trace does not show with {_numbers(did['unknown'])}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _older_writes(results: Sequence[ReplayResult]) -> str:
    """What the kernel did with writes to large folios older than the trace, with a semicolon; empty without any."""
    seen = [_observer(result) for result in results]
    older = [_older(one) for one in seen]
    if not any(older):
        return ""
    copied = [_older(one, "copied") for one in seen]
    bests = [result.yardstick for result in results]
    alone = [_older(best, "copied", "reused") for best in bests if best is not None]
    pages = "pages of large folios older than the trace"
    if not (any(alone) and len(alone) == len(bests)):
        return f"of {_numbers(older)} writes to {pages} the kernel {_did(seen, *OLDER)}; "
    text = f"the kernel copied {_numbers(alone)} {pages} that one MM alone maps"
    shared = [every - of_one for every, of_one in zip(copied, alone, strict=True)]
    if any(shared):
        text += f" and {_numbers(shared)} others of such folios"
    if any(reused := [_older(one, "reused") for one in seen]):
        text += f", and reused {_numbers(reused)}"
    return f"{text}; "


def _cost(results: Sequence[ReplayResult], judged: Sequence[Replayed]) -> str:
    """Copies and time beyond the yardstick."""
    name = _named(judged)
    pairs = [(result, one, result.yardstick) for result, one in zip(results, judged, strict=True)]
    beyond = [Spared.by(one, best, result.costs) for result, one, best in pairs if best is not None and one.whole]
    if len(beyond) < len(results):
        return f"What {name} costs beyond {YARDSTICK} is not known, since not both replayed the whole trace."
    older = _older_cost(results, judged)
    if not _writes_on([_observer(result) for result in results]):
        return f"{name} makes {older}."
    more = f"; {older}" if older else ""
    copies = [one.large + one.small for one in beyond]
    if not any(copies):
        return f"{name} made no more copies than {YARDSTICK}, which knows every owner{more}."
    if min(copies) < 0 < max(copies):
        return (
            f"{name} made between {-min(copies):,.0f} fewer and {max(copies):,.0f} more copies than {YARDSTICK}{more}."
        )
    word = "more" if max(copies) > 0 else "fewer"
    made = _counted((abs(count) for count in copies), f"{word} copy", f"{word} copies")
    copied = _between((abs(one.bytes_copied) for one in beyond), _mib)
    text = f"{name} made {made} of pages than {YARDSTICK}, which knows every owner: {copied}"
    times = [one.ns for one in beyond if one.ns is not None]
    costs = results[0].costs
    if costs is None or len(times) < len(beyond):
        return f"{text}; what a copy costs was not measured{more}."
    each = costs.copy_ns - costs.reuse_ns
    return f"{text}, {_between(map(abs, times), _duration)} at {each:.0f} ns each ({costs.source}){more}."


def _older_cost(results: Sequence[ReplayResult], judged: Sequence[Replayed]) -> str:
    """The least and the most copies of pages of folios older than the trace; empty if nothing was written there."""
    if not any(_older(_observer(result)) for result in results):
        return ""
    pairs = [(result, one, best) for result, one in zip(results, judged, strict=True) if (best := result.yardstick)]
    exact = [_older(best, policy="copied") for _, _, best in pairs]
    bounds = [result.copies_of_older(one) for result, one, _ in pairs]
    low = [least - of for (least, _), of in zip(bounds, exact, strict=True)]
    high = [most - of for (_, most), of in zip(bounds, exact, strict=True)]
    kernel = [
        _older(one, "copied") - of
        for one, of in zip((_observer(result) for result in results), exact, strict=True)
        if _older(one, "unknown") == 0
    ]
    did = f"; the kernel made {_numbers(kernel)} more" if len(kernel) == len(results) else ""
    pages = f"of pages of folios older than the trace than {YARDSTICK}"
    if low == high:
        return f"{_counted(low, 'more copy', 'more copies')} {pages}, whichever MMs it remembers of them{did}"
    return (
        f"at least {_numbers(low)} and at most {_numbers(high)} more copies {pages}, depending on which MMs it "
        f"remembers of them{did}"
    )


def _wrong(results: Sequence[ReplayResult], judged: Sequence[Replayed]) -> str:
    """The longest false shared, and how much of the time there was any."""
    name = judged[0].policy
    sides = [side for result, one in zip(results, judged, strict=True) for side in result.sides(one)]
    falsely = [one.false_shared for one in sides]
    errs = any(map(_errs, sides))
    if errs and not _timed(results):
        text = (
            f"{name} called a folio maybe shared that one MM alone mapped after {_numbers(one.ops for one in falsely)} "
            "operations on large folios, for an unknown time"
        )
    elif errs:
        longest = _between((one.longest for one in falsely), _duration)
        share = _between((one.false_share for one in sides), lambda part: share_text(part, 1))
        text = (
            f"The longest time for which {name} called a folio maybe shared that one MM alone mapped is {longest}; "
            f"such folios were {share} of large folios x time"
        )
    else:
        text = f"{name} never called a large folio maybe shared that one MM alone mapped"
    unsafe = [one.unsafe.episodes for one in sides]
    if any(unsafe):
        text += f"; {_counted(unsafe, 'time')} it called one exclusive that several MMs mapped, which is unsafe"
    if _has_older(results):
        which = "which" if len({(_errs(one), one.false_shared.longest) for one in sides}) > 1 else "whichever"
        text += (
            f", {'depending on ' if which == 'which' else ''}{which} MMs it remembers of folios older than the trace"
        )
    return f"{text}."


def _sharing(results: Sequence[ReplayResult], judged: Sequence[Replayed]) -> str:
    """How many MMs shared a large folio, and whether the run could show at all what a policy's limited room costs."""
    seen = [_observer(result) for result in results]
    most = max(max(one.most_owners, len(one.owner_ns)) for one in [*seen, *judged])
    if not most:
        if all(_sees(result, what) for result in results for what in ("faults", "allocations", "history")):
            return "The program got no large folio, so it could not show what sharing them costs."
        return "The trace has no large folio, and cannot tell whether the program had any."
    before = "; folios older than the trace may have been shared before" if _has_older(results) else ""
    if most == 1:
        alone = "No large folio was mapped by more than one MM at a time"
        return f"{alone}, so {_these(results)} could not show what sharing costs{before}."
    room = judged[0].exact_up_to if judged else 0
    many = f"Up to {most}" if most < MOST_OWNERS else f"{MOST_OWNERS} or more"
    if not room:
        return f"{many} MMs mapped the same large folio at a time."
    limit = f"what {judged[0].policy}'s room for {room} MMs costs"
    if most <= room:
        few = f"At most {most} MMs mapped the same large folio at a time"
        return f"{few}, so {_these(results)} could not show {limit}{before}."
    share = _between((_beyond(one, room) for one in seen), lambda part: share_text(part, 1)) if _timed(results) else ""
    often = f", more than {room} of them for {share} of large folios x time" if share not in ("", "0 %") else ""
    text = f"{many} MMs mapped the same large folio at a time{often}"
    return f"{text}, so {_these(results)} could show {limit}, {_found(results, judged)}."


def _found(results: Sequence[ReplayResult], judged: Sequence[Replayed]) -> str:
    """What runs show of a policy's error that could show it."""
    shows = "and shows" if len(results) == 1 else "and show"
    sides = [result.sides(one) for result, one in zip(results, judged, strict=True)]
    seen = [_observer(result) for result in results]
    written = any(one.count(of) for one in seen for of in ("large", *OLDER))
    idle = ", but no write fell on such a folio" if _writes_known(results) and not written else ""
    if any(all(map(_errs, one)) for one in sides):
        return f"{shows} that it errs{idle}"
    if any(map(_errs, [side for one in sides for side in one])):
        return f"but whether it errs depends on which MMs it remembers of folios older than the trace{idle}"
    return f"{shows} no error{idle}"


def _sureness(results: Sequence[ReplayResult]) -> str:
    """How much of the kernel's own decisions agree, of how many runs this is, and what is doubtful."""
    return f"{_agreement(results)}; {', '.join(_doubts(results))}."


def _agreement(results: Sequence[ReplayResult]) -> str:
    models = [next((one for one in result.policies if one.recorded and one.events), None) for result in results]
    known = [one for one in models if one is not None]
    if not all(result.recording.header.kernel for result in results):
        return "The trace does not name the recorded kernel, so its decisions check no policy"
    if len(known) < len(results):
        return "No policy here models the recorded kernel, so its decisions check none"
    certain, unsure = (_summed(known, sure) for sure in (True, False))
    if not certain[1] and not unsure[1]:
        return "The trace shows no decision of the kernel about a large folio that could be compared"
    kernels = list(dict.fromkeys(result.recording.header.kernel for result in results))
    words = ("certain", certain), ("uncertain", unsure)
    parts = [f"{same:,} of {of:,} {word}" for word, (same, of) in words if of]
    linux = f"Linux {kernels[0]}" if len(kernels) == 1 and kernels[0] else "the kernel"
    read = sum(one.count("read", outcome) for one in known for outcome in ("reused", "copied"))
    among = f", among them {read:,} to folios older than the trace whose slots were read" if read else ""
    return f"{known[0].policy} decides {' and '.join(parts)} writes to large folios as {linux} did{among}"


def _summed(models: Sequence[Replayed], certain: bool) -> tuple[int, int]:
    same, known = zip(*(one.agreement(certain) for one in models), strict=True)
    return sum(same), sum(known)


def _doubts(results: Sequence[ReplayResult]) -> list[str]:
    """Of how many runs this is, then what makes it less sure."""
    runs = len({(result.recording.header.started, result.recording.path) for result in results})
    found = ["this is one run, an example and no statistic" if runs == 1 else f"these are {runs} runs"]
    seen = [_observer(result) for result in results]
    changed, older = sum(one.count("disturbed") for one in seen), sum(map(_older, seen))
    lost = sum(result.recording.header.lost for result in results)
    counts = (
        (lost, f"event{'s were' if lost != 1 else ' was'} lost"),
        (changed, f"write{'s' * (changed != 1)} fell on folios that the kernel itself had changed"),
        (older, f"write{'s' * (older != 1)} fell on large folios older than the trace"),
    )
    found += [f"{count:,} {what}" for count, what in counts if count]
    found += [text for kind, text in ABSENT.items() if not all(_sees(result, kind) for result in results)]
    if not all(_sees(result, "history") for result in results) and not older:
        found.append("some processes are older than the trace")
    if blind := [result for result in results if not _sees(result)]:
        found.append(f"{blind[0].recording.header.source or 'its source'} need not show every fault")
    if any(result.recording.damaged for result in results):
        found.append("the trace is damaged")
    if not all(result.complete for result in results):
        found.append("the replay was interrupted")
    return found if len(found) > 1 else [*found, "no event was lost"]


# -- words ---------------------------------------------------------------------------------------------
def _between(values: Iterable[float], form: Callable[[float], str]) -> str:
    """The least and the most of values; one text if the two read the same."""
    held = list(values)
    low, high = form(min(held)), form(max(held))
    return low if low == high else f"{low} to {high}"


def _numbers(values: Iterable[float]) -> str:
    return _between(values, lambda value: f"{value:,.0f}")


def _counted(values: Iterable[float], one: str, several: str = "") -> str:
    """How many of something, with the word for it; `several` is `one` with an s where it is not given."""
    held = list(values)
    return f"{_numbers(held)} {one if max(held) == 1 else several or f'{one}s'}"


def _duration(ns: float) -> str:
    return duration_text(ns) if ns else "0 ns"


def _mib(nbytes: float) -> str:
    mib = nbytes / (1 << 20)
    return f"{mib:,.1f} MiB" if mib >= 0.1 else f"{nbytes / 1024:,.0f} KiB"


def _named(judged: Sequence[Replayed]) -> str:
    """A policy, with the number of MMs that it has room for."""
    one = judged[0]
    return f"{one.policy} (exact for up to {one.exact_up_to} MMs a folio)" if one.exact_up_to else one.policy


def _beyond(one: Replayed, room: int) -> float:
    """The share of large folios × time that more than so many MMs mapped."""
    total = sum(one.owner_ns)
    return sum(one.owner_ns[room:]) / total if total else 0.0
