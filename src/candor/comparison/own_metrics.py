"""Figures of one's own beside candor's: a function of answers, measured on both sides and on their difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from candor.comparison.stages import Both
from candor.errors import RecipeError
from candor.extensions import Extension, load_extension
from candor.metrics import schema
from candor.metrics.bootstrap import percentile_interval
from candor.metrics.views import View

MOST_RESAMPLES: Final = 1000
"""Somebody else's function is called this often for each interval at most."""


def own_metrics(specs: Sequence[str], paired: Both[View], *, resamples: int, seed: int) -> dict[str, schema.OwnMetric]:
    """Measure both sides with functions from outside, with percentile intervals over groups resampled whole.

    A function is given ``label`` (position in LABELS, -1 for none), ``confidence`` (NaN for none) and ``gold``, each
    with N answers, and returns one number, or NaN or None where it is undefined.

    Args:
        specs: the functions, ``module:function`` or names of entry points in ``candor.metrics``.
        paired: both sides' answers to the same examples.
        resamples: at most :data:`MOST_RESAMPLES` of them are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        RecipeError: a function cannot be found, fails, or returns anything but one number.
    """
    found = {}
    for spec in specs:
        extension = load_extension("metric", spec)
        found[extension.name] = _measured(extension, paired, min(resamples, MOST_RESAMPLES), seed)
    return found


def value_of(extension: Extension, view: View) -> float:
    """What the function says of some answers; NaN where it is undefined.

    Raises:
        RecipeError: it fails, or returns anything but one number.
    """
    try:
        value = extension.call(label=view.label_N, confidence=view.confidence_N, gold=view.gold_N)
        number = math.nan if value is None else float(value)
    except Exception as error:  # whatever somebody else's function raises
        spec = extension.spec
        raise RecipeError(f"evaluation.metrics: {spec} failed: {error!r}; try it with `candor check {spec}`") from error
    if math.isinf(number):
        raise RecipeError(f"evaluation.metrics: {extension.spec} returned {number}; where undefined return None")
    return number


def _measured(extension: Extension, paired: Both[View], resamples: int, seed: int) -> schema.OwnMetric:
    rng = np.random.default_rng(seed)
    groups, member_N = np.unique(paired.base.group_N, return_inverse=True)
    rows = [np.flatnonzero(member_N == group) for group in range(groups.size)]
    drawn = []
    for _ in range(resamples):
        chosen = np.concatenate([rows[group] for group in rng.integers(0, groups.size, groups.size)])
        drawn.append([value_of(extension, view.take(chosen)) for view in paired])
    base_R, trained_R = np.array(drawn).T
    base, trained = (value_of(extension, view) for view in paired)
    return {
        "spec": extension.spec,
        "sha256": extension.sha256,
        "resamples": resamples,
        "base": _figure(base, base_R),
        "trained": _figure(trained, trained_R),
        "difference": _figure(trained - base, trained_R - base_R),
    }


def _figure(value: float, values_R: np.ndarray[tuple[int], np.dtype[np.float64]]) -> schema.OwnFigure:
    if not math.isfinite(value):
        return {"value": None, "interval": None}
    return {"value": value, "interval": percentile_interval(values_R)}
