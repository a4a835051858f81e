"""Intervals and p-values from resamples."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

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


def percentile_interval(values_R: Floats, level: float = LEVEL, *, freedom: float = math.inf) -> Interval | None:
    """Percentile interval (Efron 1979), expanded for few groups; ``None`` where too many resamples leave it undefined.

    Resamples of G groups vary less than samples do, by (G - 1) / G, and know nothing of how uncertain their own
    spread is. So the quantiles are taken further out, as far as Student's quantile lies beyond the normal one
    (Hesterberg 2015, the expanded percentile interval).

    Args:
        values_R: the figure on R resamples.
        level: share of repetitions whose interval holds the truth.
        freedom: degrees of freedom of the figure's variance; infinite for the plain percentile interval.
    """
    defined = _defined(values_R)
    if defined is None:
        return None
    tail = float(special.ndtr(-_reach(level, freedom)))
    return _quantiles(defined, (tail, 1 - tail))


def _reach(level: float, freedom: float) -> float:
    """How many standard deviations of resamples the ends of an interval lie from its middle."""
    if math.isinf(freedom):
        return float(special.ndtri((1 + level) / 2))
    return float(special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt((freedom + 1) / freedom)


def bca_interval(
    value: float, values_R: Floats, left_T: Floats, level: float = LEVEL, *, freedom: float = math.inf
) -> Interval | None:
    """Bias-corrected and accelerated interval (Efron 1987, with the jackknife's acceleration).

    Args:
        value: the figure on the data.
        values_R: the figure on R resamples.
        left_T: the figure with each group left out in turn.
        level: share of repetitions whose interval holds the truth.
        freedom: degrees of freedom of the figure's variance; the ends are taken further out for few, as in
            :func:`percentile_interval`.

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
    deviation_T = left_T.mean() - left_T
    spread = float(deviation_T @ deviation_T)
    if spread <= 0.0:
        return None
    acceleration = float((deviation_T**3).sum()) / (6 * spread**1.5)
    tails = np.array([-1.0, 1.0]) * _reach(level, freedom)
    shrink = 1 - acceleration * (bias + tails)
    if (shrink <= 0).any():
        return None
    low, high = special.ndtr(bias + (bias + tails) / shrink).tolist()
    return _quantiles(defined, (low, high))


def two_sided_p(value: float, values_R: Floats, *, freedom: float = math.inf) -> float:
    """Return p of "no difference": (1 + count) / (1 + n) (Davison and Hinkley 1997, section 4.2), for few groups more.

    ``count`` is how many of the n resampled differences lie at least as far from the observed difference as that lies
    from 0: under "no difference" the resamples, moved to be centred at 0, show what chance does. With few groups they
    show too little of it; p is raised as :func:`percentile_interval` is widened, by Student's tail for the normal one.

    >>> two_sided_p(0.5, np.array([0.4, 0.5, 0.6]))
    0.25
    """
    if not math.isfinite(value):
        return math.nan
    defined = _defined(values_R)
    if defined is None:
        return math.nan
    count = int((np.abs(defined - value) >= abs(value) - 1e-12).sum())
    p = (1 + count) / (1 + defined.size)
    if math.isinf(freedom):
        return p
    return float(2 * special.stdtr(freedom, special.ndtri(p / 2) * math.sqrt(freedom / (freedom + 1))))
