"""The statistics, against scipy and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from foliolab.framework.results import statistics

distinct = st.lists(st.integers(0, 10**6), min_size=2, max_size=40, unique=True)
pvalues = st.lists(st.floats(0, 1), max_size=30)


@given(distinct, st.data())
def test_the_exact_rank_test_is_scipys(values: list[int], data: st.DataObject) -> None:
    cut = data.draw(st.integers(max(1, len(values) - 20), min(20, len(values) - 1)))
    ours = statistics.mann_whitney_u(values[:cut], values[cut:])
    theirs = stats.mannwhitneyu(values[:cut], values[cut:], method="exact").pvalue
    assert ours == pytest.approx(theirs, rel=1e-9)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.lists(st.integers(0, 9), min_size=21, max_size=60),
)
def test_the_approximate_rank_test_is_scipys(a: list[int], b: list[int]) -> None:
    ours = statistics.mann_whitney_u(a, b)
    if len(set(a + b)) == 1:
        assert ours == 1  # scipy says that it does not know
        return
    theirs = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=True).pvalue
    assert ours == pytest.approx(theirs, rel=1e-9)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_the_rank_test_does_not_depend_on_the_sides(a: list[int], b: list[int]) -> None:
    p = statistics.mann_whitney_u(a, b)
    assert 0 < p <= 1
    assert p == pytest.approx(statistics.mann_whitney_u(b, a))


@pytest.mark.parametrize("n", [1, 2, 5, 8, 20])
def test_perfect_separation_gives_the_least_p(n: int) -> None:
    p = statistics.mann_whitney_u(range(n), range(100, 100 + n))
    assert p == pytest.approx(statistics.least_p(n, n))


@given(pvalues)
def test_holm_is_monotone_and_never_helps(raw: list[float]) -> None:
    adjusted = statistics.holm(raw)
    assert len(adjusted) == len(raw)
    assert all(p <= q <= 1 for p, q in zip(raw, adjusted, strict=True))
    ordered = [q for _, q in sorted(zip(raw, adjusted, strict=True))]
    assert ordered == sorted(ordered)


@given(st.permutations(list(range(8))))
def test_holm_keeps_the_order_it_was_given(order: list[int]) -> None:
    raw = [0.001, 0.004, 0.01, 0.02, 0.03, 0.2, 0.5, 0.9]
    expected = statistics.holm(raw)
    assert statistics.holm([raw[i] for i in order]) == [expected[i] for i in order]


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=30))
def test_the_median_is_numpys(values: list[float]) -> None:
    assert statistics.median(values) == np.median(values)


def test_the_interval_is_scipys() -> None:
    rng = np.random.default_rng(5)
    base = rng.lognormal(3, 0.2, 15)
    sample = base * rng.lognormal(-0.3, 0.05, 15)
    ratio, low, high = statistics.bootstrap_ratio(sample.tolist(), base.tolist(), 1, resamples=20000)
    theirs = stats.bootstrap(
        (sample, base), lambda a, b, axis: np.median(a, axis=axis) / np.median(b, axis=axis), paired=True,
        n_resamples=20000, method="percentile", vectorized=True, rng=rng,
    ).confidence_interval  # fmt: skip
    assert ratio == np.median(sample) / np.median(base)
    assert low == pytest.approx(theirs.low, rel=0.01)
    assert high == pytest.approx(theirs.high, rel=0.01)


@given(
    st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0.1, 1e3)), min_size=1, max_size=12),
    st.integers(0, 2**63 - 1),
)
def test_the_interval_holds_the_ratio_and_repeats(pairs: list[tuple[float, float]], seed: int) -> None:
    sample, base = zip(*pairs, strict=True)
    first = statistics.bootstrap_ratio(sample, base, seed, resamples=200)
    ratio, low, high = first
    assert low <= ratio <= high
    assert min(a / b for a, b in pairs) <= low and high <= max(a / b for a, b in pairs)
    assert first == statistics.bootstrap_ratio(sample, base, seed, resamples=200)


def test_the_interval_covers_the_true_ratio_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for seed in range(400):
        base = 10 * rng.lognormal(0, 0.3, 12)  # rounds differ a lot, the ratio within a round little
        sample = base * 0.8 * rng.lognormal(0, 0.02, 12)
        _, low, high = statistics.bootstrap_ratio(sample.tolist(), base.tolist(), seed, resamples=500)
        hits += low <= 0.8 <= high
    assert hits / 400 > 0.9


@pytest.mark.parametrize(("sample", "base"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_no_ratio_without_pairs(sample: list[float], base: list[float]) -> None:
    with pytest.raises(ValueError):
        statistics.bootstrap_ratio(sample, base, 0)


def test_nothing_has_no_median_and_no_rank() -> None:
    with pytest.raises(ValueError):
        statistics.median([])
    with pytest.raises(ValueError):
        statistics.mann_whitney_u([], [1.0])


@pytest.mark.parametrize(("tests", "rounds"), [(1, 4), (6, 5), (7, 6), (85, 7), (86, 8), (321, 8), (322, 9)])
def test_how_many_rounds_are_needed(tests: int, rounds: int) -> None:
    assert statistics.rounds_needed(tests) == rounds
    best = statistics.holm([statistics.least_p(rounds, rounds)] * tests)
    assert max(best) < 0.05


def test_very_many_rounds_are_drawn_less_often() -> None:
    rng = np.random.default_rng(1)
    assert statistics.draw(rng, 10).shape == (2000, 10)
    assert statistics.draw(rng, 100_000).shape == (60, 100_000)
