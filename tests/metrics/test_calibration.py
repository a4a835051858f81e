"""Calibration from a few answers by hand, and from many draws of calibrated and miscalibrated ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.calibration import (
    BINNED,
    BINS,
    BinnedCalibration,
    binned_calibration,
    binned_errors,
    equal_width_bins,
    label_calibration,
)
from candor.metrics.views import View


def view(confidence: list[float], right: list[int], groups: list[int] | None = None) -> View:
    n = len(confidence)
    label = np.where(np.array(right, dtype=bool), 0, 1)
    return View(np.zeros(n, int), label, np.array(confidence), np.arange(n) if groups is None else np.array(groups))


EIGHT = view([0.9] * 4 + [0.5] * 4, [1, 1, 1, 0, 1, 0, 0, 0])
"""Four answers at each confidence: three right at .9, one right at .5."""


def found(answers: View) -> BinnedCalibration:
    calibration = binned_calibration(answers)
    assert calibration is not None
    return calibration


def test_errors_by_hand() -> None:
    errors = binned_errors(EIGHT)
    assert errors["ece"] == pytest.approx((4 * 0.15 + 4 * 0.25) / 8)
    assert errors["adaptive_ece"] == pytest.approx(errors["ece"])
    assert found(EIGHT).ece == pytest.approx(errors["ece"])
    assert all(map(math.isnan, binned_errors(EIGHT.take(np.zeros(8, dtype=bool))).values()))


def test_parts_are_those_of_murphy_without_what_chance_adds() -> None:
    calibration = found(EIGHT)
    # Variance of the accuracy of four answers: squares around 3/4 and 1/4, and one answer's worth at the stated .9, .5.
    high = (3 * 0.25**2 + 0.75**2 + 0.9 * 0.1) / 16
    low = (0.75**2 + 3 * 0.25**2 + 0.5 * 0.5) / 16
    chance = (high + low) / 2
    of_rate = 0.25 / 8 * 8 / 7
    assert calibration.reliability.value == pytest.approx((4 * 0.15**2 + 4 * 0.25**2) / 8 - chance)
    assert calibration.resolution.value == pytest.approx(0.25**2 - chance + of_rate, abs=0.005)
    assert calibration.uncertainty.value == pytest.approx(0.25 + of_rate, abs=0.005)
    parts = calibration.reliability.value - calibration.resolution.value + calibration.uncertainty.value
    assert parts == pytest.approx((3 * 0.01 + 0.81 + 4 * 0.25) / 8)
    # Chance explains all of the gaps.
    assert calibration.error.value == 0.0
    assert set(calibration.figures) == set(BINNED)


def test_over_and_underconfidence_in_one_bin_cancel() -> None:
    # 0.61 and 0.65 share a bin of width 1/15, in which all are stated as sure as they are right on average.
    answers = view([0.65] * 37 + [0.61] * 63, [0] * 37 + [1] * 63)
    assert binned_errors(answers)["ece"] == pytest.approx(abs(0.37 * 0.65 + 0.63 * 0.61 - 0.63), abs=1e-12)


def test_edges_belong_to_the_bin_below_and_zero_to_the_first() -> None:
    edges = np.arange(BINS + 1) / BINS
    assert equal_width_bins(edges).tolist() == [0, *range(BINS)]
    assert equal_width_bins(np.array([1e-6, 1.0, 1 / BINS + 1e-6])).tolist() == [0, BINS - 1, 1]


def test_what_cannot_be_had_has_a_reason() -> None:
    assert binned_calibration(EIGHT.take(np.zeros(8, dtype=bool))) is None
    one_group = found(view([0.9, 0.5], [1, 0], [3, 3]))
    assert one_group.reliability.interval is one_group.error.interval is None
    assert one_group.reliability.reason == "fewer than two groups of rows: nothing to resample"
    assert found(view([0.9] * 4, [1, 1, 0, 1])).resolution.reason == "all confidences lie in one bin"


def test_the_same_seed_gives_the_same_band() -> None:
    bands = [binned_calibration(EIGHT, seed=seed) for seed in (1, 1, 2)]
    assert bands[0] == bands[1] != bands[2]


def drawn(draw: np.random.Generator, n: int, most: int, over: float) -> View:
    """Groups of one to ``most`` answers, half of which share their group's confidence and chance."""
    group = np.repeat(np.arange(n), draw.integers(1, most + 1, n))[:n]
    alone, shared = np.round(draw.beta(4, 2, (2, n)), 2)
    confidence = np.where(draw.random(n) < (most > 1) / 2, shared[group], alone)
    chance = np.where(draw.random(n) < (most > 1) / 2, draw.random(n)[group], draw.random(n))
    right = chance < confidence - over
    return View(np.zeros(n, int), np.where(right, 0, 1), confidence, group)


@pytest.mark.parametrize("most", [1, 10])
def test_a_calibrated_model_has_no_error_on_average(most: int) -> None:
    """ECE is far from 0 by chance; what is left without chance is 0 on average, and p is small in about 5 %."""
    draw = np.random.default_rng(most)
    every = [found(drawn(draw, 200, most, 0.0)) for _ in range(200)]
    assert np.mean([one.ece for one in every]) > 0.05
    assert np.mean([one.reliability.value for one in every]) == pytest.approx(0.0, abs=0.002)
    assert np.mean([one.p_calibrated < 0.05 for one in every]) <= 0.11
    assert np.mean([one.ece_band[0] <= one.ece <= one.ece_band[1] for one in every]) >= 0.88
    held = [one.error.interval is not None and one.error.interval[0] == 0.0 for one in every]
    assert np.mean(held) >= 0.92


@pytest.mark.parametrize("most", [1, 10])
def test_intervals_hold_the_error_that_there_is(most: int) -> None:
    """Confidences .15 too high: the root of .15 squared, but for the lowest, which cannot be below 0."""
    draw = np.random.default_rng(10 + most)
    truth = found(drawn(draw, 400_000, 1, 0.15))
    every = [found(drawn(draw, 300, most, 0.15)) for _ in range(150)]
    for name in BINNED:
        value = truth.figures[name].value
        intervals = [one.figures[name].interval for one in every]
        held = np.mean([interval is not None and interval[0] <= value <= interval[1] for interval in intervals])
        assert held >= 0.89, name
    assert np.mean([one.p_calibrated < 0.05 for one in every]) > 0.7


def test_labels_have_gaps_of_their_own() -> None:
    """Sure of PASS and half right; unsure of FAIL and always right: over all answers nothing is wrong."""
    gold, label = np.array([0, 1, 0, 1, 1, 1, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    answers = View(gold, label, np.array([0.9] * 4 + [0.6] * 4), np.arange(8))
    gaps = label_calibration(answers)
    assert set(gaps) == {"PASS", "FAIL"}
    assert (gaps["PASS"]["n"], gaps["PASS"]["confidence"]) == (4, pytest.approx(0.9))
    assert gaps["PASS"]["accuracy"]["value"] == 0.5
    assert gaps["PASS"]["gap"]["value"] == pytest.approx(0.4)
    assert gaps["FAIL"]["gap"]["value"] == pytest.approx(-0.4)
    interval = gaps["PASS"]["gap"]["interval"]
    assert interval is not None
    assert interval[0] < 0.4 < interval[1]
