"""Intervals and p-values from a few resamples, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.bootstrap import bca_interval, certain_share_interval, percentile_interval, two_sided_p

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
    left, weight = np.array([-0.1, 0.1]), np.array([5.0, 5.0])
    corrected = bca_interval(0.0, values, left, weight, level=0.9)
    assert corrected == pytest.approx(percentile_interval(values, level=0.9))


def test_a_skew_moves_the_corrected_interval_to_its_side() -> None:
    values = np.linspace(-1, 1, 201)
    # Leaving out the one far group lowers the figure much: a long tail upwards.
    skewed = bca_interval(0.0, values, np.array([-0.9, 0.1]), np.array([1.0, 9.0]), level=0.9)
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
    assert bca_interval(value, np.array(values), np.array(left), np.ones(2)) is None


def test_p_counts_resamples_as_far_off_as_nothing_is() -> None:
    # Off by 0.5, 0.1, 0.6 and 0.3; two of four lie at least 0.5 from what was seen.
    assert two_sided_p(0.5, np.array([0.0, 0.4, 1.1, 0.2])) == 3 / 5
    assert two_sided_p(-0.5, -np.array([0.0, 0.4, 1.1, 0.2])) == 3 / 5
    assert two_sided_p(0.0, np.array([0.1, -0.1])) == 1.0
    assert math.isnan(two_sided_p(NAN, np.array([0.0])))
    assert math.isnan(two_sided_p(0.5, np.array([NAN, NAN, 0.5])))


@pytest.mark.parametrize("n", [1, 10, 500])
def test_a_certain_share_may_be_as_far_off_as_chance_allows(n: int) -> None:
    low, high = certain_share_interval(0.0, n)
    assert low == 0.0
    # Were the share at the upper end, seeing none of n would have a chance of 2.5 %.
    assert (1 - high) ** n == pytest.approx(0.025)
    assert certain_share_interval(1.0, n) == pytest.approx((1 - high, 1.0))
