"""Figures of ranking: does a higher confidence mean a better answer, and what if only the surest are accepted?

Arguments as in :mod:`candor.metrics.calibration`: L distinct confidences, highest first, right and wrong answers at
each, R resamples at once. Answers of equal confidence are never ordered among themselves.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.metrics.classification import divide

Floats = NDArray[np.float64]

RISKS: Final[dict[str, float]] = {"coverage_at_1": 0.01, "coverage_at_5": 0.05, "coverage_at_10": 0.10}
"""Risk that each coverage figure allows."""


def ranking_figures(right_L_R: Floats, wrong_L_R: Floats, all_R: Floats) -> dict[str, Floats]:
    """AUROC, AUPRC, area under the risk-coverage curve, and coverages at a given risk.

    * AUROC: share of (right, wrong) pairs in which the right answer is more confident, ties one half.
    * AUPRC: average precision with "right" as the positive class, one threshold per distinct confidence
      (scikit-learn's ``average_precision_score``).
    * AURC: mean over k = 1 ... n of the error rate among the k surest answers (Geifman and El-Yaniv 2017), in
      expectation over the order of ties; excess: minus the AURC of an oracle that ranks every right answer first.
    * coverage at risk r: the largest share of *all* answers, those without a confidence included, that a threshold
      on confidence accepts with an error rate of at most r; 0 where there is no such threshold.

    Args:
        right_L_R: right answers, whole counts.
        wrong_L_R: wrong answers, whole counts.
        all_R: number of answers with or without confidence.

    Returns:
        arrays [R]; NaN where a figure is undefined (AUROC needs right and wrong answers, AUPRC right ones).
    """
    count_L_R = right_L_R + wrong_L_R
    errors_L_R = np.cumsum(wrong_L_R, axis=0)
    accepted_L_R = np.cumsum(count_L_R, axis=0)
    total_R = count_L_R.sum(axis=0)
    wrong_R = wrong_L_R.sum(axis=0)
    right_R = total_R - wrong_R

    beaten_L_R = wrong_R - errors_L_R + wrong_L_R / 2
    precision_L_R = 1 - errors_L_R / np.maximum(accepted_L_R, 1.0)

    # The k surest of a block of m ties with e errors, after A answers with E errors, err E + (k - A) e / m times in
    # expectation; summing (that / k) over the block leaves e + (E - A e / m) (H[A + m] - H[A]), H harmonic numbers.
    top = int(total_R.max(initial=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, top + 1))])
    at_L_R = harmonic[accepted_L_R.astype(np.int64)]
    step_L_R = at_L_R.copy()
    step_L_R[1:] -= at_L_R[:-1]
    rate_L_R = wrong_L_R / np.maximum(count_L_R, 1.0)
    excess_L_R = errors_L_R - wrong_L_R - rate_L_R * (accepted_L_R - count_L_R)
    aurc_R = divide(wrong_R + np.einsum("lr,lr->r", excess_L_R, step_L_R), total_R)
    whole_R, clean_R = total_R.astype(np.int64), right_R.astype(np.int64)
    oracle_R = divide(wrong_R - right_R * (harmonic[whole_R] - harmonic[clean_R]), total_R)

    figures = {
        "auroc": divide(np.einsum("lr,lr->r", right_L_R, beaten_L_R), right_R * wrong_R),
        "auprc": divide(np.einsum("lr,lr->r", right_L_R, precision_L_R), right_R),
        "aurc": aurc_R,
        # The two sums agree only up to rounding where the ranking is perfect.
        "excess_aurc": np.maximum(aurc_R - oracle_R, 0.0),
    }
    for name, risk in RISKS.items():
        allowed_L_R = errors_L_R <= risk * accepted_L_R + 1e-9
        figures[name] = divide((accepted_L_R * allowed_L_R).max(axis=0, initial=0.0), all_R)
    return figures
