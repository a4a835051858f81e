"""Models against each other, two by two, on the examples that they share: neither of them is the base of the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from candor.comparison.seeds import crossed_differences
from candor.comparison.stages import Both
from candor.errors import PredictionError
from candor.metrics.bootstrap import RESAMPLES
from candor.metrics.paired import pair_metrics
from candor.metrics.power import SIGNIFICANCE, fewest_resamples
from candor.metrics.significance import holm
from candor.metrics.views import stated_view
from candor.types import Prediction

Answers = Sequence[Prediction]

COMPARED: Final = (
    "na_recall",
    "false_na_rate",
    "accuracy",
    "pass_recall",
    "fail_recall",
    "auroc",
    "brier",
    "log_score",
)
"""Figures that are tested between models."""


@dataclass(frozen=True, slots=True)
class ModelDifference:
    """Second model minus first on the same examples.

    Attributes:
        value: the difference; a mean over seeds where both models have several.
        interval: at the level ``bootstrap.LEVEL``; ``None`` where there is none.
        p: two-sided, of "no difference"; NaN where it is not tested.
        p_holm: corrected over all figures and all pairs of models on this dataset; ``None`` where it is not tested.
        reason: why the interval is missing.
    """

    value: float
    interval: tuple[float, float] | None
    p: float
    p_holm: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ModelPair:
    """Two models on one dataset.

    Attributes:
        first, second: their names; every difference is second minus first.
        differences: by the names in :data:`COMPARED`; those that are undefined are left out.
        seeds: pairs of runs that were compared; from two on the intervals hold for new seeds, too.
        n: examples that all of these runs answered.
    """

    first: str
    second: str
    differences: Mapping[str, ModelDifference]
    seeds: int
    n: int


def resamples_for(models: int, wanted: int = RESAMPLES) -> int:
    """So many resamples that a p can stay significant among the tests of every pair of models; at least ``wanted``.

    >>> resamples_for(3), resamples_for(10) > 30_000
    (10000, True)
    """
    pairs = models * (models - 1) // 2
    return max(wanted, fewest_resamples(max(1, pairs * len(COMPARED)), SIGNIFICANCE))


def compare_models(
    models: Mapping[str, Sequence[Answers]], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[ModelPair]:
    """Every pair of models on one dataset, with p-values corrected over all of them (Holm 1979).

    Two models that both have several runs are compared seed by seed, in the order of the runs, for new seeds and new
    examples at once (:func:`~candor.comparison.seeds.crossed_differences`); else their first runs are, by the paired
    tests that every comparison uses. Examples that not all of these runs answered are left out.

    Args:
        models: the answers of each run of each model, by the model's name; a model without a run is left out.
        resamples: of the bootstrap, at least 1; :func:`resamples_for` says how many the correction needs.
        seed: of the bootstrap.

    Returns:
        Pairs in the order of ``models``; those without an example in common are left out.

    Raises:
        PredictionError: two files differ in the gold label of an example.
    """
    found = []
    for (first, ones), (second, others) in itertools.combinations(models.items(), 2):
        runs = [Both(one, other) for one, other in zip(ones, others, strict=False)]
        n = len(_shared(runs)) if runs else 0
        if n:
            differences = _over_seeds(runs) if len(runs) > 1 else _of_one(runs[0], resamples=resamples, seed=seed)
            found.append(ModelPair(first, second, differences, len(runs), n))
    p_values = {
        f"{place} {name}": one.p
        for place, pair in enumerate(found)
        for name, one in pair.differences.items()
        if math.isfinite(one.p)
    }
    corrected = holm(p_values)
    return [
        replace(
            pair,
            differences={
                name: replace(one, p_holm=corrected.get(f"{place} {name}")) for name, one in pair.differences.items()
            },
        )
        for place, pair in enumerate(found)
    ]


def _shared(runs: Sequence[Both[Answers]]) -> list[str]:
    """Ids that every file has, in the order of the first."""
    others = [{row.id for row in answers} for both in runs for answers in both]
    return [row.id for row in runs[0].base if all(row.id in ids for ids in others)]


def _over_seeds(runs: Sequence[Both[Answers]]) -> dict[str, ModelDifference]:
    crossed = crossed_differences(runs)
    return {
        name: ModelDifference(crossed[name].value, crossed[name].interval, crossed[name].p, None, crossed[name].reason)
        for name in COMPARED
        if name in crossed
    }


def _of_one(both: Both[Answers], *, resamples: int, seed: int) -> dict[str, ModelDifference]:
    ids = _shared([both])
    first, second = ({row.id: row for row in answers} for answers in both)
    differing = [one for one in ids if first[one].gold != second[one].gold]
    if differing:
        raise PredictionError(
            f"{len(differing)} examples have different gold labels in the two models' files, "
            f"the first is {differing[0]!r}"
        )
    # One grouping for both, or a pair would be drawn with two different neighbourhoods.
    rows = [replace(second[one], group=first[one].group) for one in ids]
    pair = pair_metrics(stated_view([first[one] for one in ids]), stated_view(rows), resamples=resamples, seed=seed)
    return {
        name: ModelDifference(one.value, one.interval, one.p, None, one.reason)
        for name in COMPARED
        if math.isfinite((one := pair.differences[name]).value)
    }
