"""The bootstrap by counts against the plain one, and intervals against scipy's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from candor.metrics.bootstrap import bca_interval, percentile_interval, two_sided_p
from candor.metrics.calibration import BINNED
from candor.metrics.figures import exact_figures, needs_confidence
from candor.metrics.names import STATED, TESTED
from candor.metrics.paired import pair_metrics, view_metrics
from candor.metrics.selective import RISKS
from candor.metrics.shares import certain_share_interval
from candor.metrics.views import View

MakeView = Callable[..., View]


def test_intervals_against_a_plain_bootstrap(make_view: MakeView) -> None:
    first, second = make_view(1, missing=0.05, invalid=0.05), make_view(2, skill=0.8, missing=0.05)
    pair = pair_metrics(first, second, resamples=4_000)
    draw = np.random.default_rng(9)
    both = first.usable & second.usable
    plain: dict[str, list[float]] = {name: [] for name in STATED}
    for _ in range(400):
        rows = draw.integers(0, 200, 200)
        shared = rows[both[rows]]
        one, two = (exact_figures(view.take(rows), None) for view in (first, second))
        one_shared, two_shared = (exact_figures(view.take(shared), None) for view in (first, second))
        for name in STATED:
            before, after = (one_shared, two_shared) if needs_confidence(name) else (one, two)
            plain[name].append(after[name] - before[name])
    for name, values in plain.items():
        interval = pair.differences[name].interval
        if name in (*BINNED, *RISKS, "ece", "adaptive_ece"):
            assert interval is None, name
            continue
        assert interval is not None, name
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
    for name in ("accuracy", "na_recall", "auroc", "brier", "rms_calibration_error"):
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
    assert all(difference.value == 0 for difference in differences.values())
    assert all(differences[name].p == 1 for name in TESTED if name in differences)


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
    found = bca_interval(float(sample.mean()), values, left)
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
    assert bca_interval(5.0, np.zeros(10), np.arange(4.0)) is None
    assert bca_interval(0.0, np.zeros(10), np.zeros(4)) is None


def test_shares_of_zero_and_one_get_an_exact_interval() -> None:
    gold = np.zeros(30, int)
    view = View(gold, gold, np.full(30, 0.5), np.arange(30))
    metric = view_metrics(view, resamples=20)["accuracy"]
    assert metric.interval == certain_share_interval(1.0, 30)
    expected = stats.binomtest(30, 30).proportion_ci(0.95, "exact")
    assert metric.interval == pytest.approx((expected.low, expected.high))
    assert certain_share_interval(0.0, 30) == pytest.approx((0, 1 - expected.low))


def test_differences_of_confidence_figures_are_on_shared_rows(make_view: MakeView) -> None:
    first, second = make_view(1, missing=0.3), make_view(2)
    pair = pair_metrics(first, second, resamples=20)
    both = first.usable & second.usable
    expected = ((second.confidence_N - second.correct) ** 2 - (first.confidence_N - first.correct) ** 2)[both].mean()
    assert pair.differences["brier"].value == pytest.approx(expected)
    assert pair.differences["brier"].n == both.sum() < pair.second["brier"].n
    assert pair.differences["accuracy"].n == 200
