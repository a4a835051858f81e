"""What several seeds of one recipe show on the examples that they share: for new seeds and new examples at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candor.comparison.stages import Both
from candor.errors import PredictionError
from candor.metrics import seeds_schema
from candor.metrics.calibration import LOG_SCORE_CLIP
from candor.metrics.seeds import Crossed, crossed_interval
from candor.metrics.shares import group_sums
from candor.metrics.significance import holm, placements
from candor.metrics.views import View, stated_view
from candor.types import LABELS, Label, Prediction

Floats = NDArray[np.float64]
Parts: TypeAlias = tuple[float, Floats]
"""A figure, and by how much each of the N rows moves it."""

_NA: Final = LABELS.index(Label.NA)


def crossed_differences(seeds: Sequence[Both[Sequence[Prediction]]]) -> dict[str, Crossed]:
    """Trained minus base over seeds that answer the same examples, one figure after the other.

    Args:
        seeds: both models' answers for each seed, at least one; examples that not every file has are left out.

    Returns:
        By the names of figures; one that is undefined for a seed is left out. Empty where the seeds have no example in
        common: then the spread between them shows what both vary.

    Raises:
        PredictionError: the seeds differ in their gold labels.
    """
    views = _views(seeds)
    if not views:
        return {}
    group_N = views[0].base.group_N
    found = {}
    for name, figure in _FIGURES.items():
        parts = [_difference(figure, sides) for sides in views]
        if all(part is not None for part in parts):
            known = [part for part in parts if part is not None]
            sums_S_G = np.array([group_sums(part_N, group_N) for _, part_N in known])
            found[name] = crossed_interval([value for value, _ in known], sums_S_G)
    return found


def crossed_over_arms(
    arms: Mapping[str, Sequence[Both[Sequence[Prediction]]]],
) -> dict[str, dict[str, seeds_schema.CrossedFigure]]:
    """:func:`crossed_differences` of every arm on one dataset; the p of each figure share a Holm correction over arms.

    Args:
        arms: for each arm both models' answers of each of its seeds; an arm with fewer than two has no figures.

    Raises:
        PredictionError: the seeds of an arm differ in their gold labels.
    """
    found = {arm: crossed_differences(seeds) if len(seeds) > 1 else {} for arm, seeds in arms.items()}
    corrected = {}
    for name in _FIGURES:
        p_values = {arm: figures[name].p for arm, figures in found.items() if name in figures}
        corrected[name] = holm({arm: p for arm, p in p_values.items() if math.isfinite(p)})
    return {
        arm: {name: _as_json(figure, corrected[name].get(arm)) for name, figure in figures.items()}
        for arm, figures in found.items()
    }


def add_crossed(
    results: Mapping[str, seeds_schema.SeedResults],
    answers: Mapping[str, Sequence[Mapping[str, Both[Sequence[Prediction]]]]],
) -> None:
    """Put :func:`crossed_over_arms` into the results of each arm's seeds, dataset by dataset.

    Args:
        results: of each arm, as :func:`candor.metrics.seeds.combine_seeds` makes them; gain ``crossed``.
        answers: for each arm, one mapping for each seed: by dataset, both models' answers.
    """
    datasets = dict.fromkeys(one["dataset"] for arm in results.values() for one in arm["comparisons"])
    for dataset in datasets:
        seeds = {arm: [one[dataset] for one in answers[arm] if dataset in one] for arm in results}
        crossed = crossed_over_arms(seeds)
        for arm, found in results.items():
            for comparison in found["comparisons"]:
                if comparison["dataset"] == dataset:
                    comparison["crossed"] = crossed[arm]


def _as_json(figure: Crossed, p_holm: float | None) -> seeds_schema.CrossedFigure:
    p, *errors = (
        value if math.isfinite(value) else None for value in (figure.p, figure.seed_error, figure.example_error)
    )
    return {
        "value": figure.value,
        "interval": figure.interval,
        "p": p,
        "p_holm": p_holm,
        "seed_error": errors[0],
        "example_error": errors[1],
        "seeds": figure.seeds,
        "groups": figure.groups,
        "reason": figure.reason,
    }


def _views(seeds: Sequence[Both[Sequence[Prediction]]]) -> list[Both[View]]:
    tables: list[Both[Mapping[str, Prediction]]] = [
        Both({row.id: row for row in sides.base}, {row.id: row for row in sides.trained}) for sides in seeds
    ]
    ids = [number for number in tables[0].base if all(number in side for sides in tables for side in sides)]
    if not ids:
        return []
    views = [Both(*(stated_view([side[number] for number in ids]) for side in sides)) for sides in tables]
    gold_N = views[0].base.gold_N
    if any((view.gold_N != gold_N).any() for sides in views for view in sides):
        raise PredictionError("the seeds' files differ in their gold labels, so they do not answer the same examples")
    return views


def _difference(figure: Callable[[View], Parts | None], sides: Both[View]) -> Parts | None:
    """Trained minus base; a figure of the confidence is taken where both have one."""
    base, trained = figure(sides.base), figure(sides.trained)
    if figure in _OF_CONFIDENCE:
        shared_N = sides.base.usable & sides.trained.usable
        base, trained = (_spread(figure(view.take(shared_N)), shared_N) for view in sides)
    if base is None or trained is None:
        return None
    return trained[0] - base[0], trained[1] - base[1]


def _spread(parts: Parts | None, rows_N: NDArray[np.bool_]) -> Parts | None:
    """Parts of some rows among all; the others move nothing."""
    if parts is None:
        return None
    all_N = np.zeros(rows_N.size)
    all_N[rows_N] = parts[1]
    return parts[0], all_N


def _mean(values_N: NDArray[np.generic], rows_N: NDArray[np.bool_] | None = None) -> Parts | None:
    """Mean of the values over some rows."""
    value_N = values_N.astype(np.float64)
    weight_N = np.ones(value_N.size) if rows_N is None else rows_N.astype(np.float64)
    n = float(weight_N.sum())
    if not n:
        return None
    mean = float(value_N @ weight_N) / n
    return mean, weight_N * (value_N - mean) / n


def _recall(label: Label) -> Callable[[View], Parts | None]:
    code = LABELS.index(label)
    return lambda view: _mean(view.correct, np.equal(view.gold_N, code))


def _brier(view: View) -> Parts | None:
    return _mean((view.confidence_N - view.correct) ** 2)


def _log_score(view: View) -> Parts | None:
    clipped_N = np.clip(view.confidence_N, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP)
    return _mean(np.log(np.where(view.correct, clipped_N, 1 - clipped_N)))


def _auroc(view: View) -> Parts | None:
    right = int(view.correct.sum())
    if min(right, view.gold_N.size - right) < 2:
        return None
    return placements(view.confidence_N, view.correct)


_FIGURES: Final[dict[str, Callable[[View], Parts | None]]] = {
    "na_recall": _recall(Label.NA),
    "accuracy": lambda view: _mean(view.correct),
    "pass_recall": _recall(Label.PASS),
    "fail_recall": _recall(Label.FAIL),
    "false_na_rate": lambda view: _mean(np.equal(view.label_N, _NA), view.gold_N != _NA),
    "auroc": _auroc,
    "brier": _brier,
    "log_score": _log_score,
}
_OF_CONFIDENCE: Final = (_auroc, _brier, _log_score)
