"""Label figures, from counts of (gold, answer) alone: whole resamples are counted, so many come at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from candor.metrics.views import ANSWER_COLUMNS, NO_LABEL_COLUMN, View
from candor.types import LABELS, Label

Floats = NDArray[np.float64]


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient where the denominator is above 0, NaN elsewhere."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    quotient: Floats = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def confusion(view: View) -> NDArray[np.int64]:
    """Counts [3, 4]: a row per gold label in the order of ``LABELS``, a column per answer, "no label" last."""
    flat = np.bincount(view.gold_N * ANSWER_COLUMNS + view.column, minlength=len(LABELS) * ANSWER_COLUMNS)
    return flat.reshape(len(LABELS), ANSWER_COLUMNS)


def label_figures(counts_3_4_R: Floats) -> dict[str, Floats]:
    """Every label figure of R confusion matrices.

    Recall, precision and F1 = 2 tp / (gold + answered) are as in scikit-learn, with answers without a label
    counting as wrong, never as a label. Macro-F1 is the mean F1 over labels that occur as gold or as answer. The
    false-NA rate is the share of answers NA among examples with the gold label PASS or FAIL: where evidence decides.

    Args:
        counts_3_4_R: non-negative counts (gold, answer, resample).

    Returns:
        arrays [R]; NaN where a figure is undefined.
    """
    total_R = counts_3_4_R.sum(axis=(0, 1))
    gold_3_R = counts_3_4_R.sum(axis=1)
    answered_3_R = counts_3_4_R[:, : len(LABELS)].sum(axis=0)
    hits_3_R = np.stack([counts_3_4_R[code, code] for code in range(len(LABELS))])
    recall_3_R = divide(hits_3_R, gold_3_R)
    precision_3_R = divide(hits_3_R, answered_3_R)
    present_3_R = gold_3_R + answered_3_R
    f1_3_R = divide(2 * hits_3_R, present_3_R)
    figures = {
        "accuracy": divide(hits_3_R.sum(axis=0), total_R),
        "macro_f1": divide(np.where(present_3_R > 0, f1_3_R, 0.0).sum(axis=0), (present_3_R > 0).sum(axis=0)),
        "na_rate": divide(answered_3_R[LABELS.index(Label.NA)], total_R),
        "false_na_rate": _false_na_rate(counts_3_4_R),
        "invalid_rate": divide(counts_3_4_R[:, NO_LABEL_COLUMN].sum(axis=0), total_R),
    }
    for code, label in enumerate(LABELS):
        name = label.value.lower()
        figures[f"{name}_recall"] = recall_3_R[code]
        figures[f"{name}_precision"] = precision_3_R[code]
        figures[f"{name}_f1"] = f1_3_R[code]
    return figures


def _false_na_rate(counts_3_4_R: Floats) -> Floats:
    na = LABELS.index(Label.NA)
    decided_R = counts_3_4_R.sum(axis=(0, 1)) - counts_3_4_R[na].sum(axis=0)
    return divide(counts_3_4_R[:, na].sum(axis=0) - counts_3_4_R[na, na], decided_R)
