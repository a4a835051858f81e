"""Figures of a confidence against correctness, from counts per distinct confidence.

Every function takes L distinct confidences, highest first, and how many right and wrong answers state each, for R
resamples at once. With one resample they are the plain figures.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.metrics.classification import divide

Floats = NDArray[np.float64]

BINS: Final = 15
"""Bins of ECE, adaptive ECE, the Brier parts and reliability diagrams (Guo et al. 2017)."""

LOG_SCORE_CLIP: Final = 0.005
"""Confidences are clipped to [clip, 1 - clip] in the log score: half a step of the 0.00 ... 1.00 grid."""


def equal_width_bins(confidence: Floats) -> NDArray[np.int64]:
    """Bin of each confidence among ``BINS`` bins (low, high] of equal width; 0 belongs to the first."""
    # 0.2 * 15 is 3 plus rounding: a confidence on an edge must not move up a bin.
    return np.clip(np.ceil(confidence * BINS - 1e-9).astype(np.int64) - 1, 0, BINS - 1)


def calibration_figures(levels_L: Floats, right_L_R: Floats, wrong_L_R: Floats) -> dict[str, Floats]:
    """Brier score and its parts, log score, calibration errors, mean and spread.

    With c the confidence, y whether the answer is right, n answers, and bins b of ``BINS`` equal widths with mean
    confidence c_b, accuracy y_b, n_b answers:

    * Brier score: mean (c - y)^2 (Brier 1950).
    * reliability: sum n_b (c_b - y_b)^2 / n, resolution: sum n_b (y_b - mean y)^2 / n, uncertainty: mean y (1 - mean y)
      (Murphy 1973); reliability - resolution + uncertainty is the Brier score up to what varies inside bins.
    * log score: mean log of the probability given to what came out, at most 0, confidences clipped by
      ``LOG_SCORE_CLIP``.
    * ECE: sum n_b |c_b - y_b| / n (Naeini et al. 2015); adaptive ECE: the same over ``BINS`` bins of equal mass,
      answers of one confidence together in the bin of their middle rank (Nguyen and O'Connor 2015).
    * spread: standard deviation with n in the denominator.

    Returns:
        arrays [R]; NaN where there is no answer.
    """
    count_L_R = right_L_R + wrong_L_R
    total_R = count_L_R.sum(axis=0)
    hits_R = right_L_R.sum(axis=0)
    base_rate_R = divide(hits_R, total_R)

    clipped_L = np.clip(levels_L, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP)
    # Centring first keeps the spread of nearly constant confidences exact.
    centre = float(levels_L.mean()) if levels_L.size else 0.0
    mean_R = divide((levels_L - centre) @ count_L_R, total_R)
    square_R = divide((levels_L - centre) ** 2 @ count_L_R, total_R)

    member_B_L = np.zeros((BINS, levels_L.size))
    member_B_L[equal_width_bins(levels_L), np.arange(levels_L.size)] = 1.0
    count_B_R = member_B_L @ count_L_R
    hits_B_R = member_B_L @ right_L_R
    surplus_B_R = (member_B_L * levels_L) @ count_L_R - hits_B_R
    occupied_B_R = np.maximum(count_B_R, 1.0)
    resolution_B_R = (hits_B_R - count_B_R * base_rate_R) ** 2 / occupied_B_R

    return {
        "brier": divide((1 - levels_L) ** 2 @ right_L_R + levels_L**2 @ wrong_L_R, total_R),
        "brier_reliability": divide((surplus_B_R**2 / occupied_B_R).sum(axis=0), total_R),
        "brier_resolution": divide(resolution_B_R.sum(axis=0), total_R),
        "brier_uncertainty": base_rate_R * (1 - base_rate_R),
        "log_score": divide(np.log(clipped_L) @ right_L_R + np.log1p(-clipped_L) @ wrong_L_R, total_R),
        "ece": divide(np.abs(surplus_B_R).sum(axis=0), total_R),
        "adaptive_ece": _adaptive_ece(levels_L, right_L_R, count_L_R, total_R),
        "confidence_mean": mean_R + centre,
        "confidence_std": np.sqrt(np.maximum(square_R - mean_R**2, 0.0)),
    }


def _adaptive_ece(levels_L: Floats, right_L_R: Floats, count_L_R: Floats, total_R: Floats) -> Floats:
    resamples = total_R.size
    middle_L_R = np.cumsum(count_L_R, axis=0)
    middle_L_R -= count_L_R / 2
    middle_L_R *= BINS / np.maximum(total_R, 1.0)
    bin_L_R = np.minimum(middle_L_R.astype(np.int64), BINS - 1)
    surplus_L_R = levels_L[:, None] * count_L_R - right_L_R
    bin_L_R *= resamples
    bin_L_R += np.arange(resamples)
    surplus_R_B = np.bincount(bin_L_R.ravel(), weights=surplus_L_R.ravel(), minlength=BINS * resamples)
    return divide(np.abs(surplus_R_B.reshape(BINS, resamples)).sum(axis=0), total_R)
