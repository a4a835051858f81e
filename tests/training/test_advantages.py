"""Group advantages, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from candor.training.advantages import group_advantages, label_advantages

NAN = math.nan


# --------------------------------------------------------------------------------------------------- advantages


def test_advantages_by_hand() -> None:
    rewards = np.array([[1.0, 2.0, 3.0, 6.0]])
    assert group_advantages(rewards, divide_by_std=False).values_P_G.tolist() == [[-2, -1, 0, 3]]
    std = math.sqrt((4 + 1 + 0 + 9) / 4)
    divided = group_advantages(rewards, divide_by_std=True, eps=1e-300)
    assert divided.values_P_G == pytest.approx(np.array([[-2, -1, 0, 3]]) / std)
    assert not divided.constant_P.any()


@pytest.mark.parametrize("divide_by_std", [True, False])
def test_constant_groups_and_groups_of_one_teach_nothing(divide_by_std: bool) -> None:
    constant = group_advantages(np.array([[0.1, 0.1, 0.1], [0.0, 0.0, 1.0]]), divide_by_std=divide_by_std)
    assert constant.constant_P.tolist() == [True, False]
    assert constant.values_P_G[0].tolist() == [0, 0, 0]
    one = group_advantages(np.array([[5.0], [-3.0]]), divide_by_std=divide_by_std)
    assert one.constant_P.tolist() == [True, True]
    assert one.values_P_G.tolist() == [[0], [0]]


def test_unscorable_completions_stay_out_of_the_baseline() -> None:
    rewards = np.array([[1.0, NAN, 3.0], [NAN, NAN, 4.0], [NAN, NAN, NAN]])
    advantages = group_advantages(rewards, divide_by_std=False)
    assert advantages.values_P_G.tolist() == [[-1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert advantages.constant_P.tolist() == [False, True, True]
    assert advantages.unscorable == 6
    assert group_advantages(rewards, divide_by_std=True, eps=1e-300).values_P_G[0].tolist() == [-1, 0, 1]


groups = arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-100, 100))


@given(groups, st.booleans(), st.floats(-50, 50), st.floats(0.5, 20))
def test_advantages_sum_to_nothing_and_ignore_a_shift(
    rewards: np.ndarray, divide_by_std: bool, shift: float, scale: float
) -> None:
    advantages = group_advantages(rewards, divide_by_std=divide_by_std, eps=1e-300)
    assert advantages.values_P_G.sum(1) == pytest.approx(0.0, abs=1e-6)
    spread = rewards.std(1) > 1e-3  # smaller ones are at the mercy of rounding
    moved = group_advantages(rewards * scale + shift, divide_by_std=divide_by_std, eps=1e-300)
    factor = 1.0 if divide_by_std else scale
    assert moved.values_P_G[spread] == pytest.approx(factor * advantages.values_P_G[spread], abs=1e-6)
    if divide_by_std:
        assert advantages.values_P_G[spread].std(1) == pytest.approx(1.0)


def test_label_advantages_compare_within_a_label() -> None:
    rewards = np.array([[1.0, 5.0, 3.0, 10.0, NAN], [2.0, 4.0, 8.0, 8.0, 0.0]])
    labels = np.array([[0, 0, 1, 1, 1], [-1, -1, 2, 2, 0]])
    assert label_advantages(rewards, labels).tolist() == [[-2, 2, -3.5, 3.5, 0], [-1, 1, 0, 0, 0]]
