"""Intervals of a share whose rows come in groups: how many independent rows the rows are worth, and Wilson's interval.

Rows of one group (claims about one page, one claim with several pieces of evidence) are alike more often than chance,
so n of them say less than n independent rows. The design effect (Kish 1965) is by how much less: the variance of the
share over groups, divided by what it would be without groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from candor.metrics.bootstrap import LEVEL

Floats = NDArray[np.float64]
Interval = tuple[float, float]

NO_GROUPS: Final = "fewer than two groups of rows: nothing to resample"
"""Why a figure of one group has no interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of n rows in groups.

    Attributes:
        value: in [0, 1]; NaN without rows.
        interval: at the level asked for; ``None`` without rows.
        n: rows.
        groups: groups of rows.
        effective: number of independent rows that say as much, in (0, n].
    """

    value: float
    interval: Interval | None
    n: int
    groups: int
    effective: float


def group_sums(values_N: ArrayLike, group_N: NDArray[np.int64]) -> Floats:
    """Sum of the values in each of the G groups, in the order of their codes, [G]."""
    member_N = np.unique(group_N, return_inverse=True)[1]
    return np.bincount(member_N, weights=np.asarray(values_N, dtype=np.float64)).astype(np.float64)


def kish_size(size_G: Floats) -> float:
    """Number of independent rows that groups are worth if all rows of a group are alike (Kish 1965).

    >>> kish_size(np.array([2.0, 2.0, 2.0]))
    3.0
    """
    return float(size_G.sum() ** 2 / (size_G @ size_G))


def degrees_of_freedom(part_G: Floats) -> float:
    """Degrees of freedom of a variance that is the sum of squares of G parts, at most G - 1 and at least 1.

    The sum of squares varies the more, the heavier the tails of the parts are; the chi-square that varies as much
    tells how many of them count (Satterthwaite 1946). A figure that hangs on few groups so has few.

    Args:
        part_G: what each group adds to the figure, around 0.
    """
    square_G = part_G**2
    total = float(square_G.sum())
    if total == 0.0 or part_G.size < 3:
        return float(max(part_G.size - 1, 1))
    scatter = float(((square_G - total / part_G.size) ** 2).sum())
    found = math.inf if scatter == 0.0 else 2 * total**2 / scatter
    return max(min(found, part_G.size - 1.0), 1.0)


def wilson_interval(share: float, n: float, quantile: float) -> Interval:
    """Wilson's score interval of a share (Wilson 1927), without continuity correction.

    Args:
        share: in [0, 1].
        n: number of independent rows, above 0; it need not be whole.
        quantile: of the normal distribution, 1.96 for 95 %, or of Student's.

    >>> [round(end, 3) for end in wilson_interval(0.8, 10, 1.96)]
    [0.49, 0.943]
    """
    square = quantile**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = quantile / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def certain_share_interval(value: float, n: float, level: float = LEVEL) -> Interval:
    """Clopper-Pearson interval of a share of exactly 0 or 1 of n independent rows, which need not be a whole number.

    >>> [round(end, 4) for end in certain_share_interval(1.0, 20)]
    [0.8316, 1.0]
    """
    end = ((1 - level) / 2) ** (1 / n)
    return (end, 1.0) if value == 1.0 else (0.0, 1 - end)


def clustered_share(hits_N: ArrayLike, group_N: NDArray[np.int64], level: float = LEVEL) -> Share:
    """A share of rows in groups, with Wilson's interval at the number of independent rows that they are worth.

    The variance over groups gives the design effect, which is never taken as below 1. Where rows come in groups and it
    is above 1, Student's quantile stands for the normal one (as Korn and Graubard 1998 do for the Clopper-Pearson
    interval): a variance that is estimated from few groups is known badly, a binomial one is not. A share of exactly 0
    or 1 shows no variance: it has the Clopper-Pearson interval at Kish's number, as if all rows of a group were alike.

    Args:
        hits_N: whether each row counts, of N rows.
        group_N: code of each row's group.
        level: share of repetitions whose interval holds the truth, in (0, 1).
    """
    hit_G = group_sums(hits_N, group_N)
    size_G = group_sums(np.ones(group_N.size), group_N)
    n, groups = int(group_N.size), hit_G.size
    if n == 0:
        return Share(math.nan, None, 0, 0, 0.0)
    value = float(hit_G.sum() / n)
    if value in (0.0, 1.0):
        effective = kish_size(size_G)
        return Share(value, certain_share_interval(value, effective, level), n, groups, effective)
    part_G = hit_G - value * size_G
    effective = min(effective_rows(part_G, size_G, value * (1 - value)), n)
    quantile = float(special.ndtri((1 + level) / 2))
    if groups < n and effective < n:
        quantile = float(special.stdtrit(degrees_of_freedom(part_G), (1 + level) / 2))
    return Share(value, wilson_interval(value, effective, quantile), n, groups, effective)


def effective_rows(part_G: Floats, size_G: Floats, variance: float) -> float:
    """Rows divided by the design effect, at most the number of rows.

    Args:
        part_G: sum of each group's deviations from the mean.
        size_G: rows of each group.
        variance: of one row, above 0.
    """
    n, groups = float(size_G.sum()), part_G.size
    if groups < 2:
        return kish_size(size_G)
    clustered = groups / (groups - 1) * float(part_G @ part_G)
    plain = variance * n * n / max(n - 1, 1.0)
    return n / max(clustered / plain, 1.0)


def clustered_mean(
    values_N: ArrayLike, group_N: NDArray[np.int64], level: float = LEVEL
) -> tuple[float, Interval | None]:
    """Mean of rows in groups with Student's interval, its variance taken over groups.

    Returns:
        NaN without rows; no interval with fewer than two groups.
    """
    value_N = np.asarray(values_N, dtype=np.float64)
    if value_N.size == 0:
        return math.nan, None
    mean = float(value_N.mean())
    part_G = group_sums(value_N - mean, group_N)
    groups = part_G.size
    if groups < 2:
        return mean, None
    error = math.sqrt(groups / (groups - 1) * float(part_G @ part_G)) / value_N.size
    reach = float(special.stdtrit(degrees_of_freedom(part_G), (1 + level) / 2)) * error
    return mean, (mean - reach, mean + reach)
