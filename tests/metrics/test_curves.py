"""What is drawn, from five answers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from candor.metrics.curves import HISTOGRAM_BINS, curves, histogram, reliability, risk_coverage
from candor.metrics.shares import clustered_share
from candor.metrics.views import NO_LABEL, View

VIEW = View(
    gold_N=np.array([0, 1, 2, 2, 0]),
    label_N=np.array([0, 0, 2, 2, NO_LABEL]),
    confidence_N=np.array([0.9, 0.9, 0.55, 0.6, np.nan]),
    group_N=np.arange(5),
)
"""Right, wrong, right, right, and one that cannot be read."""


def test_bins_with_answers_alone() -> None:
    middle, high = reliability(VIEW)
    # (8/15, 9/15] holds .55 and .6; (13/15, 14/15] holds both of .9.
    assert (middle["low"], middle["high"], middle["n"]) == pytest.approx((8 / 15, 9 / 15, 2))
    assert (middle["confidence"], middle["accuracy"]) == pytest.approx((0.575, 1.0))
    assert (high["low"], high["n"], high["accuracy"]) == pytest.approx((13 / 15, 2, 0.5))
    assert high["interval"] == clustered_share([True, False], VIEW.group_N[:2]).interval


def test_a_point_for_each_confidence_over_all_answers() -> None:
    found = risk_coverage(VIEW)
    assert found["threshold"] == [0.9, 0.6, 0.55]
    # The answer without a confidence is never accepted.
    assert found["coverage"] == pytest.approx([2 / 5, 3 / 5, 4 / 5])
    assert found["risk"] == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    # An oracle accepts the three right ones first.
    assert found["oracle_risk"] == pytest.approx([0, 0, 1 / 4])
    for low, risk, high in zip(found["risk_low"], found["risk"], found["risk_high"], strict=True):
        assert 0 <= low < risk < high <= 1


def test_histogram_counts_by_right_answered_and_gold() -> None:
    found = histogram(VIEW)
    assert len(found["edges"]) == HISTOGRAM_BINS + 1

    def where(counts: list[int]) -> dict[int, int]:
        return {number: count for number, count in enumerate(counts) if count}

    assert where(found["correct"]) == {11: 1, 12: 1, 18: 1}
    assert where(found["incorrect"]) == {18: 1}
    assert where(found["by_label"]["PASS"]) == {18: 2}
    assert where(found["by_gold"]["FAIL"]) == {18: 1}
    assert sum(found["by_gold"]["PASS"]) == 1


def test_nothing_to_draw() -> None:
    none = curves(VIEW.take(np.array([4])))
    assert none["reliability"] == []
    assert all(values == [] for values in none["risk_coverage"].values())
    assert sum(none["histogram"]["correct"]) == 0
