"""Two shares on the same rows: does the second rise above the first by more than a margin?

Accuracy, recall, "answers NA" and their like are shares of the same rows for both models, so their difference hangs
on the rows where the two disagree. Of few such rows a bootstrap knows nothing: where all of them point one way,
every resample does too. What stands here is right for few rows and for many, and for rows in groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from candor.metrics.bootstrap import LEVEL
from candor.metrics.shares import NO_GROUPS, degrees_of_freedom, effective_rows, group_sums, kish_size

Floats = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST_DISCORDANT: Final = 10
"""Discordant groups from which on a difference is judged: of nine that all point one way, p is .002 and no correction
for many tests leaves .01. Below them the sign-flip test counts ties in full, from there on by half: in full it is small
in 2 to 3 % of draws where 5 % are meant, by half it keeps the level over all tables (Fagerland et al. 2013)."""

_EXACT_ROWS: Final = 150
"""Independent rows up to which the test against a margin looks at every table there is."""

_POWER: Final = 0.8
"""Chance of a decision that ``needed`` is planned for."""


@dataclass(frozen=True, slots=True)
class PairedShare:
    """Second share minus first, on the same rows.

    Attributes:
        difference: in [-1, 1]; NaN without rows.
        interval: score interval at the level asked for; ``None`` with fewer than two groups.
        p: one-sided p of "the difference is at most the margin".
        p_fall: one-sided p of "the difference is at least the margin".
        margin: the difference that is tested against.
        discordant: groups in which the two counts differ.
        examples: rows.
        groups: groups of rows.
        effective: number of independent rows that say as much about the difference.
        enough: whether there are enough rows to judge by: ``FEWEST_DISCORDANT`` discordant groups, or, with a margin
            below 0, so many rows that a fall by the margin would have shown discordant ones.
        needed: about how many rows would decide, in four of five repetitions at this level, if the difference and the
            share of discordant rows were as observed; ``None`` where the difference is the margin.
        reason: why there is no interval.
        standard_error: of the difference; ``None`` without an interval.
    """

    difference: float
    interval: Interval | None
    p: float
    p_fall: float
    margin: float
    discordant: int
    examples: int
    groups: int
    effective: float
    enough: bool
    needed: int | None
    reason: str | None = None
    standard_error: float | None = None

    @property
    def p_two_sided(self) -> float:
        """Return p of "the difference is the margin"."""
        return min(1.0, 2 * min(self.p, self.p_fall)) if math.isfinite(self.p) else math.nan


def paired_share_difference(
    base_hits: ArrayLike,
    trained_hits: ArrayLike,
    groups: NDArray[np.int64],
    *,
    margin: float = 0.0,
    level: float = LEVEL,
) -> PairedShare:
    """Difference of two shares of the same N rows, tested against a margin. Non-inferiority has a margin below 0.

    The interval inverts Tango's score test (Tango 1998), which is right for few discordant rows too, at the number of
    independent rows that the rows are worth: n divided by the design effect of the difference, as in Obuchowski
    (1998). Where rows come in groups, Student's quantile stands for the normal one.

    Against a margin of 0, p is that of the sign-flip test over the sums of groups: without an effect, base and trained
    might as well be exchanged in every group. Its distribution is computed, not drawn; with groups of one row it is
    McNemar's test, exact for few discordant rows and mid-p for more. Against another margin p is the score test's, with
    fewer than ``FEWEST_DISCORDANT`` discordant groups at Kish's number of rows where that is smaller, as if all rows of
    a group were alike: for up to 150 independent rows the largest over all shares of discordant rows of the exact
    chance of a table at least as extreme, else the normal one.

    Args:
        base_hits: whether the first model's row counts, [N].
        trained_hits: whether the second's does, [N].
        groups: code of each row's group, [N]; rows of one group are not independent.
        margin: difference to test against, in (-1, 1).
        level: of the interval, in (0, 1).

    Raises:
        ValueError: the arrays differ in length, or margin or level is out of range.
    """
    shift_N = np.asarray(trained_hits, dtype=np.float64) - np.asarray(base_hits, dtype=np.float64)
    if shift_N.shape != groups.shape or not -1.0 < margin < 1.0 or not 0.0 < level < 1.0:
        raise ValueError(
            f"{shift_N.shape} hits and {groups.shape} groups, margin {margin}, level {level}: needs equal lengths, "
            "a margin in (-1, 1) and a level in (0, 1)"
        )
    n = int(groups.size)
    if n == 0:
        return PairedShare(
            math.nan, None, math.nan, math.nan, margin, 0, 0, 0, 0.0, False, None, "there are no examples"
        )
    sum_G, size_G = group_sums(shift_N, groups), group_sums(np.ones(n), groups)
    rises, falls = float((shift_N > 0).sum()), float((shift_N < 0).sum())
    discordant = int((sum_G != 0).sum())
    difference = (rises - falls) / n
    part_G = sum_G - difference * size_G
    effective = _effective(part_G, size_G, rises, falls)
    table = _Table(rises / n, falls / n, effective)
    # So few say nothing of how alike the rows of a group are: then a test takes the worst for granted.
    careful = min(effective, kish_size(size_G)) if discordant < FEWEST_DISCORDANT else effective
    tested = replace(table, n=careful)
    if margin == 0.0:
        p, p_fall = sign_flip(sum_G)
    else:
        p, p_fall = tested.p_rise(margin), tested.mirrored().p_rise(-margin)
    quantile = float(special.ndtri((1 + level) / 2))
    if sum_G.size < n:
        quantile = float(special.stdtrit(degrees_of_freedom(part_G), (1 + level) / 2))
    # Of so many rows without a fall, a true fall by the margin would be a surprise.
    unseen = margin < 0 and (1 + margin) ** careful <= (1 - level) / 2
    return PairedShare(
        difference,
        table.interval(quantile) if sum_G.size > 1 else None,
        p,
        p_fall,
        margin,
        discordant,
        n,
        sum_G.size,
        effective,
        discordant >= FEWEST_DISCORDANT or unseen,
        _needed(tested, margin, n, level),
        None if sum_G.size > 1 else NO_GROUPS,
        math.sqrt(table.variance() / effective) if sum_G.size > 1 else None,
    )


def sign_flip(sum_G: Floats) -> tuple[float, float]:
    """One-sided p of "no rise" and of "no fall" if each group's sum might as well have the other sign.

    The distribution of the sum under random signs is computed from the whole sums. Below
    ``FEWEST_DISCORDANT`` groups that differ from 0 the observed sum counts in full, from there on by half (mid-p).

    >>> sign_flip(np.array([1.0, 1.0, 1.0, 0.0]))
    (0.125, 1.0)
    """
    sizes, counts = np.unique(np.abs(np.rint(sum_G[sum_G != 0])).astype(np.int64), return_counts=True)
    discordant = int(counts.sum())
    # Position i is the sum 2 i - (sum of sizes): half of the sum of all sizes that came out positive.
    chance = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        positive = np.zeros(size * count + 1)
        positive[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chance = _convolved(chance, positive)
    place = round((float(sum_G.sum()) + float(sizes @ counts)) / 2)
    tie = chance[place] if discordant < FEWEST_DISCORDANT else chance[place] / 2
    return float(min(1.0, chance[place + 1 :].sum() + tie)), float(min(1.0, chance[:place].sum() + tie))


def _convolved(first: Floats, second: Floats) -> Floats:
    if min(first.size, second.size) < 500:
        return np.convolve(first, second)
    size = first.size + second.size - 1
    product = np.fft.irfft(np.fft.rfft(first, size) * np.fft.rfft(second, size), size)
    return np.maximum(product, 0.0)


def _effective(part_G: Floats, size_G: Floats, rises: float, falls: float) -> float:
    n = float(size_G.sum())
    mean = (rises - falls) / n
    variance = (rises + falls) / n - mean**2
    return effective_rows(part_G, size_G, variance) if variance > 0 else kish_size(size_G)


def _needed(table: _Table, margin: float, n: int, level: float) -> int | None:
    distance = table.rise - table.fall - margin
    if abs(distance) < 1e-12:
        return None
    reach = float(special.ndtri((1 + level) / 2) + special.ndtri(_POWER))
    rows = reach**2 * table.variance() / distance**2
    if margin >= 0:
        rows = max(rows, FEWEST_DISCORDANT / table.discordant())
    else:
        rows = max(rows, math.log((1 - level) / 2) / math.log1p(margin))
    return math.ceil(rows * n / table.n - 1e-6)


@dataclass(frozen=True, slots=True)
class _Table:
    """Share of rows that rise and that fall, of n independent rows."""

    rise: float
    fall: float
    n: float

    def mirrored(self) -> _Table:
        return _Table(self.fall, self.rise, self.n)

    def discordant(self) -> float:
        """Share of rows that differ, with half a row each way: to have seen none does not mean that there are none."""
        return (self.n * (self.rise + self.fall) + 1) / (self.n + 2)

    def variance(self) -> float:
        """Of one row's difference; never 0."""
        return max(self.discordant() - (self.rise - self.fall) ** 2, 1 / (self.n + 2))

    def score(self, difference: float) -> float:
        """Tango's statistic: standard normal if the true difference is ``difference``."""
        return float(_score(np.array(self.rise), np.array(self.fall), self.n, difference))

    def interval(self, quantile: float) -> Interval:
        """The differences whose score is at most ``quantile`` in size."""

        def end(sign: int) -> float:
            # At an end of the range the score is infinite or, where all rows point that way, 0.
            edge = sign * (1 - 1e-9)
            if sign * self.score(edge) > -quantile:
                return float(sign)
            return float(
                optimize.brentq(lambda value: sign * self.score(value) + quantile, self.rise - self.fall, edge)
            )

        return end(-1), end(1)

    def p_rise(self, margin: float) -> float:
        """Return p of "the difference is at most ``margin``"."""
        observed = self.score(margin)
        if self.n >= _EXACT_ROWS + 1:
            return float(special.ndtr(-observed))
        rows = max(math.floor(self.n + 1e-6), 1)
        rises, falls = np.divmod(np.arange((rows + 1) ** 2), rows + 1)
        inside = rises + falls <= rows
        rises, falls = rises[inside], falls[inside]
        extreme = _score(rises / rows, falls / rows, rows, margin) >= observed - 1e-9
        rises, falls = rises[extreme], falls[extreme]
        rest = rows - rises - falls
        ways = special.gammaln(rows + 1) - sum(special.gammaln(part + 1) for part in (rises, falls, rest))
        largest = 0.0
        for fall in np.linspace(max(0.0, -margin), (1 - margin) / 2, 65):
            chances = ways + special.xlogy(rises, fall + margin) + special.xlogy(falls, fall)
            chances += special.xlogy(rest, max(1 - 2 * fall - margin, 0.0))
            largest = max(largest, float(np.exp(chances).sum()))
        return min(1.0, largest)


def _score(rise: Floats, fall: Floats, n: float, difference: float) -> Floats:
    """Tango's (1998) score of tables (share that rises, share that falls) of n rows at a difference."""
    # Likeliest share of falls if the true difference is `difference`: the larger root of 2 p^2 + b p + c.
    linear = -(rise + fall) + (2 - rise + fall) * difference
    constant = -fall * difference * (1 - difference)
    root = (np.sqrt(np.maximum(linear**2 - 8 * constant, 0.0)) - linear) / 4
    likeliest = np.clip(root, max(0.0, -difference), (1 - difference) / 2)
    error = np.sqrt(np.maximum(2 * likeliest + difference * (1 - difference), 0.0) / n)
    distance = rise - fall - difference
    # Where the difference leaves no room for chance, any other one is out of the question.
    score = np.where(np.abs(distance) < 1e-12, 0.0, np.copysign(np.inf, distance))
    np.divide(distance, error, out=score, where=error > 0)
    return score
