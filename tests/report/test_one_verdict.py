"""One figure, one verdict: whatever shows a comparison shows the same verdict, and changes that its times explain."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework import host
from foliolab.framework.report.comparison import csvfile, html, markdown, terminal
from foliolab.framework.report.comparison.matrix import cells_of, matrix
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.report.words import change_text
from foliolab.framework.results.comparison import Row, Verdict, compare
from foliolab.framework.results.result import Cell, Config, Result
from foliolab.framework.results.together import together

OPPOSITE = {"faster": "slower", "slower": "faster"}


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Results of two policies at some sizes, with any noise, any number of rounds on each side, and flags."""
    sizes = draw(st.lists(st.sampled_from([16, 64, 256, 2048]), min_size=1, max_size=3, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    cells = []
    for size in sizes:
        shift, spread = draw(st.floats(-0.4, 0.4)), draw(st.sampled_from([0.001, 0.03, 0.3, 1.0]))
        rounds = draw(st.integers(4, 12))
        whole = rng.lognormal(0, spread, 12)  # what disturbs both sides of a round
        for policy, middle in (("base", 10.0), ("other", 10.0 * np.exp(shift))):
            noise = rng.lognormal(0, draw(st.sampled_from([0.001, 0.1])), 12)
            count = rounds - draw(st.integers(0, 1))
            samples = [float(value) for value in (middle * whole * noise)[:count]]
            flagged = list(range(draw(st.sampled_from([0, 0, count]))))
            cells.append(Cell(workload="w", size_kib=size, policy=policy, samples=samples, flagged=flagged))
    config = Config(
        policies=["base", "other"], policy_parameters={}, baseline="base", workloads=["w"], sizes=sizes, memory=1 << 20,
        repeats=8, seed=1, quick=True,
    )  # fmt: skip
    return Result(
        complete=True, command="foliolab compare", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:00:01Z",
        config=config, machine=host.describe_host(), versions={}, kernel="6.1", git="", cells=cells,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(results())
def test_every_format_says_the_same(result: Result) -> None:
    rows = compare(result)
    own = [row for row in rows if row.policy == "other"]
    base = {row.size_kib: row.ns_per_page for row in rows if row.policy == "base"}
    for row in own:
        assert row.ratio is not None and row.ratio_low is not None and row.ratio_high is not None
        assert row.ratio == pytest.approx((row.ns_per_page or 0) / (base[row.size_kib] or 1))
        assert row.ratio_low <= row.ratio <= row.ratio_high
        assert row.verdict != "faster" or row.ratio_high < 1
        assert row.verdict != "slower" or row.ratio_low > 1
    whole = matrix(result, rows)
    cell = whole.cells["other", "w"]
    agree(cell.word, cell.figure, own)
    heading, table, page = markdown.markdown(whole), csvfile.text(rows), html.html(whole)
    assert f"other: 1 {cell.word}." in heading and f"**other**: {cell.word} {cell.figure}" in heading
    assert f"{cell.sign} {cell.word} {cell.figure}" in heading and f"{cell.sign} {cell.word}</span>" in page
    lines = [line for line in csv.DictReader(io.StringIO(table)) if line["policy"] == "other"]
    assert [line["verdict"] for line in lines] == [row.verdict for row in own]
    terminal.render(result, rows, TerminalPage(file := io.StringIO()))
    for row, line in zip(own, lines, strict=True):
        change = change_text(row.ratio or 0)
        assert cells_of(row, own)[2:5:2] == [change, row.verdict]
        assert float(line["ratio"]) == pytest.approx(row.ratio, rel=5e-6)  # six digits
        assert re.search(rf"{re.escape(change)} %.* {row.verdict}", file.getvalue())


def agree(word: str, figure: str, rows: list[Row]) -> None:
    """The word of a cell contradicts neither its figure nor a row."""
    verdicts = {row.verdict for row in rows}
    if word in OPPOSITE:
        assert word in verdicts and OPPOSITE[word] not in verdicts
        assert figure.startswith("−" if word == "faster" else "+")
    if word == "same":
        assert verdicts.isdisjoint(OPPOSITE) and "same" in verdicts
    if len(rows) == 1:
        (row,) = rows
        assert word == row.verdict and figure == f"{change_text(row.ratio or 0)} %"


def row(verdict: Verdict, ratio: float, spread: float = 1.01) -> Row:
    low, high = ratio / spread, ratio * spread
    return Row(workload="w", size_kib=16, policy="p", ratio=ratio, ratio_low=low, ratio_high=high, verdict=verdict)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([row("too noisy", 0.2)], "too noisy"),
        ([row("too noisy", 0.2), row("too noisy", 0.3)], "too noisy"),
        ([row("faster", 0.5), row("faster", 0.8)], "faster"),
        ([row("faster", 0.8), row("too noisy", 0.9)], "faster"),
        ([row("faster", 0.9), row("slower", 1.3)], "mixed"),
        ([row("faster", 0.97), row("same", 1.0), row("same", 1.01)], "mixed"),
        ([row("faster", 0.9), row("too noisy", 1.5, 1.3)], "undecided"),
        ([row("same", 1.0), row("too noisy", 1.01)], "same"),
        ([row("too few", 0.5), row("too noisy", 0.5)], "undecided"),
    ],
)
def test_the_verdict_of_several_sizes(rows: list[Row], word: str) -> None:
    found = together(rows)
    assert found is not None and found.word == word
    assert found.low <= found.ratio <= found.high


def test_the_figure_of_several_sizes_is_the_geometric_mean() -> None:
    found = together([row("faster", 0.5), row("faster", 0.8)])
    assert found is not None and found.ratio == pytest.approx(0.4**0.5)
    assert found.high / found.ratio == pytest.approx(1.01 ** (1 / 2**0.5))
    assert together([Row(workload="w", size_kib=4, policy="p")]) is None


def test_one_size_keeps_its_own_interval() -> None:
    one = Row(workload="w", size_kib=4, policy="p", ratio=0.2, ratio_low=0.1, ratio_high=1.12, verdict="too noisy")
    found = together([one])
    assert found is not None
    assert (found.low, found.ratio, found.high) == pytest.approx((0.1, 0.2, 1.12))
