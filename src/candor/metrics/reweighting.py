"""Figures as they would be if gold labels came in other shares: a test set with half NA is not what users meet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from candor.errors import PredictionError
from candor.metrics.bootstrap import RESAMPLES
from candor.metrics.classification import divide
from candor.metrics.figures import RowFigures, sizes, why_undefined
from candor.metrics.paired import Metric, resampled_interval
from candor.metrics.resampling import Resampler
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


def reweighted_figures(
    view: View, shares: Mapping[str, float], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Metric]:
    """Every figure in ``REWEIGHTED`` if gold labels came in the stated shares.

    Each row counts as its gold label's share divided by how often the label occurs, on the data and in every resample
    (post-stratification). That is right if answers to examples of one gold label would stay as they are, whatever the
    shares (label shift); recall and the false-NA rate within one label then do not change.

    Args:
        view: N answers.
        shares: of each gold label, by its name (``PASS``, ``FAIL``, ``NA``), at least 0; they add up to 1.
        resamples: at least 1.
        seed: the same seed gives the same intervals.

    Raises:
        PredictionError: the shares are not such, or a label that has one does not occur.
    """
    names = [label.value for label in LABELS]
    share_3 = np.array([shares.get(name, math.nan) for name in names], dtype=np.float64)
    if set(shares) != set(names) or not (share_3 >= 0).all() or abs(float(share_3.sum()) - 1) > 1e-6:
        raise PredictionError(f"class shares are {dict(shares)}: needs {', '.join(names)}, each at least 0, 1 in all")
    gold_3_N = view.gold_N == np.arange(len(LABELS))[:, None]
    absent = [name for name, share, gold_N in zip(names, share_3, gold_3_N, strict=True) if share and not gold_N.any()]
    if absent:
        raise PredictionError(f"no example has the gold label {absent[0]}: its share cannot be {shares[absent[0]]:g}")

    kernel = RowFigures(view)
    by_gold = [kernel.sums_N_M * gold_N[:, None] for gold_N in gold_3_N]
    counts_N_3 = scipy.sparse.csr_array(gold_3_N.T.astype(np.float64))
    width = kernel.sums_N_M.shape[1]

    def figures(sums_M_R: Floats) -> dict[str, Floats]:
        count_3_R, parts_M_R = sums_M_R[: len(LABELS)], sums_M_R[len(LABELS) :]
        # A label whose share is 0 counts nothing; one that a resample lacks leaves its figures undefined.
        weight_3_R = np.where(share_3[:, None] > 0, divide(share_3[:, None] * count_3_R.sum(axis=0), count_3_R), 0.0)
        values = kernel.figures(np.einsum("kr,kmr->mr", weight_3_R, parts_M_R.reshape(len(LABELS), width, -1)))
        defined_R = np.isfinite(weight_3_R).all(axis=0)
        return {name: np.where(defined_R, values[name], np.nan) for name in REWEIGHTED}

    resampler = Resampler(scipy.sparse.hstack([counts_N_3, *by_gold], format="csr"), view.group_N, seed=seed)
    values = figures(resampler.observed())
    resampled = resampler.resampled(figures, resamples, np.random.default_rng(seed))
    left = resampler.without_one(figures)
    number = sizes(view)
    found = {}
    for name in REWEIGHTED:
        value, left_T = float(values[name][0]), left[name]
        if not math.isfinite(value):
            found[name] = Metric(math.nan, None, number[name], why_undefined(name, view))
        elif resampler.groups < 2:
            found[name] = Metric(value, None, number[name], NO_GROUPS)
        else:
            freedom = degrees_of_freedom(left_T - left_T.mean()) if np.isfinite(left_T).all() else 1.0
            interval, reason = resampled_interval(resampled[name], freedom)
            found[name] = Metric(value, interval, number[name], reason)
    return found
