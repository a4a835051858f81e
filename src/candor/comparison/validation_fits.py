"""What the base model's answers are worth without any training: with other confidences than the stated ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.comparison.pairing import Side, load_side
from candor.comparison.threshold import check_apart
from candor.metrics import schema
from candor.metrics.paired import Pair, pair_metrics
from candor.metrics.recalibration import (
    FITS,
    METHODS,
    SHOWN,
    Method,
    agreement,
    fit_recalibration,
    normalised_by_distractors,
    of_label,
)
from candor.metrics.significance import holm
from candor.metrics.views import View, probed_labels, stated_view
from candor.types import Prediction

FEWEST_TO_FIT: Final = 20
"""Validation answers of each kind, right and wrong, below which nothing is fitted."""

Floats = NDArray[np.float64]


def validation_answers(path: Path | str, side: Side) -> Sequence[Prediction]:
    """Read a model's validation answers.

    Args:
        path: their file.
        side: the same model's answers that are compared.

    Raises:
        PredictionError: the file cannot be read, holds examples that are compared, or was made with another prompt.
    """
    loaded = load_side(path, "validation")
    check_apart(loaded, side)
    return loaded.predictions


def recalibration_rows(
    base: Sequence[Prediction],
    trained: View,
    validation: Sequence[Prediction],
    *,
    resamples: int,
    seed: int,
) -> list[schema.Recalibration]:
    """Give the base model's answers every other confidence there is, and compare the trained model with the outcome.

    All p-values of the table share one Holm correction.

    Args:
        base: the base model's answers.
        trained: the trained model's answers to the same examples.
        validation: the base model's validation answers.
        resamples: of the bootstrap.
        seed: of the bootstrap and of sampled labels.
    """
    stated = stated_view(base)
    pairs: dict[Method, tuple[_Other, Pair | None]] = {}
    for other in _others(base, validation, seed):
        pair = None
        if other.confidence_N is not None:
            mended = View(stated.gold_N, stated.label_N, other.confidence_N, stated.group_N)
            pair = pair_metrics(mended, trained, resamples=resamples, seed=seed)
        pairs[other.method] = (other, pair)
    p_values = {
        f"{method}.{name}": pair.differences[name].p
        for method, (_, pair) in pairs.items()
        for name in SHOWN
        if pair is not None and math.isfinite(pair.differences[name].p)
    }
    corrected = holm(p_values)
    return [
        {
            "method": method,
            "parameters": other.parameters,
            "n_fit": other.n_fit,
            "metrics": {} if pair is None else {name: pair.first[name].as_json() for name in SHOWN},
            "trained_minus": {}
            if pair is None
            else {name: pair.differences[name].as_json(corrected.get(f"{method}.{name}")) for name in SHOWN},
            "reason": other.reason,
        }
        for method, (other, pair) in pairs.items()
    ]


@dataclass(frozen=True, slots=True)
class _Other:
    """Confidences in the place of the stated ones, or the reason why there are none."""

    method: Method
    confidence_N: Floats | None
    parameters: dict[str, float] = field(default_factory=dict)
    n_fit: int = 0
    reason: str | None = None


def _others(base: Sequence[Prediction], validation: Sequence[Prediction], seed: int) -> Iterator[_Other]:
    """Every method in the order of the table."""
    stated, known = stated_view(base), stated_view(validation)
    probs, known_probs = probed_labels(base), probed_labels(validation)
    too_few = _too_few(known)
    for fit in FITS:
        if fit != "none" and too_few is not None:
            yield _Other(fit, None, reason=too_few)
            continue
        found = fit_recalibration(fit, known)
        n_fit = 0 if fit == "none" else int(known.usable.sum())
        yield _Other(fit, found(stated.confidence_N), found.parameters, n_fit)
    of_probs = METHODS[len(FITS) :]
    if probs is None:
        yield from (_Other(method, None, reason="not every answer has label probabilities") for method in of_probs)
        return
    probs_N_3 = np.clip(probs, 0.0, 1.0)
    probability_N = of_label(probs_N_3, stated.label_N)
    yield _Other("label_probability", probability_N)
    if known_probs is None:
        yield _Other("scaled_label_probability", None, reason="not every validation answer has label probabilities")
    else:
        chances_N = of_label(np.clip(known_probs, 0.0, 1.0), known.label_N)
        certain = View(known.gold_N, known.label_N, chances_N, known.group_N)
        if (few := _too_few(certain)) is not None:
            yield _Other("scaled_label_probability", None, reason=few)
        else:
            found = fit_recalibration("temperature", certain)
            n_fit = int(certain.usable.sum())
            yield _Other("scaled_label_probability", found(probability_N), found.parameters, n_fit)
    share_N = agreement(probs_N_3, stated.label_N, seed=seed)
    yield _Other("agreement", share_N)
    behind = [row.label_confidences for row in base if row.label_confidences is not None]
    if len(behind) < len(base):
        reason = "the answers do not have what is stated behind every label (evaluation.every_label)"
        yield _Other("distractors", None, reason=reason)
    else:
        yield _Other("distractors", (normalised_by_distractors(np.array(behind), stated.label_N) + share_N) / 2)


def _too_few(known: View) -> str | None:
    """Why nothing is fitted on answers, if so."""
    usable = known.usable
    right = int(known.correct[usable].sum())
    wrong = int(usable.sum()) - right
    if min(right, wrong) >= FEWEST_TO_FIT:
        return None
    return f"needs {FEWEST_TO_FIT} right and {FEWEST_TO_FIT} wrong validation answers, there are {right} and {wrong}"
