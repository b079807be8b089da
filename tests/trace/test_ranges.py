"""Ranges of pages compared with a set of pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.trace.importers.ranges import FileRanges

STEP = st.tuples(st.sampled_from(["add", "remove", "move"]), st.integers(0, 40), st.integers(0, 20), st.integers(0, 40))


@given(st.lists(STEP, max_size=30))
def test_ranges_are_what_a_set_of_pages_is(steps: list[tuple[str, int, int, int]]) -> None:
    ranges, pages = FileRanges(), set[int]()
    for what, start, nr, to in steps:
        span = set(range(start, start + nr))
        if what == "add":
            ranges.add(start, start + nr)
            pages |= span
        elif what == "remove":
            ranges.remove(start, start + nr)
            pages -= span
        else:
            ranges.move(start, nr, to)
            moved = {page - start + to for page in pages & span}
            pages = (pages - span - set(range(to, to + nr))) | moved
        assert {page for page in range(80) if page in ranges} == pages
        assert ranges.starts == sorted(ranges.starts)
        assert all(a < b for a, b in zip(ranges.starts, ranges.ends, strict=True))
    copied = ranges.copy()
    copied.add(0, 80)
    assert {page for page in range(80) if page in ranges} == pages
