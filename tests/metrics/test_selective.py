"""Ranking figures of a few answers, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from candor.metrics.selective import (
    RISKS,
    accepted_by_threshold,
    coverage_bound,
    coverages_at_risk,
    ranking_figures,
    risk_band,
)
from candor.metrics.shares import clustered_share, degrees_of_freedom, group_sums
from candor.metrics.views import View


def figures(right: list[int], wrong: list[int], without: int = 0) -> dict[str, float]:
    """Figures of so many right and wrong answers at each confidence, highest first."""
    counts = [np.array(side, dtype=float)[:, None] for side in (right, wrong)]
    total = np.array([float(sum(right) + sum(wrong) + without)])
    found = ranking_figures(*counts) | coverages_at_risk(*counts, total)
    return {name: float(values[0]) for name, values in found.items()}


def test_three_confidences_by_hand() -> None:
    found = figures([1, 1, 0], [0, 1, 1])
    # Right against wrong: 1 beats both, the tied one beats one and draws one.
    assert found["auroc"] == pytest.approx((2 + 1.5) / 4)
    # Precision 1 at the first threshold, 2/3 at the second; each brings half of the recall.
    assert found["auprc"] == pytest.approx((1 + 2 / 3) / 2)
    # Errors among the 1, 2, 3, 4 surest: 0, then half of one by the tie, 1, 2.
    aurc = (0 + 0.5 / 2 + 1 / 3 + 2 / 4) / 4
    oracle = (0 + 0 + 1 / 3 + 2 / 4) / 4
    assert found["aurc"] == pytest.approx(aurc)
    assert found["excess_aurc"] == pytest.approx(aurc - oracle)
    # Errors accepted among all four, at full coverage by trapezes: 0, 0, 1/2, 1, 2 of four.
    assert found["augrc"] == pytest.approx((0 / 2 + 0.5 / 2 + (0.5 + 1) / 2 + (1 + 2) / 2) / 4 / 4)


def test_equal_confidences_are_never_ordered() -> None:
    found = figures([3], [1])
    assert found["auroc"] == 0.5
    assert found["auprc"] == pytest.approx(3 / 4)
    # The error rate is one quarter however many are kept.
    assert found["aurc"] == pytest.approx(1 / 4)


def test_a_perfect_ranking_has_no_excess() -> None:
    found = figures([5, 0], [0, 3])
    assert (found["auroc"], found["auprc"], found["excess_aurc"]) == (1.0, 1.0, 0.0)
    assert figures([0, 5], [3, 0])["auroc"] == 0.0


def test_weighted_counts_that_add_up_to_a_whole_number_but_for_rounding() -> None:
    right_L_R, wrong_L_R = np.full((40, 1), 3 / 40), np.full((40, 1), 3 / 40 / 3)
    # Summed in one order they give 3.9999..., in another 4.0000...
    found = ranking_figures(right_L_R, wrong_L_R)
    assert found["auroc"] == pytest.approx(0.5)
    assert found["augrc"] == pytest.approx(0.5 * 0.75 * 0.25 + 0.25**2 / 2)


def test_coverage_at_a_risk_is_the_largest_that_any_threshold_reaches() -> None:
    # Risks 0/10, 2/20, 2/30, 4/40 of 50 answers, ten of them without a confidence.
    found = figures([10, 8, 10, 8], [0, 2, 0, 2], without=10)
    assert found["coverage_at_1"] == pytest.approx(10 / 50)
    assert found["coverage_at_5"] == pytest.approx(10 / 50)
    assert found["coverage_at_10"] == pytest.approx(40 / 50)
    # A later threshold may keep to the risk where an earlier one does not.
    assert figures([18, 80], [2, 0])["coverage_at_5"] == 1.0
    assert figures([0], [4])["coverage_at_10"] == 0.0


@pytest.mark.parametrize(
    ("right", "wrong", "undefined"),
    [
        ([2], [0], {"auroc"}),
        ([0], [2], {"auroc", "auprc"}),
        ([0], [0], {"auroc", "auprc", "aurc", "excess_aurc", "augrc", *RISKS}),
    ],
)
def test_what_needs_right_and_wrong_answers(right: list[int], wrong: list[int], undefined: set[str]) -> None:
    assert {name for name, value in figures(right, wrong).items() if math.isnan(value)} == undefined


def test_no_confidence_at_all() -> None:
    found = figures([], [], without=3)
    assert found["coverage_at_10"] == 0.0
    assert math.isnan(found["aurc"])


def answers(draw: np.random.Generator, n: int, most: int = 1) -> View:
    """Groups of one to ``most`` answers that share their chance; right as often as the square root of confidence."""
    group = np.repeat(np.arange(n), draw.integers(1, most + 1, n))[:n]
    confidence = np.round(draw.random(n), 2)
    right = draw.random(n)[group] < np.sqrt(confidence)
    return View(np.zeros(n, int), np.where(right, 0, 1), confidence, group)


def test_every_threshold_has_the_risk_of_its_answers_by_group() -> None:
    """Against each threshold on its own, from the definition."""
    view = answers(np.random.default_rng(0), 80, 4)
    accepted = accepted_by_threshold(view)
    assert accepted.threshold_L.tolist() == np.unique(view.confidence_N)[::-1].tolist()
    for place, threshold in enumerate(accepted.threshold_L):
        kept = view.take(view.confidence_N >= threshold)
        assert accepted.coverage_L[place] == kept.gold_N.size / 80
        assert accepted.risk_L[place] == pytest.approx((~kept.correct).mean())
        expected = clustered_share(~kept.correct, kept.group_N)
        assert accepted.effective_L[place] == pytest.approx(expected.effective)
        assert accepted.freedom_L[place] == expected.groups - 1


def test_the_band_of_single_answers_is_wilsons() -> None:
    view = answers(np.random.default_rng(1), 60)
    low, high = risk_band(accepted_by_threshold(view))
    wrong = int((~view.correct).sum())
    share, quantile = wrong / 60, float(stats.t.ppf(0.975, 59))
    for end in (low[-1], high[-1]):
        assert abs(share - end) / (end * (1 - end) / 60) ** 0.5 == pytest.approx(quantile)
    assert degrees_of_freedom(group_sums(~view.correct - share, view.group_N)) <= 59


def test_coverage_that_can_be_relied_on() -> None:
    """Sure answers are right, the others wrong: coverage is what is sure, less what chance may have added."""
    n = 400
    view = View(np.zeros(n, int), np.arange(n) // 200, np.repeat([0.9, 0.1], 200), np.arange(n))
    assert coverage_bound(view, 0.05) == clustered_share(view.correct, view.group_N).interval[0]  # type: ignore[index]
    assert 0.42 < coverage_bound(view, 0.05) < 0.5
    # Two hundred answers without an error do not show a risk of one percent.
    assert coverage_bound(view, 0.01) == 0.0
    hopeless = View(np.zeros(n, int), np.ones(n, int), np.full(n, 0.9), np.arange(n))
    assert coverage_bound(hopeless, 0.1) == 0.0


def test_a_group_says_as_much_as_one_answer() -> None:
    view = View(np.zeros(100, int), np.zeros(100, int), np.full(100, 0.9), np.zeros(100, int))
    assert coverage_bound(view, 0.1) == 0.0


@pytest.mark.parametrize("most", [1, 10])
def test_the_bound_lies_above_the_truth_in_no_more_draws_than_said(most: int) -> None:
    """Risk of the surest share q is 1 - 2/3 (1 - (1 - q)^1.5) / q: at most 10 % up to q = .381."""
    draw = np.random.default_rng(7)
    q = np.linspace(1e-6, 1, 100_001)
    truth = float(q[1 - 2 / 3 * (1 - (1 - q) ** 1.5) / q <= 0.10].max())
    missed = 0
    for _ in range(200):
        missed += coverage_bound(answers(draw, 300, most), 0.10) > truth
    assert missed / 200 <= 0.03
