"""Advantages as pure functions: within a group, and among completions with one label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ZERO_SPREAD = 1e-6
"""A group whose rewards differ by less has nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Advantages:
    """Advantages of the completions of P groups.

    Attributes:
        values_P_G: advantage of each completion; 0 where it could not be scored.
        constant_P: groups with fewer than two scorable completions or without spread; all their advantages are 0.
        unscorable: number of completions without a reward.
    """

    values_P_G: NDArray[np.float64]
    constant_P: NDArray[np.bool_]
    unscorable: int


def group_advantages(rewards_P_G: NDArray[np.float64], *, divide_by_std: bool, eps: float = 1e-4) -> Advantages:
    """Reward minus the group's mean, divided by the group's standard deviation or not.

    NaN marks a completion that cannot be scored: it has no part in its group's mean and gets no advantage. A group of
    one, or with equal rewards, has no advantages. The standard deviation divides by the number of completions.

    >>> group_advantages(np.array([[1.0, 3.0], [2.0, 2.0]]), divide_by_std=False).values_P_G.tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    scored = ~np.isnan(rewards_P_G)
    counts = np.maximum(scored.sum(1, keepdims=True), 1)
    filled = np.where(scored, rewards_P_G, 0.0)
    centred = np.where(scored, rewards_P_G - filled.sum(1, keepdims=True) / counts, 0.0)
    std = np.sqrt((centred**2).sum(1, keepdims=True) / counts)
    constant = (std[:, 0] < ZERO_SPREAD) | (scored.sum(1) < 2)
    values = np.where(constant[:, None], 0.0, centred / (std + eps) if divide_by_std else centred)
    return Advantages(values, constant, int((~scored).sum()))


def label_advantages(rewards_P_G: NDArray[np.float64], labels_P_G: NDArray[np.int64]) -> NDArray[np.float64]:
    """Reward minus the mean over the group's completions with the same label: what the confidence alone decides.

    >>> label_advantages(np.array([[1.0, 3.0, 9.0]]), np.array([[0, 0, 1]])).tolist()
    [[-1.0, 1.0, 0.0]]
    """
    same = (labels_P_G[:, :, None] == labels_P_G[:, None, :]) & ~np.isnan(rewards_P_G)[:, None, :]
    filled = np.nan_to_num(rewards_P_G, nan=0.0)
    baseline = (same * filled[:, None, :]).sum(2) / np.maximum(same.sum(2), 1)
    advantages: NDArray[np.float64] = np.nan_to_num(rewards_P_G - baseline, nan=0.0)
    return advantages
