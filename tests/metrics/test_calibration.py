"""Calibration figures from counts at a few confidences, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.calibration import BINS, LOG_SCORE_CLIP, calibration_figures, equal_width_bins

LEVELS = np.array([0.9, 0.5])
RIGHT = np.array([[3.0, 0.0], [1.0, 0.0]])
WRONG = np.array([[1.0, 0.0], [3.0, 0.0]])
"""Four answers at each confidence; the second resample has none at all."""


def test_figures_by_hand() -> None:
    found = {name: values[0] for name, values in calibration_figures(LEVELS, RIGHT, WRONG).items()}
    brier = (3 * 0.01 + 0.81 + 4 * 0.25) / 8
    assert found["brier"] == pytest.approx(brier)
    # In their bins: 0.9 against 3/4 right, 0.5 against 1/4 right; one half right in all.
    assert found["brier_reliability"] == pytest.approx((4 * 0.15**2 + 4 * 0.25**2) / 8)
    assert found["brier_resolution"] == pytest.approx(0.25**2)
    assert found["brier_uncertainty"] == pytest.approx(0.25)
    assert found["brier_reliability"] - found["brier_resolution"] + found["brier_uncertainty"] == pytest.approx(brier)
    assert found["ece"] == pytest.approx((4 * 0.15 + 4 * 0.25) / 8)
    assert found["adaptive_ece"] == pytest.approx(found["ece"])
    assert found["log_score"] == pytest.approx((3 * math.log(0.9) + math.log(0.1) + 4 * math.log(0.5)) / 8)
    assert found["confidence_mean"] == pytest.approx(0.7)
    assert found["confidence_std"] == pytest.approx(0.2)


def test_a_resample_without_answers_has_no_figure() -> None:
    assert all(math.isnan(values[1]) for values in calibration_figures(LEVELS, RIGHT, WRONG).values())


def test_certainty_that_is_wrong_costs_a_finite_log_score() -> None:
    found = calibration_figures(np.array([1.0, 0.0]), np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]]))
    assert found["log_score"][0] == pytest.approx(math.log(LOG_SCORE_CLIP))
    assert found["brier"][0] == 1.0


def test_over_and_underconfidence_in_one_bin_cancel() -> None:
    # 0.61 and 0.65 share a bin of width 1/15, in which all are stated as sure as they are right on average.
    found = calibration_figures(np.array([0.65, 0.61]), np.array([[0.0], [63.0]]), np.array([[37.0], [0.0]]))
    assert found["ece"][0] == pytest.approx(abs(0.37 * 0.65 + 0.63 * 0.61 - 0.63), abs=1e-12)


def test_spread_of_one_confidence_is_exactly_zero() -> None:
    found = calibration_figures(np.array([0.1]), np.array([[7.0]]), np.array([[3.0]]))
    assert found["confidence_std"][0] == 0.0


def test_edges_belong_to_the_bin_below_and_zero_to_the_first() -> None:
    edges = np.arange(BINS + 1) / BINS
    assert equal_width_bins(edges).tolist() == [0, *range(BINS)]
    assert equal_width_bins(np.array([1e-6, 1.0, 1 / BINS + 1e-6])).tolist() == [0, BINS - 1, 1]
