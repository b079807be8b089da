"""The interleaving table: columns, folding, names of bits, and what it says on narrow and on wide terminals."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent / "gui" / "inspector"))
from timelines import MM_ID, RACE, WHOLE

from foliolab.framework.contract.stored import Stored
from foliolab.framework.machine.layout import Bits
from foliolab.framework.report import interleaving
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.field_names import bits_of, change_text, field_of, value_text
from foliolab.framework.verify.timeline import MOST_ELEMENTS, Timeline
from foliolab.policies import exact, mm_id, page_mapcount


def table(timeline: Timeline, width: int = 160, encoding: str = "utf-8", **options: bool) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, highlight=False, emoji=False)
    interleaving.render(timeline, TerminalPage(console), **options)
    file.flush()
    file.seek(0)
    return file.read()


@pytest.mark.parametrize("width", [100, 200])
def test_threads_are_columns_and_the_truth_stands_beside_them(width: int) -> None:
    shown = table(Timeline(RACE, MM_ID), width)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= width
    head = next(line for line in lines if "thread 0" in line)
    second = head.index("thread 1")
    forked = next(line for line in lines if "▸ fork parent=1 child=2" in line)
    assert forked.index("▸") == second
    cleared = next(line for line in lines if "xchg mm0.pte[0]: frame 0 → none" in line)
    assert cleared.index("xchg") == head.index("thread 0") < second
    assert cleared.split()[-3:] == ["3", "4", "4"] or "pagetable.py" in cleared
    assert ("mm_id.py:" in shown) == (width >= interleaving.WIDE)
    assert any(line.split()[-5:-3] == ["=", "maybe"] or "= maybe shared" in line for line in lines)


def test_only_a_dump_of_all_has_every_access() -> None:
    timeline = Timeline(RACE, MM_ID)
    folded, whole = table(timeline, 300), table(timeline, 300, unfolded=True)
    everything = table(timeline, 300, all_accesses=True, unfolded=True)
    assert "… 27 accesses of thread 1: page[0–3]._mapcount: 1 → 2; _large_mapcount: 7 → 11" in " ".join(folded.split())
    assert "accesses of thread" not in whole
    assert len(folded.splitlines()) < len(whole.splitlines()) < len(everything.splitlines())
    assert "_mm_ids: lock 0 → 1" in whole, "bits by their names"
    assert "rss_anon" in everything and "rss_anon" not in whole
    steps = [int(line.split()[0]) for line in everything.splitlines() if line.split() and line.split()[0].isdecimal()]
    assert steps == sorted(steps)
    assert steps[-1] == len(timeline.frames) - 1


def test_a_sequence_is_one_operation_a_line() -> None:
    shown = table(Timeline(WHOLE, MM_ID))
    assert "folio0._mm_ids: id1 0 → 2, shared 0 → 1" in shown
    assert "= folio 0: maybe shared" in shown and "= folio 0: exclusive" in shown
    assert "atomic" not in shown, "accesses are not shown unless asked for"
    assert "atomic" in table(Timeline(WHOLE, MM_ID), all_accesses=True)
    assert "The law `safe`, for which this was kept, is not broken." in shown


def test_the_broken_law_stands_at_the_end_in_words() -> None:
    wrong = replace(mm_id.POLICY, name="wrong", hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=never))
    shown = table(Timeline(WHOLE, wrong.with_parameters()))
    assert shown.rstrip().endswith("folio 0: called exclusive, 2 MMs map it")
    assert "✗ the law `safe` is broken: never called exclusive while several MMs map it" in shown


def never(folio: Any) -> bool:
    """The worst answer."""
    return False


def test_what_cannot_be_encoded_is_ascii() -> None:
    shown = table(Timeline(RACE, MM_ID), encoding="ascii")
    assert shown.isascii()
    assert "->" in shown


# -- the timeline ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("example", [RACE, WHOLE])
def test_every_step_is_the_same_from_both_sides(example: Counterexample) -> None:
    timeline = Timeline(example, MM_ID)
    last = len(timeline.frames) - 1
    forward = [timeline.at(step).snapshot().tobytes() for step in range(last + 1)]
    backward = [timeline.at(step).snapshot().tobytes() for step in range(last, -1, -1)]
    assert forward == backward[::-1]
    assert timeline.at(-1).snapshot().tobytes() == example.machine(MM_ID).snapshot().tobytes()


def test_the_truth_is_that_of_the_step() -> None:
    timeline = Timeline(WHOLE, MM_ID)
    wholes = [step for step, frame in enumerate(timeline.frames) if not frame.op]
    assert [timeline.mappings(step) for step in wholes] == [{}, {0: (4, 0, 0)}, {0: (4, 4, 0)}, {0: (0, 4, 0)}, {}]


def test_changes_of_a_stretch_are_those_of_its_ends() -> None:
    timeline = Timeline(RACE, MM_ID)
    changes = {change.name: (change.old, change.new) for change in timeline.changes(0, len(timeline.frames) - 1)}
    assert changes["folio._large_mapcount"] == (-1, 10)
    assert "folio._entire_mapcount" not in changes
    assert timeline.changes(0, 0) == []


def test_a_long_array_shows_what_is_not_at_its_first_value() -> None:
    scheme = exact.POLICY.with_parameters({"mms": 2 * MOST_ELEMENTS})
    timeline = Timeline(WHOLE, scheme)
    arrays = {stored.name for stored in scheme.fields if stored.count > MOST_ELEMENTS}
    assert arrays
    wholes = [step for step, frame in enumerate(timeline.frames) if not frame.op]
    mine = [value for value in timeline.values(wholes[2]).values() if value.stored.name in arrays]
    assert 0 < len(mine) < MOST_ELEMENTS
    gone = [change for change in timeline.changes(wholes[3] - 5, wholes[4]) if change.stored.name in arrays]
    assert all(change.new == change.stored.init for change in gone)


# -- names and values ------------------------------------------------------------------------------------
def test_neighbouring_pages_are_told_together() -> None:
    timeline = Timeline(WHOLE, page_mapcount.POLICY.with_parameters())
    text = interleaving.changes_text(timeline.changes(1, len(timeline.frames) - 1)[:4])
    wholes = [step for step, frame in enumerate(timeline.frames) if not frame.op]
    text = interleaving.changes_text(timeline.changes(wholes[0] + 1, wholes[1]))
    assert "frame[0–3]._mapcount: -1 → 0" in text


def test_fields_are_found_by_their_names() -> None:
    (word,) = [stored for stored in MM_ID.fields if stored.name == "_mm_ids"]
    assert field_of(MM_ID, "folio._mm_ids") is field_of(MM_ID, "folio8._mm_ids") is word
    assert field_of(MM_ID, "folio._refcount") is None
    assert field_of(MM_ID, "mm1.pte[3]") is None
    assert field_of(MM_ID, "?") is None
    named = field_of(MM_ID, "page[2]._mapcount")
    assert named is not None and named.per == "page"


WORD = Stored("word", "u64", bits=(Bits("low", 0, 4), Bits("flag", 4), Bits("high", 32, 32)))


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_change_names_exactly_the_bits_that_change(old: int, new: int) -> None:
    text = change_text("folio.word", old, new, WORD)
    changed = [bits.name for bits in WORD.bits if bits_of(old, bits) != bits_of(new, bits)]
    if changed:
        assert [part.split()[0] for part in text.split(", ")] == changed
    assert all((bits.name in value_text("folio.word", new, WORD)) == bool(bits_of(new, bits)) for bits in WORD.bits)
