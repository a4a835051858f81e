"""Classical tests against scipy, statsmodels and slow definitions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from candor.metrics.significance import (
    clustered_t,
    delong,
    holm,
    levene,
    mcnemar,
    paired_tests,
)
from candor.metrics.views import View

MakeView = Callable[..., View]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@pytest.mark.slow
def test_holm_against_statsmodels(p_values: list[float]) -> None:
    found = holm({str(number): p for number, p in enumerate(p_values)})
    expected = multipletests(p_values, method="holm")[1]
    assert list(found.values()) == pytest.approx(list(expected))


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (3, 9), (12, 12), (5, 19), (10, 30), (60, 40)])
def test_mcnemar_against_statsmodels(only_first: int, only_second: int) -> None:
    first = np.repeat([True, False, True, False], [only_first, only_second, 20, 10])
    second = np.repeat([False, True, True, False], [only_first, only_second, 20, 10])
    exact = only_first + only_second < 25
    expected = reference_mcnemar([[20, only_first], [only_second, 10]], exact=exact, correction=True)
    statistic, p = mcnemar(first, second)
    assert p == pytest.approx(expected.pvalue, abs=1e-12)
    assert statistic == pytest.approx(expected.statistic)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 1), (3, 9), (12, 12), (5, 19)])
def test_mcnemars_exact_p_against_the_binomial_tail(only_first: int, only_second: int) -> None:
    first = np.repeat([True, False, True], [only_first, only_second, 7])
    second = np.repeat([False, True, True], [only_first, only_second, 7])
    tail = stats.binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)
    assert mcnemar(first, second)[1] == pytest.approx(min(1.0, 2 * tail), rel=0, abs=1e-12)


def slow_delong(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """DeLong, DeLong and Clarke-Pearson (1988) as printed: placements by comparing every pair."""
    areas, by_positive, by_negative = [], [], []
    for score in (first, second):
        wins = score[positive][:, None] > score[~positive]
        kernel = wins + 0.5 * (score[positive][:, None] == score[~positive])
        areas.append(kernel.mean())
        by_positive.append(kernel.mean(axis=1))
        by_negative.append(kernel.mean(axis=0))
    covariance = np.cov(by_positive) / positive.sum() + np.cov(by_negative) / (~positive).sum()
    contrast = np.array([-1, 1])
    return float(areas[1] - areas[0]), float(math.sqrt(contrast @ covariance @ contrast))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_delong_against_its_definition(seed: int) -> None:
    draw = np.random.default_rng(seed)
    positive = draw.random(80) < 0.4
    first = np.round(draw.random(80) + 0.3 * positive, 1)
    second = np.round(draw.random(80) + 0.6 * positive, 1)
    difference, error, p = delong(first, positive, second, positive)
    expected, expected_error = slow_delong(first, second, positive)
    assert difference == pytest.approx(expected)
    assert error == pytest.approx(expected_error)
    assert p == pytest.approx(2 * stats.norm.sf(abs(expected) / expected_error))


def test_delong_with_two_outcomes_against_resampling(make_view: MakeView) -> None:
    """Right answers differ between the models: the standard error is that of resampled differences."""
    first, second = make_view(1, rows=400), make_view(2, rows=400, skill=0.9)

    def area(view: View, rows: np.ndarray) -> float:
        score, right = view.confidence_N[rows], view.correct[rows]
        ranks = stats.rankdata(score)
        hits = right.sum()
        return float((ranks[right].sum() - hits * (hits + 1) / 2) / (hits * (~right).sum()))

    draw = np.random.default_rng(3)
    resampled = []
    for _ in range(1_500):
        rows = draw.integers(0, 400, 400)
        resampled.append(area(second, rows) - area(first, rows))
    difference, error, _ = delong(first.confidence_N, first.correct, second.confidence_N, second.correct)
    everything = np.arange(400)
    assert difference == pytest.approx(area(second, everything) - area(first, everything))
    assert error == pytest.approx(np.std(resampled), rel=0.1)


def test_delong_of_the_same_scores_says_nothing() -> None:
    score, positive = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True])
    difference, error, p = delong(score, positive, score, positive)
    assert difference == error == 0
    assert math.isnan(p)


def test_repeated_groups_do_not_add_evidence(make_view: MakeView) -> None:
    first, second = make_view(1), make_view(2, skill=0.8)
    rows = np.repeat(np.arange(200), 4)
    once = delong(first.confidence_N, first.correct, second.confidence_N, second.correct)
    often = delong(first.confidence_N[rows], first.correct[rows], second.confidence_N[rows], second.correct[rows], rows)
    assert often[:2] == pytest.approx(once[:2], rel=0.02)
    shift = second.confidence_N - first.confidence_N
    assert clustered_t(shift[rows], rows) == pytest.approx(clustered_t(shift, np.arange(200)))


def test_clustered_t_of_single_rows_is_students() -> None:
    draw = np.random.default_rng(0)
    before, after = draw.normal(size=50), draw.normal(0.3, size=50)
    expected = stats.ttest_rel(after, before)
    assert clustered_t(after - before, np.arange(50)) == pytest.approx((expected.statistic, expected.pvalue))


def test_levene_is_scipys_default() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=50), draw.normal(scale=1.5, size=40)
    expected = stats.levene(first, second)
    assert levene(first, second) == pytest.approx((expected.statistic, expected.pvalue))


def test_tests_without_variation_give_reasons() -> None:
    zeros = np.zeros(3, int)
    view = View(zeros, zeros, np.full(3, 0.5), np.arange(3))
    tests = paired_tests(view, view)
    assert tests["mcnemar"]["p"] == 1
    for name in ("delong", "brier_paired", "confidence_paired", "mcnemar_na"):
        assert tests[name]["p"] is None, name
        assert tests[name]["reason"], name


def test_no_test_ignores_pairing_or_groups(make_view: MakeView) -> None:
    """The same answers six times over, in groups: no p is smaller than that of the answers once."""
    first, second = make_view(1), make_view(2, skill=0.9)
    once = paired_tests(first, second)
    assert all(test["paired"] for test in once.values())
    rows = np.repeat(np.arange(200), 6)
    often = paired_tests(
        *(View(*(part[rows] for part in (v.gold_N, v.label_N, v.confidence_N)), rows) for v in (first, second))
    )
    for name, test in once.items():
        before, after = test["p"], often[name]["p"]
        assert before is not None
        assert after is not None
        assert after >= 0.5 * before, name
    assert often["mcnemar"]["detail"]["discordant_groups"] == (
        once["mcnemar"]["detail"]["only_base"] + once["mcnemar"]["detail"]["only_trained"]
    )
    assert often["mcnemar"]["p"] == pytest.approx(once["mcnemar"]["p"])
