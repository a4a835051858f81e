"""Figures as they would be if gold labels came in other shares: a test set with half NA is not what users meet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from candor.errors import PredictionError
from candor.metrics.bootstrap import RESAMPLES
from candor.metrics.classification import divide
from candor.metrics.figures import MOST_LEVELS, RowFigures, sizes, why_undefined
from candor.metrics.paired import Metric, PairFigures, resampled_interval, without_confidence
from candor.metrics.resampling import Kernel, Resampler
from candor.metrics.shares import NO_GROUPS, degrees_of_freedom
from candor.metrics.views import View
from candor.types import LABELS

Floats = NDArray[np.float64]

REWEIGHTED: Final = (
    "accuracy",
    "macro_f1",
    "na_precision",
    "pass_precision",
    "fail_precision",
    "na_rate",
    "brier",
    "log_score",
    "auroc",
    "augrc",
)
"""Figures that depend on how often each gold label occurs, and are defined for rows that count by parts."""


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse what are no shares of the gold labels.

    Args:
        shares: of each gold label, by its name (``PASS``, ``FAIL``, ``NA``), at least 0; they add up to 1.

    Raises:
        PredictionError: the shares are not such.
    """
    names = [label.value for label in LABELS]
    if set(shares) == set(names):
        values = [float(value) for value in shares.values()]
        if all(value >= 0 for value in values) and abs(math.fsum(values) - 1) <= 1e-6:
            return
    raise PredictionError(f"class shares are {dict(shares)}: needs {', '.join(names)}, each at least 0, 1 in all")


def absent_label(view: View, shares: Mapping[str, float]) -> str | None:
    """Return the first gold label that has a share and no example; ``None`` where each has one."""
    for code, label in enumerate(LABELS):
        if shares[label.value] > 0 and not (view.gold_N == code).any():
            return label.value
    return None


def reweighted_figures(
    view: View, shares: Mapping[str, float], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Metric]:
    """Every figure in ``REWEIGHTED`` if gold labels came in the stated shares.

    Each row counts as its gold label's share divided by how often the label occurs, on the data and in every resample
    (post-stratification). That is right if answers to examples of one gold label would stay as they are, whatever the
    shares (label shift); recall and the false-NA rate within one label then do not change.

    Args:
        view: N answers.
        shares: of each gold label, as :func:`check_shares` wants them.
        resamples: at least 1.
        seed: the same seed gives the same intervals.

    Raises:
        PredictionError: the shares are not such, or a label that has one does not occur.
    """
    _check(view, shares)
    kernels = [RowFigures(view, most) for most in (None, MOST_LEVELS)]
    exact, drawn = (_Weighted(one.sums_N_M, one.figures, view, shares, REWEIGHTED) for one in kernels)
    found, number = _judged(exact, drawn, view, resamples, seed), sizes(view)
    return {name: _metric(*found[name], number[name], why_undefined(name, view)) for name in REWEIGHTED}


def reweighted_pair(
    first: View, second: View, shares: Mapping[str, float], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[dict[str, Metric], dict[str, Metric], dict[str, Metric]]:
    """:func:`reweighted_figures` of two predictors on the same rows, and second minus first.

    A difference of a figure that needs a confidence is taken on the rows where both have one. Differences have no p.

    Args:
        first: N answers.
        second: N answers, with the same gold labels and groups row by row.
        shares: of each gold label, as :func:`check_shares` wants them.
        resamples: at least 1.
        seed: the same seed gives the same intervals.

    Raises:
        PredictionError: the shares are not such, or a label that has one does not occur.
    """
    _check(first, shares)
    parts = ("first", "second", "difference")
    names = [f"{part}.{name}" for part in parts for name in REWEIGHTED]
    kernels = [PairFigures(first, second, most) for most in (None, MOST_LEVELS)]
    exact, drawn = (_Weighted(one.sums_N_M, one.figures, first, shares, names) for one in kernels)
    found = _judged(exact, drawn, first, resamples, seed)
    common = without_confidence(first, ~(first.usable & second.usable))
    sides = [
        {name: _metric(*found[f"{part}.{name}"], sizes(view)[name], why_undefined(name, view)) for name in REWEIGHTED}
        for part, view in zip(parts, (first, second, common), strict=True)
    ]
    return sides[0], sides[1], sides[2]


def _check(view: View, shares: Mapping[str, float]) -> None:
    check_shares(shares)
    absent = absent_label(view, shares)
    if absent is not None:
        raise PredictionError(f"no example has the gold label {absent}: its share cannot be {shares[absent]:g}")


class _Weighted:
    """Figures of rows that count by their gold label's share.

    Attributes:
        sums_N_M: sparse; how many rows of each gold label, then the sums behind the figures, gold label by gold label.
    """

    def __init__(
        self,
        sums_N_M: scipy.sparse.csr_array,
        figures: Kernel,
        view: View,
        shares: Mapping[str, float],
        names: Sequence[str],
    ) -> None:
        self._figures, self._names = figures, names
        self._share_3 = np.array([shares[label.value] for label in LABELS], dtype=np.float64)
        gold_3_N = view.gold_N == np.arange(len(LABELS))[:, None]
        counts_N_3 = scipy.sparse.csr_array(gold_3_N.T.astype(np.float64))
        by_gold = [sums_N_M * gold_N[:, None] for gold_N in gold_3_N]
        self.sums_N_M = scipy.sparse.hstack([counts_N_3, *by_gold], format="csr")

    def figures(self, sums_M_R: Floats) -> dict[str, Floats]:
        """Return every figure, each [R]; NaN where a label that has a share does not occur."""
        share_3_1, count_3_R = self._share_3[:, None], sums_M_R[: len(LABELS)]
        parts_3_M_R = sums_M_R[len(LABELS) :].reshape(len(LABELS), -1, sums_M_R.shape[1])
        # A label whose share is 0 counts nothing; of one that a resample lacks there is nothing to weight.
        defined_R = ((count_3_R > 0) | (share_3_1 == 0)).all(axis=0)
        weight_3_R = divide(share_3_1 * count_3_R.sum(axis=0), count_3_R)
        weight_3_R = np.where((share_3_1 > 0) & (count_3_R > 0), weight_3_R, 0.0)
        values = self._figures(np.einsum("kr,kmr->mr", weight_3_R, parts_3_M_R))
        return {name: np.where(defined_R, values[name], np.nan) for name in self._names}


def _judged(
    exact: _Weighted, drawn: _Weighted, view: View, resamples: int, seed: int
) -> dict[str, tuple[float, tuple[float, float] | None, str | None]]:
    """Value, interval and why there is none, by name."""
    values = exact.figures(np.asarray(exact.sums_N_M.sum(axis=0)).reshape(-1, 1))
    resampler = Resampler(drawn.sums_N_M, view.group_N, seed=seed)
    observed = drawn.figures(resampler.observed())
    resampled = resampler.resampled(drawn.figures, resamples, np.random.default_rng(seed))
    left = resampler.without_one(drawn.figures)
    found: dict[str, tuple[float, tuple[float, float] | None, str | None]] = {}
    for name in values:
        value, left_T = float(values[name][0]), left[name]
        if resampler.groups < 2 or not math.isfinite(value):
            found[name] = (value, None, NO_GROUPS)
            continue
        freedom = degrees_of_freedom(left_T - left_T.mean()) if np.isfinite(left_T).all() else 1.0
        found[name] = (value, *resampled_interval(resampled[name] + value - float(observed[name][0]), freedom))
    return found


def _metric(value: float, interval: tuple[float, float] | None, reason: str | None, n: int, undefined: str) -> Metric:
    return Metric(value, interval, n, reason) if math.isfinite(value) else Metric(math.nan, None, n, undefined)
