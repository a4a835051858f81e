"""What metrics look at: gold labels, answered labels and confidences as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.types import LABELS, NO_LABEL, Prediction

NO_LABEL_COLUMN: Final = len(LABELS)
"""Where a table of counts by answer keeps the answers without a label; the columns before it are ``LABELS``."""

ANSWER_COLUMNS: Final = NO_LABEL_COLUMN + 1
"""Width of such a table."""

_CODES: Final = {label: code for code, label in enumerate(LABELS)}


@dataclass(frozen=True, slots=True)
class View:
    """N answers of one predictor.

    Attributes:
        gold_N: position of the gold label in ``LABELS``.
        label_N: position of the answered label, or ``NO_LABEL``.
        confidence_N: in [0, 1]; NaN where there is no label or no confidence.
        group_N: codes of what is resampled together.
        valid_mass_N: probability of all answers in the asked form, in [0, 1]; NaN where not computed. ``None`` where
            that is so for every answer.
    """

    gold_N: NDArray[np.int64]
    label_N: NDArray[np.int64]
    confidence_N: NDArray[np.float64]
    group_N: NDArray[np.int64]
    valid_mass_N: NDArray[np.float64] | None = None

    @property
    def column(self) -> NDArray[np.int64]:
        """Where a table of counts by answer keeps each answer: its label's position, or ``NO_LABEL_COLUMN``."""
        return np.where(self.label_N == NO_LABEL, NO_LABEL_COLUMN, self.label_N)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each answer is right; one without a label is wrong."""
        return np.equal(self.gold_N, self.label_N)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether each answer has both a label and a confidence."""
        return ~np.isnan(self.confidence_N)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> View:
        """Return the answers at ``rows``, in that order."""
        mass_N = None if self.valid_mass_N is None else self.valid_mass_N[rows]
        return View(self.gold_N[rows], self.label_N[rows], self.confidence_N[rows], self.group_N[rows], mass_N)


def _gold(predictions: Sequence[Prediction]) -> NDArray[np.int64]:
    return np.array([_CODES[row.gold] for row in predictions], dtype=np.int64)


def _groups(predictions: Sequence[Prediction]) -> NDArray[np.int64]:
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(row.group, len(codes)) for row in predictions], dtype=np.int64)


def _argmax_view(predictions: Sequence[Prediction], probabilities: Sequence[tuple[float, float, float]]) -> View:
    probs_N_3 = np.array(probabilities, dtype=np.float64).reshape(-1, len(LABELS))
    label_N = probs_N_3.argmax(axis=1)
    confidence_N = np.clip(probs_N_3.max(axis=1), 0.0, 1.0)
    return View(_gold(predictions), label_N, confidence_N, _groups(predictions))


def stated_view(predictions: Sequence[Prediction]) -> View:
    """The answers as stated: emitted label and stated confidence."""
    label = [NO_LABEL if row.label is None else _CODES[row.label] for row in predictions]
    confidence = [np.nan if row.label is None or row.confidence is None else row.confidence for row in predictions]
    mass = [np.nan if row.valid_mass is None else row.valid_mass for row in predictions]
    return View(
        _gold(predictions),
        np.array(label, dtype=np.int64),
        np.array(confidence, dtype=np.float64),
        _groups(predictions),
        None if np.isnan(mass).all() else np.array(mass, dtype=np.float64),
    )


def probed_view(predictions: Sequence[Prediction]) -> View | None:
    """The predictor that answers argmax p(label) with confidence max p(label); ``None`` unless every row is probed."""
    probabilities = probed_labels(predictions)
    return None if probabilities is None else _argmax_view(predictions, probabilities)


def probed_labels(predictions: Sequence[Prediction]) -> list[tuple[float, float, float]] | None:
    """p(label) of every row; ``None`` unless every row is probed."""
    probabilities = [row.label_probs for row in predictions if row.label_probs is not None]
    return probabilities if probabilities and len(probabilities) == len(predictions) else None


def bayes_view(predictions: Sequence[Prediction]) -> View | None:
    """The best predictor there is, where every row's posterior is known: argmax posterior, confidence its maximum."""
    posteriors = [row.posterior for row in predictions if row.posterior is not None]
    if not posteriors or len(posteriors) < len(predictions):
        return None
    return _argmax_view(predictions, posteriors)
