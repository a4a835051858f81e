"""The bootstrap by counts against the plain one, and intervals against scipy's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse
from scipy import stats

from candor.metrics.bootstrap import (
    bca_interval,
    certain_share_interval,
    percentile_interval,
    two_sided_p,
)
from candor.metrics.curves import wilson_interval
from candor.metrics.figures import needs_confidence
from candor.metrics.names import STATED
from candor.metrics.paired import pair_metrics, view_metrics
from candor.metrics.resampling import Resampler
from candor.metrics.views import View

MakeView = Callable[..., View]


def drawn(resampler: Resampler, cells: int, resamples: int) -> np.ndarray:
    figures = resampler.figures(
        lambda counts: {str(cell): counts[cell] for cell in range(cells)}, resamples, np.random.default_rng(0)
    )
    return np.stack([figures[str(cell)] for cell in range(cells)])


@pytest.mark.parametrize("cells", [5, 60])
def test_counts_have_the_distribution_of_drawn_rows(cells: int) -> None:
    """Few cells are drawn as counts, many as rows: mean and covariance are those of the multinomial."""
    cell = np.concatenate([np.arange(cells), np.random.default_rng(1).integers(0, cells, 140)])
    counts = drawn(Resampler(cell, np.arange(cell.size), scipy.sparse.eye_array(cells, format="csr")), cells, 20_000)
    n, share = cell.size, np.bincount(cell) / cell.size
    assert (counts.sum(axis=0) == n).all()
    assert counts.mean(axis=1) == pytest.approx(n * share, abs=6 * math.sqrt(n * share.max() / 20_000))
    expected = n * (np.diag(share) - np.outer(share, share))
    assert np.abs(np.cov(counts) - expected).max() < 0.06 * expected.max()


def test_groups_are_drawn_whole() -> None:
    """Cells 0 and 1 always come together, cell 2 comes twice."""
    cell, group = np.array([0, 1, 2, 2, 3]), np.array([7, 7, 3, 3, 9])
    resampler = Resampler(cell, group, scipy.sparse.eye_array(4, format="csr"))
    assert resampler.groups == 3
    assert resampler.observed().ravel().tolist() == [1, 1, 2, 1]
    counts = drawn(resampler, 4, 500)
    assert (counts[0] == counts[1]).all()
    assert (counts[2] % 2 == 0).all()
    assert (counts[0] + counts[2] / 2 + counts[3] == 3).all()
    left, weight = resampler.without_one()
    assert sorted(left.T.tolist()) == [[0, 0, 2, 1], [1, 1, 0, 1], [1, 1, 2, 0]]
    assert weight.tolist() == [1, 1, 1]


def test_intervals_against_a_plain_bootstrap(make_view: MakeView) -> None:
    first, second = make_view(1, missing=0.05, invalid=0.05), make_view(2, skill=0.8, missing=0.05)
    pair = pair_metrics(first, second, resamples=4_000)
    draw = np.random.default_rng(9)
    both = first.usable & second.usable
    plain: dict[str, list[float]] = {name: [] for name in STATED}
    for _ in range(400):
        rows = draw.integers(0, 200, 200)
        shared = rows[both[rows]]
        one, two = (view_metrics(view.take(rows), resamples=1) for view in (first, second))
        one_shared, two_shared = (view_metrics(view.take(shared), resamples=1) for view in (first, second))
        for name in STATED:
            before, after = (one_shared, two_shared) if needs_confidence(name) else (one, two)
            plain[name].append(after[name].value - before[name].value)
    for name, values in plain.items():
        interval = pair.differences[name].interval
        assert interval is not None
        low, high = np.quantile(values, [0.025, 0.975])
        width = high - low
        assert interval[0] == pytest.approx(low, abs=0.25 * width + 1e-9), name
        assert interval[1] == pytest.approx(high, abs=0.25 * width + 1e-9), name


def test_rows_as_groups_of_one_or_all_repeated(make_view: MakeView) -> None:
    """Each row three times in one group is the same data: intervals must not shrink."""
    view = make_view(3)
    rows = np.repeat(np.arange(200), 3)
    tripled = View(view.gold_N[rows], view.label_N[rows], view.confidence_N[rows], rows)
    once, thrice = view_metrics(view, resamples=4_000), view_metrics(tripled, resamples=4_000)
    for name in ("accuracy", "na_recall", "auroc", "brier", "ece"):
        low, high = once[name].interval or (math.nan, math.nan)
        assert thrice[name].interval == pytest.approx((low, high), abs=0.1 * (high - low)), name


def test_same_seed_same_result(make_view: MakeView) -> None:
    first, second = make_view(1), make_view(2)
    one, two, other = (pair_metrics(first, second, resamples=300, seed=seed) for seed in (5, 5, 6))
    assert one == two
    assert one.differences["brier"].interval != other.differences["brier"].interval


def test_no_difference_is_not_significant(make_view: MakeView) -> None:
    view = make_view(1)
    differences = pair_metrics(view, view, resamples=300).differences
    assert all(difference.value == 0 and difference.p == 1 for difference in differences.values())


def test_p_is_about_uniform_without_difference(make_view: MakeView) -> None:
    """Two models of equal skill: p below 0.1 in about a tenth of the draws."""
    small = sum(
        pair_metrics(
            make_view(seed, rows=150, gold_seed=seed), make_view(1_000 + seed, rows=150, gold_seed=seed), resamples=200
        )
        .differences["accuracy"]
        .p
        < 0.1
        for seed in range(120)
    )
    assert 3 <= small <= 25


def test_p_counts_and_never_reaches_zero() -> None:
    assert two_sided_p(1.0, np.array([0.9, 1.0, 1.1, 1.0])) == pytest.approx(1 / 5)
    assert two_sided_p(1.0, np.array([0.0, 2.0, 1.0, 1.0])) == pytest.approx(3 / 5)
    assert math.isnan(two_sided_p(math.nan, np.zeros(3)))


def test_bca_against_scipy() -> None:
    draw = np.random.default_rng(0)
    sample = draw.exponential(size=60)
    values = np.array([sample[draw.integers(0, 60, 60)].mean() for _ in range(20_000)])
    left = (sample.sum() - sample) / 59
    found = bca_interval(float(sample.mean()), values, left, np.ones(60))
    expected = stats.bootstrap((sample,), np.mean, n_resamples=20_000, rng=1).confidence_interval
    width = expected.high - expected.low
    assert found == pytest.approx((expected.low, expected.high), abs=0.03 * width)
    plain = percentile_interval(values)
    assert plain is not None
    assert found is not None
    assert found[1] > plain[1]


def test_intervals_that_cannot_be_had() -> None:
    assert percentile_interval(np.array([1.0] * 9 + [math.nan])) is None
    assert percentile_interval(np.array([1.0] * 99 + [math.nan])) == (1.0, 1.0)
    assert bca_interval(5.0, np.zeros(10), np.arange(4.0), np.ones(4)) is None
    assert bca_interval(0.0, np.zeros(10), np.zeros(4), np.ones(4)) is None


def test_shares_of_zero_and_one_get_an_exact_interval() -> None:
    gold = np.zeros(30, int)
    view = View(gold, gold, np.full(30, 0.5), np.arange(30))
    metric = view_metrics(view, resamples=20)["accuracy"]
    assert metric.interval == certain_share_interval(1.0, 30)
    expected = stats.binomtest(30, 30).proportion_ci(0.95, "exact")
    assert metric.interval == pytest.approx((expected.low, expected.high))
    assert certain_share_interval(0.0, 30) == pytest.approx((0, 1 - expected.low))


@pytest.mark.parametrize("n", [1, 2, 30, 1_000])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_exact_intervals_against_their_closed_form(n: int, level: float) -> None:
    """Where all n agree, Clopper and Pearson's end solves p^n = (1 - level) / 2."""
    end = ((1 - level) / 2) ** (1 / n)
    assert certain_share_interval(1.0, n, level) == pytest.approx((end, 1.0), rel=0, abs=1e-12)
    assert certain_share_interval(0.0, n, level) == pytest.approx((0.0, 1 - end), rel=0, abs=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 40), (8, 10), (333, 1_000), (40, 40)])
def test_wilsons_interval_against_its_formula(hits: int, n: int) -> None:
    z = float(stats.norm.ppf(0.975))
    middle = (hits + z * z / 2) / (n + z * z)
    reach = z / (n + z * z) * math.sqrt(hits * (n - hits) / n + z * z / 4)
    expected = (max(0.0, middle - reach), min(1.0, middle + reach))
    assert wilson_interval(hits, n) == pytest.approx(expected, rel=0, abs=1e-12)


def test_differences_of_confidence_figures_are_on_shared_rows(make_view: MakeView) -> None:
    first, second = make_view(1, missing=0.3), make_view(2)
    pair = pair_metrics(first, second, resamples=20)
    both = first.usable & second.usable
    expected = ((second.confidence_N - second.correct) ** 2 - (first.confidence_N - first.correct) ** 2)[both].mean()
    assert pair.differences["brier"].value == pytest.approx(expected)
    assert pair.differences["brier"].n == both.sum() < pair.second["brier"].n
    assert pair.differences["accuracy"].n == 200
