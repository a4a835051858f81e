"""What figures are drawn from: reliability, risk-coverage and distributions of confidence."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.calibration import BINS, equal_width_bins
from candor.metrics.selective import accepted_by_threshold, risk_band
from candor.metrics.shares import clustered_share
from candor.metrics.views import View
from candor.types import LABELS

HISTOGRAM_BINS: Final = 20
"""Bins of the confidence distributions."""


def reliability(view: View) -> list[schema.ReliabilityBin]:
    """Mean confidence against accuracy in each of ``BINS`` equal-width bins that holds an answer."""
    used = view.take(view.usable)
    bin_N = equal_width_bins(used.confidence_N)
    bins: list[schema.ReliabilityBin] = []
    for number in np.unique(bin_N).tolist():
        inside = bin_N == number
        right = clustered_share(used.correct[inside], used.group_N[inside])
        bins.append(
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "n": right.n,
                "confidence": float(used.confidence_N[inside].mean()),
                "accuracy": right.value,
                "interval": right.interval or (0.0, 1.0),
            }
        )
    return bins


def risk_coverage(view: View) -> schema.RiskCoverage:
    """One point per distinct confidence, highest first; coverage is a share of all answers, with confidence or not.

    The band holds the true risk of each threshold with the chance ``LEVEL``: Wilson's interval at the number of
    independent answers that the accepted ones are worth. It is a band of single points, not of the whole curve.
    """
    accepted = accepted_by_threshold(view)
    count_L = accepted.coverage_L * view.gold_N.size
    right = float(view.correct[view.usable].sum())
    low_L, high_L = risk_band(accepted, LEVEL)
    return {
        "threshold": accepted.threshold_L.tolist(),
        "coverage": accepted.coverage_L.tolist(),
        "risk": accepted.risk_L.tolist(),
        "risk_low": low_L.tolist(),
        "risk_high": high_L.tolist(),
        "oracle_risk": (np.maximum(count_L - right, 0.0) / np.maximum(count_L, 1.0)).tolist(),
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
