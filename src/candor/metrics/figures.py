"""Every figure of one predictor from counts of distinct rows, for many resamples at once."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from candor.metrics.calibration import calibration_figures
from candor.metrics.classification import divide, label_figures
from candor.metrics.names import METRICS
from candor.metrics.selective import RISKS, ranking_figures
from candor.metrics.views import ANSWER_COLUMNS, View
from candor.types import LABELS

Floats = NDArray[np.float64]

OVER_ALL_ROWS: Final = frozenset({*RISKS, "brier_all", "confidence_missing_rate"})
"""Figures of a confidence that are shares of all answers, with or without a confidence."""


def needs_confidence(name: str) -> bool:
    """Whether the figure called ``name`` (without ``probe_``) leaves out answers without a confidence."""
    return METRICS[name].family != "labels" and name not in OVER_ALL_ROWS


class CellFigures:
    """Figures of one view whose rows fall into K distinct cells.

    Args:
        cells: one row of the view per cell.

    Attributes:
        count_M_K: sparse; which of the M counts that the figures need a row of each cell adds to: by (gold, answer),
            then right answers by confidence, highest first, then wrong ones.
    """

    def __init__(self, cells: View) -> None:
        self._label_cells = len(LABELS) * ANSWER_COLUMNS
        usable_K = cells.usable
        levels = np.unique(cells.confidence_N[usable_K])[::-1]
        self._levels_L: Floats = levels
        number = np.arange(usable_K.size)
        level_K = levels.size - 1 - np.searchsorted(levels[::-1], cells.confidence_N[usable_K])
        wrong_K = ~cells.correct[usable_K]
        rows = np.concatenate(
            [cells.gold_N * ANSWER_COLUMNS + cells.column, self._label_cells + level_K + levels.size * wrong_K]
        )
        columns = np.concatenate([number, number[usable_K]])
        shape = (self._label_cells + 2 * levels.size, usable_K.size)
        self.count_M_K = scipy.sparse.csr_array((np.ones(rows.size), (rows, columns)), shape=shape)

    def figures(self, counts_M_R: Floats) -> dict[str, Floats]:
        """Return every figure, each [R], from counts that ``count_M_K`` made; NaN where undefined."""
        labels_M_R, right_L_R, wrong_L_R = np.split(
            counts_M_R, [self._label_cells, self._label_cells + self._levels_L.size]
        )
        labels_3_4_R = labels_M_R.reshape(len(LABELS), ANSWER_COLUMNS, -1)
        all_R = labels_3_4_R.sum(axis=(0, 1))
        missing_R = all_R - right_L_R.sum(axis=0) - wrong_L_R.sum(axis=0)
        figures = label_figures(labels_3_4_R)
        figures |= calibration_figures(self._levels_L, right_L_R, wrong_L_R)
        figures |= ranking_figures(right_L_R, wrong_L_R, all_R)
        squares_R = np.where(missing_R < all_R, figures["brier"] * (all_R - missing_R), 0.0)
        figures["brier_all"] = divide(squares_R + missing_R, all_R)
        figures["confidence_missing_rate"] = divide(missing_R, all_R)
        return figures


def sizes(view: View) -> dict[str, int]:
    """How many answers each figure is taken over: recall's have the gold label, precision's are that label."""
    usable = int(view.usable.sum())
    number = {
        name: usable if needs_confidence(name) else view.gold_N.size
        for name in METRICS
        if not name.startswith("probe_")
    }
    for code, label in enumerate(LABELS):
        number[f"{label.lower()}_recall"] = int((view.gold_N == code).sum())
        number[f"{label.lower()}_precision"] = int((view.label_N == code).sum())
    return number


def why_undefined(name: str, view: View) -> str:
    """In words, why the figure called ``name`` is NaN for ``view``."""
    if view.gold_N.size == 0:
        return "there are no answers"
    label, _, part = name.rpartition("_")
    if part == "recall":
        return f"no example has the gold label {label.upper()}"
    if part == "precision":
        return f"no answer is {label.upper()}"
    if part == "f1":
        return f"{label.upper()} is neither a gold label nor an answer"
    usable = view.usable
    if not usable.any():
        return "no answer has a confidence"
    if view.correct[usable].all():
        return "every answer with a confidence is right; needs wrong ones too"
    return "every answer with a confidence is wrong; needs right ones too"
