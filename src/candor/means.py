"""Means that can be taken in parts: over micro-batches, over processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike


@dataclass(slots=True)
class Means:
    """Named means, kept as sum and weight so that parts can be put together exactly.

    >>> means = Means()
    >>> means.add("accuracy", [1.0, 0.0])
    >>> means.add("accuracy", [1.0])
    >>> round(means.values()["accuracy"], 3)
    0.667
    """

    sums: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, values: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Put values into the mean called ``name``; nothing at all if there are none."""
        values = np.asarray(values, dtype=np.float64)
        weights = np.ones_like(values) if weights is None else np.broadcast_to(weights, values.shape)
        if values.size:
            self.sums[name] = self.sums.get(name, 0.0) + float((values * weights).sum())
            self.weights[name] = self.weights.get(name, 0.0) + float(weights.sum())

    def merge(self, other: Means) -> None:
        """Put another means's parts into this one."""
        for name, total in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + total
            self.weights[name] = self.weights.get(name, 0.0) + other.weights[name]

    def values(self) -> Mapping[str, float]:
        """Every mean whose weight is not 0."""
        return {name: total / self.weights[name] for name, total in self.sums.items() if self.weights[name] != 0.0}
