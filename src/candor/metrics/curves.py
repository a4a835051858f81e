"""What figures are drawn from: reliability, risk-coverage and distributions of confidence."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.calibration import BINS, equal_width_bins
from candor.metrics.views import View
from candor.types import LABELS

HISTOGRAM_BINS: Final = 20
"""Bins of the confidence distributions."""


def wilson_interval(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), without continuity correction.

    >>> [round(end, 3) for end in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    interval = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def reliability(view: View) -> list[schema.ReliabilityBin]:
    """Mean confidence against accuracy in each of ``BINS`` equal-width bins that holds an answer."""
    used = view.take(view.usable)
    bin_N = equal_width_bins(used.confidence_N)
    bins: list[schema.ReliabilityBin] = []
    for number in np.unique(bin_N).tolist():
        inside = bin_N == number
        n, hits = int(inside.sum()), int(used.correct[inside].sum())
        bins.append(
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "n": n,
                "confidence": float(used.confidence_N[inside].mean()),
                "accuracy": hits / n,
                "interval": wilson_interval(hits, n),
            }
        )
    return bins


def risk_coverage(view: View) -> schema.RiskCoverage:
    """One point per distinct confidence, highest first; coverage is a share of all answers, with confidence or not."""
    used = view.take(view.usable)
    levels, level_N = np.unique(-used.confidence_N, return_inverse=True)
    accepted = np.cumsum(np.bincount(level_N, minlength=levels.size))
    errors = np.cumsum(np.bincount(level_N, weights=~used.correct, minlength=levels.size))
    right = float(used.correct.sum())
    return {
        "threshold": (-levels).tolist(),
        "coverage": (accepted / max(view.gold_N.size, 1)).tolist(),
        "risk": (errors / accepted).tolist(),
        "oracle_risk": (np.maximum(accepted - right, 0.0) / accepted).tolist(),
    }


def histogram(view: View) -> schema.Histogram:
    """Counts of confidences by right and wrong, by answered label and by gold label."""
    used = view.take(view.usable)
    # Rounding first keeps a confidence on an edge, such as 0.15, in the bin that starts there.
    bin_N = np.minimum((used.confidence_N * HISTOGRAM_BINS + 1e-9).astype(np.int64), HISTOGRAM_BINS - 1)

    def counts(rows: NDArray[np.bool_]) -> list[int]:
        return [int(count) for count in np.bincount(bin_N[rows], minlength=HISTOGRAM_BINS)]

    return {
        "edges": [number / HISTOGRAM_BINS for number in range(HISTOGRAM_BINS + 1)],
        "correct": counts(used.correct),
        "incorrect": counts(~used.correct),
        "by_label": {label.value: counts(used.label_N == code) for code, label in enumerate(LABELS)},
        "by_gold": {label.value: counts(used.gold_N == code) for code, label in enumerate(LABELS)},
    }


def curves(view: View) -> schema.Curves:
    """Everything that is drawn of one view."""
    return {
        "reliability": reliability(view),
        "risk_coverage": risk_coverage(view),
        "histogram": histogram(view),
    }
