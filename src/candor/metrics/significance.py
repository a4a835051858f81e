"""Classical tests on paired answers, and the correction for testing many things.

Bootstrap tests are in :mod:`candor.metrics.bootstrap`; these ask the same by other means.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from candor.metrics import schema
from candor.metrics.paired_share import sign_flip
from candor.metrics.shares import degrees_of_freedom, group_sums
from candor.metrics.views import View
from candor.types import LABELS, Label

Floats = NDArray[np.float64]

EXACT_BELOW: Final = 25
"""McNemar's test is exact below this many discordant pairs; the usual limit of its chi-square form."""


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction: the chance of any false alarm among the tests stays at the level (Holm 1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    corrected: dict[str, float] = {}
    reached = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = reached
    return {name: corrected[name] for name in p_values}


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, float]:
    """McNemar's test that two answers to the same questions are right equally often.

    Exact (binomial) below ``EXACT_BELOW`` discordant pairs, else chi-square with continuity correction.

    Returns:
        statistic (the smaller discordant count where exact, else chi-square) and two-sided p; p is 1 without discordant
        pairs.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    smaller = min(only_first, only_second)
    if discordant < EXACT_BELOW:
        return float(smaller), float(stats.binomtest(smaller, discordant).pvalue) if discordant else 1.0
    statistic = (abs(only_first - only_second) - 1) ** 2 / discordant
    return float(statistic), float(stats.chi2.sf(statistic, 1))


def placements(score_N: Floats, positive_N: NDArray[np.bool_]) -> tuple[float, Floats]:
    """AUROC, and each row's placement divided by its class's share of the variance (Sun and Xu 2014, midranks)."""
    positives, negatives = int(positive_N.sum()), int((~positive_N).sum())
    midrank_N = stats.rankdata(score_N)
    placement_N = np.empty(score_N.size)
    inside_positive = stats.rankdata(score_N[positive_N])
    inside_negative = stats.rankdata(score_N[~positive_N])
    placement_N[positive_N] = (midrank_N[positive_N] - inside_positive) / negatives
    placement_N[~positive_N] = 1 - (midrank_N[~positive_N] - inside_negative) / positives
    area = float(placement_N[positive_N].mean())
    size_N = np.where(positive_N, positives * (positives - 1), negatives * (negatives - 1))
    return area, (placement_N - area) / np.sqrt(size_N)


def delong(
    first: Floats,
    first_positive: NDArray[np.bool_],
    second: Floats,
    second_positive: NDArray[np.bool_],
    group_N: NDArray[np.int64] | None = None,
) -> tuple[float, float, float]:
    """DeLong's test of two AUROCs on the same rows, each with its own outcome.

    What each row adds to an AUROC (its placement, DeLong et al. 1988) is known, so the variance of the difference is
    the sum of squared differences of what rows, or groups of rows, add. With one outcome for both it is DeLong's.

    Args:
        first: scores of the N rows.
        first_positive: their outcomes, at least two of each kind.
        second: other scores of the same rows.
        second_positive: the outcomes that belong to them.
        group_N: rows of one group are not independent; ``None`` for groups of one.

    Returns:
        second AUROC minus first, standard error, two-sided p: normal, or Student's where rows come in groups (NaN where
        difference and error are both 0).
    """
    first_area, first_part_N = placements(first, first_positive)
    second_area, second_part_N = placements(second, second_positive)
    part_N = second_part_N - first_part_N
    if group_N is not None:
        member_N = np.unique(group_N, return_inverse=True)[1]
        part_N = np.bincount(member_N, weights=part_N).astype(np.float64)
    error = math.sqrt(float(part_N @ part_N))
    difference = second_area - first_area
    if error == 0.0:
        return difference, error, math.nan if difference == 0.0 else 0.0
    freedom = math.inf if group_N is None or part_N.size == first.size else degrees_of_freedom(part_N)
    return difference, error, float(2 * stats.t.sf(abs(difference) / error, freedom))


def clustered_t(difference_N: Floats, group_N: NDArray[np.int64]) -> tuple[float, float]:
    """Paired t-test on row differences, its variance taken over groups; Student's where groups are single rows.

    Returns:
        t and two-sided p; NaN with fewer than two groups or without any variation.
    """
    member_N = np.unique(group_N, return_inverse=True)[1]
    mean = difference_N.mean() if difference_N.size else math.nan
    sum_G = np.bincount(member_N, weights=difference_N - mean).astype(np.float64)
    groups = sum_G.size
    if groups < 2:
        return math.nan, math.nan
    error = math.sqrt(groups / (groups - 1) * float(sum_G @ sum_G)) / difference_N.size
    if error == 0.0:
        return math.nan, math.nan
    t = float(mean / error)
    freedom = groups - 1 if groups == difference_N.size else degrees_of_freedom(sum_G)
    return t, float(2 * stats.t.sf(abs(t), freedom))


def levene(first: Floats, second: Floats) -> tuple[float, float]:
    """Levene's test of equal spread around the median (scipy's default), which ignores that the values are paired.

    Returns:
        statistic and p; NaN with fewer than two values on a side or without any variation.
    """
    if min(first.size, second.size) < 2:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = stats.levene(first, second)
    return float(result.statistic), float(result.pvalue)


def _test(
    name: str,
    method: str,
    outcome: tuple[float, float],
    n: int,
    *,
    paired: bool = True,
    detail: Mapping[str, float] | None = None,
    reason: str = "no variation to test",
) -> schema.Test:
    statistic, p = (value if math.isfinite(value) else None for value in outcome)
    return {
        "name": name,
        "method": method,
        "paired": paired,
        "statistic": statistic,
        "p": p,
        "n": n,
        "detail": dict(detail or {}),
        "reason": None if p is not None else reason,
    }


def mcnemar_test(name: str, what: str, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> schema.Test:
    """:func:`mcnemar` as it stands in results."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    kind = "exact" if only_first + only_second < EXACT_BELOW else "chi-square, continuity corrected"
    outcome = mcnemar(first, second) if first.size else (math.nan, math.nan)
    detail = {"only_base": float(only_first), "only_trained": float(only_second)}
    return _test(name, f"McNemar's test of {what} ({kind})", outcome, first.size, detail=detail, reason="no rows")


def _grouped_mcnemar_test(name: str, what: str, base: View, trained: View) -> schema.Test:
    """McNemar's test with the signs of whole groups flipped: by its exact distribution, computed and not drawn."""
    shift_N = trained.correct.astype(np.float64) - base.correct
    sum_G = group_sums(shift_N, base.group_N)
    outcome, n = (math.nan, math.nan), shift_N.size
    if n:
        outcome = (float(sum_G.sum()), min(1.0, 2 * min(sign_flip(sum_G))))
    detail = {
        "only_base": float((shift_N < 0).sum()),
        "only_trained": float((shift_N > 0).sum()),
        "discordant_groups": float((sum_G != 0).sum()),
    }
    return _test(name, f"McNemar's test of {what}, by group", outcome, n, detail=detail, reason="no rows")


def _delong_test(base: View, trained: View) -> schema.Test:
    outcome, detail = (math.nan, math.nan), {}
    sides = (base.correct, trained.correct)
    if all(2 <= right.sum() <= right.size - 2 for right in sides):
        difference, error, p = delong(base.confidence_N, sides[0], trained.confidence_N, sides[1], base.group_N)
        outcome = (difference / error if error else math.nan, p)
        detail = {"difference": difference, "standard_error": error}
    return _test(
        "delong",
        "DeLong's test of AUROC, each side with its own right answers",
        outcome,
        base.gold_N.size,
        detail=detail,
        reason="needs two right and two wrong answers on each side, and some variation",
    )


def levene_test(base: View, trained: View) -> schema.Test:
    """:func:`levene` on the confidences that each side has, as it stands in results: the study's test, unpaired."""
    own = (base.confidence_N[base.usable], trained.confidence_N[trained.usable])
    method = "Levene's test of equal spread, as if the sides were unpaired"
    return _test("levene", method, levene(*own), own[0].size + own[1].size, paired=False)


def paired_tests(base: View, trained: View) -> dict[str, schema.Test]:
    """Every classical test of two views of the same rows; those of confidences on rows where both have one."""
    tests = {"mcnemar": _grouped_mcnemar_test("mcnemar", "accuracy", base, trained)}
    na = base.gold_N == LABELS.index(Label.NA)
    tests["mcnemar_na"] = _grouped_mcnemar_test("mcnemar_na", "NA recall", base.take(na), trained.take(na))
    both = base.usable & trained.usable
    first, second = base.take(both), trained.take(both)
    n = first.gold_N.size
    tests["delong"] = _delong_test(first, second)
    squares = (second.confidence_N - second.correct) ** 2 - (first.confidence_N - first.correct) ** 2
    tests["brier_paired"] = _test(
        "brier_paired", "paired t-test of squared errors, by group", clustered_t(squares, first.group_N), n
    )
    shift = second.confidence_N - first.confidence_N
    tests["confidence_paired"] = _test(
        "confidence_paired", "paired t-test of confidences, by group", clustered_t(shift, first.group_N), n
    )
    return tests
