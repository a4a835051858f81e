"""Shares of rows in groups: how many independent rows they are worth, and intervals that say so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from candor.metrics.shares import (
    certain_share_interval,
    clustered_share,
    degrees_of_freedom,
    effective_rows,
    group_sums,
    kish_size,
    wilson_interval,
)


def test_sums_stand_in_the_order_of_the_codes() -> None:
    assert group_sums([1, 2, 3, 4], np.array([7, 3, 7, 3])).tolist() == [6, 4]


def test_without_groups_it_is_wilsons_interval() -> None:
    hits = np.arange(10) < 8
    share = clustered_share(hits, np.arange(10))
    expected = stats.binomtest(8, 10).proportion_ci(0.95, "wilson")
    assert (share.value, share.n, share.groups) == (0.8, 10, 10)
    assert share.effective == pytest.approx(10)
    assert share.interval == pytest.approx((expected.low, expected.high))


def test_rows_that_repeat_are_worth_one() -> None:
    """Each of 40 rows five times: the interval is that of 40 rows, but for Student's quantile."""
    hits, rows = np.arange(40) % 3 == 0, np.repeat(np.arange(40), 5)
    once, often = clustered_share(hits, np.arange(40)), clustered_share(hits[rows], rows)
    assert often.effective == pytest.approx(40, rel=0.03)
    assert once.interval is not None
    assert often.interval is not None
    assert often.interval == pytest.approx(once.interval, abs=0.01)
    assert often.interval[1] - often.interval[0] > once.interval[1] - once.interval[0]


def test_groups_whose_rows_are_not_alike_have_wilsons_interval() -> None:
    """One right and one wrong row in each group: the variance between groups is below that of single rows."""
    hits, rows = np.arange(40) % 2 == 0, np.arange(40) // 2
    hits[0] = False  # else the groups were all alike
    share = clustered_share(hits, rows)
    expected = stats.binomtest(19, 40).proportion_ci(0.95, "wilson")
    assert share.effective == 40
    assert share.interval == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("alike", [0.0, 0.5])
@pytest.mark.parametrize(("n", "rate"), [(40, 0.6), (100, 0.1), (100, 0.6)])
def test_intervals_in_groups_hold_the_truth_as_often_as_they_say(n: int, rate: float, alike: float) -> None:
    draw = np.random.default_rng([n, round(10 * rate), round(10 * alike)])
    held = 0
    for _ in range(1_000):
        rows = np.repeat(np.arange(n), draw.integers(1, 6, n))[:n]
        hits = np.where(draw.random(n) < alike, draw.random(n)[rows], draw.random(n)) < rate
        interval = clustered_share(hits, rows).interval
        assert interval is not None
        held += interval[0] <= rate <= interval[1]
    assert 0.93 - 0.014 <= held / 1_000 <= 0.97 + 0.014


def test_a_hundred_rows_of_one_group_say_as_much_as_one() -> None:
    share = clustered_share(np.ones(100), np.zeros(100, dtype=np.int64))
    assert (share.effective, share.groups) == (1.0, 1)
    assert share.interval == pytest.approx((0.025, 1.0))


def test_a_certain_share_takes_the_rows_of_a_group_as_alike() -> None:
    group = np.array([0, 0, 0, 1])
    share = clustered_share(np.zeros(4), group)
    assert share.effective == pytest.approx(16 / 10) == kish_size(np.array([3.0, 1.0]))
    assert share.interval == (0.0, pytest.approx(1 - 0.025 ** (10 / 16)))


def test_nothing_has_no_share() -> None:
    share = clustered_share([], np.array([], dtype=np.int64))
    assert math.isnan(share.value)
    assert share.interval is None


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 40), (8, 10), (333, 1_000), (40, 40)])
def test_wilsons_interval_against_scipy(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
    found = wilson_interval(hits / n, n, float(stats.norm.ppf(0.975)))
    assert found == pytest.approx((expected.low, expected.high), rel=0, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 30, 1_000])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_exact_intervals_against_scipy(n: int, level: float) -> None:
    for value in (0.0, 1.0):
        expected = stats.binomtest(round(value * n), n).proportion_ci(level, "exact")
        found = certain_share_interval(value, n, level)
        assert found == pytest.approx((expected.low, expected.high), rel=0, abs=1e-12)


def test_a_design_effect_below_one_is_none() -> None:
    """Groups that each hold a hit and a miss vary less than chance; that is not taken for more rows."""
    assert effective_rows(np.zeros(5), np.full(5, 2.0), 0.25) == 10
    # All rows of a group alike: two groups, each of which deviates by one in a variance of a quarter.
    assert effective_rows(np.array([1.0, -1.0]), np.array([2.0, 2.0]), 0.25) == pytest.approx(4 / (4 / (4 / 3)))


def test_a_variance_that_hangs_on_one_group_has_few_degrees_of_freedom() -> None:
    even, lone = np.tile([1.0, -1.0], 20), np.zeros(40)
    lone[0] = 1.0
    assert degrees_of_freedom(even) == 39
    assert degrees_of_freedom(lone) == pytest.approx(2 / (1 - 1 / 40))
    assert degrees_of_freedom(np.zeros(5)) == 4
    assert degrees_of_freedom(np.array([1.0, -1.0])) == 1
    drawn = np.random.default_rng(0).normal(size=20_000)
    assert degrees_of_freedom(drawn) == pytest.approx(20_000, rel=0.1)


def test_the_interval_of_rows_in_groups_holds_the_truth() -> None:
    """Groups of one to ten rows, half of them alike in a group, at a share of .3: 95 % of 400 draws, within chance."""
    draw = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        group = np.repeat(np.arange(60), draw.integers(1, 11, 60))
        shared = draw.random(60)[group]
        hits = np.where(draw.random(group.size) < 0.5, shared, draw.random(group.size)) < 0.3
        interval = clustered_share(hits, group).interval
        assert interval is not None
        held += interval[0] <= 0.3 <= interval[1]
    assert 0.92 <= held / 400 <= 0.98
