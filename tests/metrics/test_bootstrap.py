"""Intervals and p-values from a few resamples, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from candor.metrics.bootstrap import bca_interval, percentile_interval, two_sided_p

NAN = math.nan


def test_percentiles_are_interpolated() -> None:
    # Quantiles .25 and .75 of 0 ... 4 lie at 1 and 3; those of 0 ... 3 between two values.
    assert percentile_interval(np.array([3.0, 0.0, 4.0, 1.0, 2.0]), level=0.5) == (1.0, 3.0)
    assert percentile_interval(np.array([3.0, 0.0, 1.0, 2.0]), level=0.5) == (0.75, 2.25)
    assert percentile_interval(np.array([7.0])) == (7.0, 7.0)


def test_a_figure_that_is_often_undefined_has_no_interval() -> None:
    values = np.arange(100.0)
    values[:5] = NAN
    assert percentile_interval(values, level=0.5) == (5 + 94 * 0.25, 5 + 94 * 0.75)
    values[5] = NAN
    assert percentile_interval(values) is None
    assert percentile_interval(np.array([])) is None


def test_without_bias_and_skew_the_corrected_interval_is_the_plain_one() -> None:
    values = np.linspace(-1, 1, 201)
    corrected = bca_interval(0.0, values, np.repeat([-0.1, 0.1], 5), level=0.9)
    assert corrected == pytest.approx(percentile_interval(values, level=0.9))


def test_a_skew_moves_the_corrected_interval_to_its_side() -> None:
    values = np.linspace(-1, 1, 201)
    # Leaving out the one far group lowers the figure much: a long tail upwards.
    skewed = bca_interval(0.0, values, np.repeat([-0.9, 0.1], [1, 9]), level=0.9)
    plain = percentile_interval(values, level=0.9)
    assert skewed is not None
    assert plain is not None
    assert skewed[0] > plain[0]
    assert skewed[1] > plain[1]


@pytest.mark.parametrize(
    ("value", "values", "left"),
    [
        (2.0, [0.0, 1.0], [0.4, 0.6]),  # all resamples on one side
        (0.5, [0.0, 1.0], [0.5, 0.5]),  # no spread of the jackknife
        (0.5, [0.0, 1.0], [NAN, 0.5]),
        (0.5, [NAN, NAN], [0.4, 0.6]),
    ],
)
def test_corrections_that_cannot_be_had(value: float, values: list[float], left: list[float]) -> None:
    assert bca_interval(value, np.array(values), np.array(left)) is None


def test_p_counts_resamples_as_far_off_as_nothing_is() -> None:
    # Off by 0.5, 0.1, 0.6 and 0.3; two of four lie at least 0.5 from what was seen.
    assert two_sided_p(0.5, np.array([0.0, 0.4, 1.1, 0.2])) == 3 / 5
    assert two_sided_p(-0.5, -np.array([0.0, 0.4, 1.1, 0.2])) == 3 / 5
    assert two_sided_p(0.0, np.array([0.1, -0.1])) == 1.0
    assert math.isnan(two_sided_p(NAN, np.array([0.0])))
    assert math.isnan(two_sided_p(0.5, np.array([NAN, NAN, 0.5])))


def test_few_groups_take_the_ends_further_out_and_p_up() -> None:
    """Of normal resamples the interval is Student's, with the spread of samples; p is Student's at the same place."""
    values = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    for freedom in (8.0, 30.0):
        scale = math.sqrt((freedom + 1) / freedom)
        reach = float(stats.t.ppf(0.975, freedom)) * scale
        assert percentile_interval(values, freedom=freedom) == pytest.approx((-reach, reach), rel=0.02)
        assert two_sided_p(2.0, values + 2.0, freedom=freedom) == pytest.approx(
            2 * stats.t.sf(2.0 / scale, freedom), rel=0.02
        )
    assert two_sided_p(2.0, values + 2.0, freedom=1e9) == pytest.approx(two_sided_p(2.0, values + 2.0), rel=1e-3)


def test_the_corrected_interval_is_taken_further_out_alike() -> None:
    values = np.linspace(-1, 1, 2_001)
    left = np.repeat([-0.1, 0.1], 5)
    for freedom in (9.0, math.inf):
        corrected = bca_interval(0.0, values, left, freedom=freedom)
        assert corrected == pytest.approx(percentile_interval(values, freedom=freedom), abs=1e-3)
