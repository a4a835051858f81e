"""Every figure of one predictor from sums over rows, for many resamples at once."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from candor.metrics.calibration import BINNED, LOG_SCORE_CLIP, BinnedCalibration, binned_errors
from candor.metrics.classification import divide, label_figures
from candor.metrics.names import METRICS
from candor.metrics.selective import RISKS, coverages_at_risk, ranking_figures
from candor.metrics.views import ANSWER_COLUMNS, View
from candor.types import LABELS, Label

Floats = NDArray[np.float64]

OVER_ALL_ROWS: Final = frozenset({*RISKS, "brier_all", "confidence_missing_rate"})
"""Figures of a confidence that are shares of all answers, with or without a confidence."""

MOST_LEVELS: Final = 256
"""Distinct confidences above which resamples rank answers in so many blocks of equal mass, as if those of a block were
tied. Values are always exact; resampled ones are moved by what the blocks change in them."""

_LABEL_SUMS: Final = len(LABELS) * ANSWER_COLUMNS
_SCORE_SUMS: Final = ("brier", "log_score", "confidence", "square")
_FIRST_LEVEL: Final = _LABEL_SUMS + len(_SCORE_SUMS)


def needs_confidence(name: str) -> bool:
    """Whether the figure called ``name`` (without ``probe_``) leaves out answers without a confidence."""
    return METRICS[name].family != "labels" and name not in OVER_ALL_ROWS


class RowFigures:
    """Figures of one view as functions of sums over its rows.

    Args:
        view: N answers.
        most_levels: distinct confidences above which answers are ranked in blocks; ``None`` ranks them exactly.

    Attributes:
        sums_N_M: sparse; what each row adds to the M sums: counts by (gold, answer), sums of scores, then right answers
            by confidence, highest first, then wrong ones.
    """

    def __init__(self, view: View, most_levels: int | None = MOST_LEVELS) -> None:
        usable_N = view.usable
        confidence_U, right_U = view.confidence_N[usable_N], view.correct[usable_N]
        level_U, self._levels = _levels(confidence_U, most_levels)
        # Centring first keeps the spread of nearly constant confidences exact.
        self._centre = float(confidence_U.mean()) if confidence_U.size else 0.0
        centred_U = confidence_U - self._centre
        clipped_U = np.clip(confidence_U, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP)
        scores = [
            (confidence_U - right_U) ** 2,
            np.where(right_U, np.log(clipped_U), np.log1p(-clipped_U)),
            centred_U,
            centred_U**2,
        ]
        used_U = np.flatnonzero(usable_N)
        places = [(np.arange(view.gold_N.size), view.gold_N * ANSWER_COLUMNS + view.column, np.ones(view.gold_N.size))]
        places += [(used_U, np.full(used_U.size, _LABEL_SUMS + number), score) for number, score in enumerate(scores)]
        places.append((used_U, _FIRST_LEVEL + level_U + self._levels * ~right_U, np.ones(used_U.size)))
        rows, columns, values = (np.concatenate(part) for part in zip(*places, strict=True))
        shape = (view.gold_N.size, _FIRST_LEVEL + 2 * self._levels)
        self.sums_N_M = scipy.sparse.csr_array((values, (rows, columns)), shape=shape)

    def figures(self, sums_M_R: Floats) -> dict[str, Floats]:
        """Return every figure that is resampled, each [R]; NaN where undefined."""
        labels_M_R, scores_M_R, right_L_R, wrong_L_R = self._parts(sums_M_R)
        all_R = labels_M_R.sum(axis=0)
        used_R = right_L_R.sum(axis=0) + wrong_L_R.sum(axis=0)
        brier_R, log_R, centred_R, square_R = scores_M_R
        mean_R = divide(centred_R, used_R)
        figures = label_figures(labels_M_R.reshape(len(LABELS), ANSWER_COLUMNS, -1))
        figures |= {
            "brier": divide(brier_R, used_R),
            "brier_all": divide(brier_R + all_R - used_R, all_R),
            "log_score": divide(log_R, used_R),
            "confidence_mean": mean_R + self._centre,
            "confidence_std": np.sqrt(np.maximum(divide(square_R, used_R) - mean_R**2, 0.0)),
            "confidence_missing_rate": divide(all_R - used_R, all_R),
        }
        return figures | ranking_figures(right_L_R, wrong_L_R)

    def coverages(self, sums_M_R: Floats) -> dict[str, Floats]:
        """Return coverage at each risk, each [R]."""
        labels_M_R, _, right_L_R, wrong_L_R = self._parts(sums_M_R)
        return coverages_at_risk(right_L_R, wrong_L_R, labels_M_R.sum(axis=0))

    def _parts(self, sums_M_R: Floats) -> list[Floats]:
        return np.split(sums_M_R, [_LABEL_SUMS, _FIRST_LEVEL, _FIRST_LEVEL + self._levels])


def _levels(confidence_U: Floats, most: int | None) -> tuple[NDArray[np.int64], int]:
    """Number of each confidence from the highest down, and how many there are."""
    negative, level_U = np.unique(-confidence_U, return_inverse=True)
    if most is None or negative.size <= most:
        return level_U, int(negative.size)
    count_L = np.bincount(level_U)
    middle_L = (np.cumsum(count_L) - count_L / 2) * (most / confidence_U.size)
    _, block_L = np.unique(np.minimum(middle_L.astype(np.int64), most - 1), return_inverse=True)
    return block_L[level_U], int(block_L.max()) + 1


def exact_figures(view: View, binned: BinnedCalibration | None) -> dict[str, float]:
    """Every figure of the view under the names in ``STATED``; NaN where undefined.

    Args:
        view: N answers.
        binned: what :func:`~candor.metrics.calibration.binned_calibration` says of them.
    """
    exact = RowFigures(view, None)
    sums_M = np.asarray(exact.sums_N_M.sum(axis=0)).reshape(-1, 1)
    values = exact.figures(sums_M) | exact.coverages(sums_M)
    over_bins = {name: math.nan if binned is None else binned.figures[name].value for name in BINNED}
    return {name: float(value[0]) for name, value in values.items()} | binned_errors(view) | over_bins


def share_rows(name: str, view: View) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Which rows a share is taken over, and which of them count; ``None`` for figures that are no share of rows."""
    everything = np.ones(view.gold_N.size, dtype=bool)
    na = LABELS.index(Label.NA)
    label, _, part = name.rpartition("_")
    if part in ("recall", "precision"):
        code = LABELS.index(Label(label.upper()))
        return (view.gold_N if part == "recall" else view.label_N) == code, view.correct
    return {
        "accuracy": (everything, view.correct),
        "na_rate": (everything, view.label_N == na),
        "false_na_rate": (view.gold_N != na, view.label_N == na),
        "invalid_rate": (everything, view.label_N < 0),
        "confidence_missing_rate": (everything, ~view.usable),
    }.get(name)


def sizes(view: View) -> dict[str, int]:
    """How many answers each figure is taken over: recall's have the gold label, precision's are that label."""
    usable = int(view.usable.sum())
    number = {}
    for name in METRICS:
        if not name.startswith("probe_"):
            share = share_rows(name, view)
            number[name] = int(share[0].sum()) if share else usable if needs_confidence(name) else int(view.gold_N.size)
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
    if name == "false_na_rate":
        return "no example has the gold label PASS or FAIL"
    usable = view.usable
    if not usable.any():
        return "no answer has a confidence"
    if view.correct[usable].all():
        return "every answer with a confidence is right; needs wrong ones too"
    return "every answer with a confidence is wrong; needs right ones too"
