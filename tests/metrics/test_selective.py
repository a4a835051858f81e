"""Ranking figures of a few answers, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.selective import ranking_figures


def figures(right: list[int], wrong: list[int], without: int = 0) -> dict[str, float]:
    """Figures of so many right and wrong answers at each confidence, highest first."""
    counts = [np.array(side, dtype=float)[:, None] for side in (right, wrong)]
    total = np.array([float(sum(right) + sum(wrong) + without)])
    return {name: float(values[0]) for name, values in ranking_figures(*counts, total).items()}


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
        ([0], [0], {"auroc", "auprc", "aurc", "excess_aurc", "coverage_at_1", "coverage_at_5", "coverage_at_10"}),
    ],
)
def test_what_needs_right_and_wrong_answers(right: list[int], wrong: list[int], undefined: set[str]) -> None:
    assert {name for name, value in figures(right, wrong).items() if math.isnan(value)} == undefined


def test_no_confidence_at_all() -> None:
    found = figures([], [], without=3)
    assert found["coverage_at_10"] == 0.0
    assert math.isnan(found["aurc"])
