"""What validation answers allow without any training: recalibrated confidences and an abstention threshold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from candor.comparison.pairing import Side, load_side
from candor.comparison.stages import Both, Draws, Fits, Views
from candor.errors import PredictionError
from candor.metrics import schema
from candor.metrics.curves import wilson_interval
from candor.metrics.paired import Pair, pair_metrics
from candor.metrics.recalibration import METHODS, SHOWN, Method, Recalibrator, fit_recalibration
from candor.metrics.significance import holm
from candor.metrics.threshold import accepts, choose_threshold
from candor.metrics.views import View, stated_view

FEWEST_TO_FIT: Final = 20
"""Validation answers of each kind, right and wrong, below which nothing is fitted."""


def validation_views(paths: tuple[Path | str, Path | str], sides: Both[Side]) -> Both[View]:
    """Read both models' validation answers, base first.

    Raises:
        PredictionError: a file cannot be read, holds examples that are compared, or was made with another prompt.
    """
    base, trained = paths
    return Both(_validation_view(base, "base", sides.base), _validation_view(trained, "trained", sides.trained))


def _validation_view(path: Path | str, which: str, side: Side) -> View:
    loaded = load_side(path, f"{which} validation")
    overlap = {row.id for row in loaded.predictions} & {row.id for row in side.predictions}
    if overlap:
        raise PredictionError(
            f"{path}: {len(overlap)} of its ids are in {side.header['path']} too (such as {min(overlap)}); "
            "what is chosen on validation must be judged on other examples"
        )
    if loaded.header["template_sha256"] != side.header["template_sha256"]:
        raise PredictionError(f"{path}: was made with another prompt than {side.header['path']}")
    return stated_view(loaded.predictions)


def fit_validation(views: Views, validation: Both[View], draws: Draws, *, risk: float, confidence: float) -> Fits:
    """Recalibrated confidences and an abstention threshold for each side, chosen on ``validation``."""
    base, trained = views.paired
    return Fits(
        recalibration=recalibration_rows(base, trained, validation.base, resamples=draws.resamples, seed=draws.seed),
        threshold={
            "risk": risk,
            "confidence": confidence,
            "base": threshold_side(base, validation.base, risk=risk, confidence=confidence),
            "trained": threshold_side(trained, validation.trained, risk=risk, confidence=confidence),
        },
    )


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


def threshold_side(test: View, validation: View, *, risk: float, confidence: float) -> schema.ThresholdSide:
    """Choose the abstention threshold on validation, and say what it does on ``test``."""
    choice = choose_threshold(validation, risk=risk, confidence=confidence)
    coverage = observed = _missing("no threshold was found")
    if choice.threshold is not None:
        accepted = accepts(choice.threshold, test.confidence_N, test.valid_mass_N)
        n, total = int(accepted.sum()), test.gold_N.size
        coverage = _share(n, total) if total else _missing("there are no answers")
        observed = _share(n - int(test.correct[accepted].sum()), n) if n else _missing("no answer is accepted")
    return {
        "threshold": choice.threshold,
        "validation_n": choice.n,
        "validation_accepted": choice.accepted,
        "validation_errors": choice.errors,
        "bound": choice.bound,
        "coverage": coverage,
        "risk": observed,
        "reason": choice.reason,
    }


def _missing(reason: str) -> schema.Figure:
    return {"value": None, "interval": None, "n": 0, "reason": reason}


def _share(hits: int, n: int) -> schema.Figure:
    return {"value": hits / n, "interval": wilson_interval(hits, n), "n": n, "reason": None}
