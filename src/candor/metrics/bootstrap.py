"""Intervals and p-values from resamples."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL: Final = 0.95
"""Coverage of every interval."""

RESAMPLES: Final = 10_000
"""Bootstrap resamples, as many as in the study."""

_DEFINED: Final = 0.95
"""A figure that is undefined in more than 5 % of the resamples gets no interval: it would be of another population."""


def _defined(values_R: Floats) -> Floats | None:
    finite = np.isfinite(values_R)
    if finite.all():
        return values_R if values_R.size else None
    return values_R[finite] if finite.mean() >= _DEFINED else None


def _quantiles(values_R: Floats, shares: tuple[float, float]) -> Interval:
    """Linearly interpolated quantiles, as numpy's, at a fraction of the overhead."""
    places = [share * (values_R.size - 1) for share in shares]
    lows = [math.floor(place) for place in places]
    highs = [min(low + 1, values_R.size - 1) for low in lows]
    ordered = np.partition(values_R, sorted({*lows, *highs}))
    low, high = (
        float(ordered[under] + (place - under) * (ordered[over] - ordered[under]))
        for place, under, over in zip(places, lows, highs, strict=True)
    )
    return low, high


def percentile_interval(values_R: Floats, level: float = LEVEL) -> Interval | None:
    """Percentile interval (Efron 1979); ``None`` where too many resamples leave the figure undefined."""
    defined = _defined(values_R)
    if defined is None:
        return None
    return _quantiles(defined, ((1 - level) / 2, (1 + level) / 2))


def bca_interval(
    value: float, values_R: Floats, left_T: Floats, weight_T: Floats, level: float = LEVEL
) -> Interval | None:
    """Bias-corrected and accelerated interval (Efron 1987, with the jackknife's acceleration).

    Args:
        value: the figure on the data.
        values_R: the figure on R resamples.
        left_T: the figure with one group left out, once per kind of group.
        weight_T: number of groups of each kind.
        level: share of repetitions whose interval holds the truth.

    Returns:
        ``None`` where a correction is infinite or undefined (all resamples on one side, or all alike).
    """
    defined = _defined(values_R)
    if defined is None or not np.isfinite(left_T).all():
        return None
    scale = 1e-12 * max(1.0, abs(value))
    below = (defined < value - scale).mean() + (np.abs(defined - value) <= scale).mean() / 2
    if not 0.0 < below < 1.0:
        return None
    bias = special.ndtri(below)
    deviation_T = np.average(left_T, weights=weight_T) - left_T
    spread = float(weight_T @ deviation_T**2)
    if spread <= 0.0:
        return None
    acceleration = float(weight_T @ deviation_T**3) / (6 * spread**1.5)
    tails = special.ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    shrink = 1 - acceleration * (bias + tails)
    if (shrink <= 0).any():
        return None
    low, high = special.ndtr(bias + (bias + tails) / shrink).tolist()
    return _quantiles(defined, (low, high))


def two_sided_p(value: float, values_R: Floats) -> float:
    """Return p of "no difference": (1 + count) / (1 + n) (Davison and Hinkley 1997, section 4.2).

    ``count`` is how many of the n resampled differences lie at least as far from the observed difference as that lies
    from 0: under "no difference" the resamples, moved to be centred at 0, show what chance does.

    >>> two_sided_p(0.5, np.array([0.4, 0.5, 0.6]))
    0.25
    """
    if not math.isfinite(value):
        return math.nan
    defined = _defined(values_R)
    if defined is None:
        return math.nan
    count = int((np.abs(defined - value) >= abs(value) - 1e-12).sum())
    return (1 + count) / (1 + defined.size)


def certain_share_interval(value: float, n: int, level: float = LEVEL) -> Interval:
    """Clopper-Pearson interval of a share of exactly 0 or 1 of n, where every resample is alike and says nothing.

    >>> [round(end, 4) for end in certain_share_interval(1.0, 20)]
    [0.8316, 1.0]
    """
    interval = stats.binomtest(round(value * n), n).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)
