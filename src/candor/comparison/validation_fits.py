"""What validation answers allow without any training: recalibrated confidences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from candor.comparison.pairing import Side, load_side
from candor.comparison.threshold import check_apart
from candor.metrics import schema
from candor.metrics.paired import Pair, pair_metrics
from candor.metrics.recalibration import METHODS, SHOWN, Method, Recalibrator, fit_recalibration
from candor.metrics.significance import holm
from candor.metrics.views import View, stated_view

FEWEST_TO_FIT: Final = 20
"""Validation answers of each kind, right and wrong, below which nothing is fitted."""


def validation_view(path: Path | str, side: Side) -> View:
    """Read a model's validation answers.

    Args:
        path: their file.
        side: the same model's answers that are compared.

    Raises:
        PredictionError: the file cannot be read, holds examples that are compared, or was made with another prompt.
    """
    loaded = load_side(path, "validation")
    check_apart(loaded, side)
    return stated_view(loaded.predictions)


def recalibration_rows(
    base: View, trained: View, validation: View, *, resamples: int, seed: int
) -> list[schema.Recalibration]:
    """Fit every method on the base model's validation answers and compare the trained model with the outcome.

    All p-values of the table share one Holm correction.

    Args:
        base: the base model's answers.
        trained: the trained model's answers to the same examples.
        validation: the base model's validation answers.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    usable = validation.usable
    right = int(validation.correct[usable].sum())
    wrong = int(usable.sum()) - right
    enough = min(right, wrong) >= FEWEST_TO_FIT
    fits: dict[Method, tuple[Recalibrator, Pair]] = {}
    for method in METHODS:
        if method == "none" or enough:
            fit = fit_recalibration(method, validation)
            mended = View(base.gold_N, base.label_N, fit(base.confidence_N), base.group_N)
            fits[method] = (fit, pair_metrics(mended, trained, resamples=resamples, seed=seed))
    p_values = {
        f"{method}.{name}": pair.differences[name].p
        for method, (_, pair) in fits.items()
        for name in SHOWN
        if math.isfinite(pair.differences[name].p)
    }
    corrected = holm(p_values)
    rows: list[schema.Recalibration] = []
    for method in METHODS:
        if method not in fits:
            reason = (
                f"needs {FEWEST_TO_FIT} right and {FEWEST_TO_FIT} wrong validation answers, "
                f"there are {right} and {wrong}"
            )
            rows.append(
                {"method": method, "parameters": {}, "n_fit": 0, "metrics": {}, "trained_minus": {}, "reason": reason}
            )
            continue
        fit, pair = fits[method]
        rows.append(
            {
                "method": method,
                "parameters": fit.parameters,
                "n_fit": 0 if method == "none" else right + wrong,
                "metrics": {name: pair.first[name].as_json() for name in SHOWN},
                "trained_minus": {
                    name: pair.differences[name].as_json(corrected.get(f"{method}.{name}")) for name in SHOWN
                },
                "reason": None,
            }
        )
    return rows
