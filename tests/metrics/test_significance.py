"""Classical tests where the answer can be counted, beside those against other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.significance import EXACT_BELOW, clustered_t, delong, holm, levene, mcnemar


def pairs(both: int, only_first: int, only_second: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([True] * both + [True] * only_first + [False] * only_second)
    second = np.array([True] * both + [False] * only_first + [True] * only_second)
    return first, second


def test_holm_by_hand() -> None:
    # 4 * .01, 3 * .02, 2 * .03 is no less than before, 1 * .5.
    assert holm({"d": 0.5, "a": 0.01, "c": 0.03, "b": 0.02}) == pytest.approx(
        {"d": 0.5, "a": 0.04, "c": 0.06, "b": 0.06}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
    assert list(holm({"b": 0.1, "a": 0.2})) == ["b", "a"]


def test_mcnemar_counts_coins_where_they_are_few() -> None:
    # One head or none, or as few tails, of six coins: 2 * (1 + 6) / 64.
    assert mcnemar(*pairs(10, 1, 5)) == (1.0, pytest.approx(14 / 64))
    assert mcnemar(*pairs(10, 5, 1)) == mcnemar(*pairs(0, 1, 5))
    assert mcnemar(*pairs(3, 0, 0)) == (0.0, 1.0)
    assert mcnemar(*pairs(3, 2, 2))[1] == 1.0


def test_mcnemar_of_many_is_corrected_for_continuity() -> None:
    statistic, p = mcnemar(*pairs(0, 5, EXACT_BELOW - 5))
    assert statistic == pytest.approx((EXACT_BELOW - 10 - 1) ** 2 / EXACT_BELOW)
    # Of one degree of freedom: the two tails of a normal variable.
    assert p == pytest.approx(math.erfc(math.sqrt(statistic / 2)))


def test_delong_compares_the_areas() -> None:
    first, second = np.array([0.9, 0.8, 0.3, 0.1]), np.array([0.9, 0.2, 0.3, 0.1])
    right = np.array([True, True, False, False])
    difference, error, p = delong(first, right, second, right)
    assert difference == pytest.approx(3 / 4 - 1)
    assert error > 0
    assert 0 < p < 1
    assert delong(second, right, first, right)[0] == pytest.approx(1 / 4)


def test_rows_of_one_group_are_one_observation() -> None:
    difference, group = np.array([1.0, 1.0, 2.0, 2.0]), np.array([0, 0, 1, 1])
    t, p = clustered_t(difference, group)
    # Group sums around the mean of 1.5 are -1 and 1: error sqrt(2 * 2) / 4; one degree of freedom.
    assert t == pytest.approx(1.5 / 0.5)
    assert p == pytest.approx(1 - 2 / math.pi * math.atan(3.0))


@pytest.mark.parametrize(
    ("difference", "group"), [([], []), ([1.0, 2.0], [3, 3]), ([0.5, 0.5], [0, 1])], ids=["none", "one group", "alike"]
)
def test_without_groups_or_variation_there_is_no_t(difference: list[float], group: list[int]) -> None:
    assert all(map(math.isnan, clustered_t(np.array(difference), np.array(group, dtype=np.int64))))


def test_spread_without_variation_is_not_tested() -> None:
    same, other = np.array([0.5, 0.5, 0.5]), np.array([0.1, 0.2, 0.6])
    assert all(map(math.isnan, levene(other[:1], same)))
    assert levene(other, same)[1] < 1
