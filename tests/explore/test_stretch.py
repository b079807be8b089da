"""Steps are divided into stretches: long heavy steps apart from light ones, never beyond the end."""

from __future__ import annotations

from sources import mixed

from foliolab.framework.explore.stretch import LONG, MOST, Stretches
from foliolab.framework.trace import events as ev


def heavy_steps(stretches: Stretches) -> list[int]:
    source = stretches._source
    kinds = source.blocks.part(0, source.nr_steps).kind  # type: ignore[attr-defined]
    return [i for i, kind in enumerate(kinds.tolist()) if kind in (ev.FORK, ev.EXEC, ev.EXIT, ev.GONE)]


def calls(stretches: Stretches, end: int, light: float, heavy: float) -> list[tuple[int, int, bool]]:
    """Divide all steps, given the seconds of a light and of a heavy step."""
    found, position = [], 0
    wrong = set(heavy_steps(stretches))
    while position < end:
        stop, apart = stretches.end(position, end, 0.008)
        assert position < stop <= min(end, position + MOST)
        found.append((position, stop, apart))
        stretches.add(stop - position, sum(heavy if i in wrong else light for i in range(position, stop)), apart)
        position = stop
    return found


def test_long_heavy_steps_are_alone() -> None:
    stretches = Stretches(mixed(mms=4))
    heavy = set(heavy_steps(stretches))
    assert heavy
    end = stretches._source.nr_steps
    found = calls(stretches, end, 1e-6, 4 * LONG)
    assert [begin for begin, _, _ in found[1:]] == [stop for _, stop, _ in found[:-1]] and found[-1][1] == end
    for begin, stop, apart in found:
        inside = heavy & set(range(begin, stop))
        assert inside == (set(range(begin, stop)) if apart else set())


def test_short_heavy_steps_are_not() -> None:
    stretches = Stretches(mixed(mms=4))
    stretches.add(1, 1e-6, True)
    found = calls(stretches, stretches._source.nr_steps, 1e-6, 1e-6)
    assert len(found) < len(heavy_steps(stretches)), "they go with the others"


def test_what_became_long_is_noticed() -> None:
    stretches = Stretches(mixed(mms=4))
    stretches.add(1, 1e-6, True)
    for _ in range(100):
        stretches.end(0, 1, 0.008)
    assert any(apart for _, _, apart in calls(stretches, stretches._source.nr_steps, 1e-6, 2 * LONG))


def test_a_plan_fills_its_time_stretch_by_stretch() -> None:
    stretches = Stretches(mixed(mms=4))
    end = stretches._source.nr_steps
    calls(stretches, end, 1e-6, 4 * LONG)
    plan = stretches.plan(0, end, 0.016)
    stops = [stop for stop, _ in plan]
    assert stops == sorted(set(stops)) and stops[-1] <= end
    assert sum(heavy for _, heavy in plan) >= 2, "more than one long step goes into one call"
    takes = sum(
        stretches.expected(stop - begin, heavy) for begin, (stop, heavy) in zip([0, *stops], plan, strict=False)
    )
    assert takes <= 0.016 + 4 * LONG
    assert len(stretches.plan(0, end, 0.0)) == 1, "something in any case"
