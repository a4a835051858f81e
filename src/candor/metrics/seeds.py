"""One recipe, several seeds: means, spread between seeds, and effects that hold over them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from candor.errors import RunError
from candor.metrics import schema, seeds_schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.shares import NO_GROUPS, degrees_of_freedom

_ALIKE: Final = 1e-12
"""Seeds whose figures differ by less do not differ: it is the last bit of a float."""

_ONE_SEED: Final = "one seed shows no spread"


def seed_figure(values: Sequence[float | None]) -> seeds_schema.SeedFigure:
    """Mean, standard deviation and Student's interval of one figure over seeds: of new seeds on the same examples.

    There is no p: seeds that share their examples agree on what is chance in them, so a test over seeds alone finds
    effects where there are none. :func:`crossed_interval` tests for new seeds and new examples.

    Args:
        values: one per seed, ``None`` where it is undefined; such seeds are left out and n tells.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    n = known.size
    figure: seeds_schema.SeedFigure = {
        "values": list(values),
        "mean": float(known.mean()) if n else None,
        "sd": math.sqrt(_variance(known)) if n > 1 else None,
        "interval": None,
        "p": None,
        "n": n,
        "reason": None,
    }
    if n < 2:
        figure["reason"] = "undefined for every seed" if n == 0 else _ONE_SEED
        return figure
    mean, error = float(known.mean()), math.sqrt(_variance(known) / n)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    figure["interval"] = (mean - reach, mean + reach)
    return figure


@dataclass(frozen=True, slots=True)
class Crossed:
    """A figure over several seeds on one test set, with what holds for new seeds and new examples.

    Attributes:
        value: mean over the seeds.
        interval: for the mean over all seeds and all examples of the kind; ``None`` where there is none.
        p: two-sided p of "the mean over all seeds and examples is 0"; NaN where there is none.
        seed_error: standard error of the mean that new seeds alone would bring.
        example_error: standard error of the mean that new examples alone would bring.
        seeds: number of seeds.
        groups: number of groups of examples.
        reason: why there is no interval.
    """

    value: float
    interval: tuple[float, float] | None
    p: float
    seed_error: float
    example_error: float
    seeds: int
    groups: int
    reason: str | None = None


def crossed_interval(values_S: ArrayLike, parts_S_G: ArrayLike, *, level: float = LEVEL) -> Crossed:
    """Mean of a figure over seeds that share their examples, with an interval for new seeds and new examples at once.

    Seeds vary for the training, examples for the test set, and every seed has the same examples: its figures move
    together when the test set changes, which the spread between seeds cannot show. The variance of the mean is that
    over seeds plus that over groups of examples minus what both count, the variance of single cells (two-way
    clustering, Cameron, Gelbach and Miller 2011), and never less than either alone. Degrees of freedom are
    Satterthwaite's (1946): with three seeds that differ much they are near two, and many where the examples decide.

    Args:
        values_S: the figure of each seed, at least two.
        parts_S_G: by how much each group of examples moves each seed's figure: for a mean over N rows, the sum of the
            group's deviations from it divided by N; else the jackknife's ``(G - 1) / G (mean - figure without g)``.
        level: share of repetitions whose interval holds the truth, in (0, 1).

    Raises:
        ValueError: the arrays do not fit each other, or hold what is not finite.
    """
    value_S, part_S_G = np.asarray(values_S, dtype=np.float64), np.asarray(parts_S_G, dtype=np.float64)
    if value_S.ndim != 1 or part_S_G.ndim != 2 or part_S_G.shape[0] != value_S.size or not value_S.size:
        raise ValueError(f"{value_S.shape} values and {part_S_G.shape} parts: needs [S] and [S, G], S at least 1")
    if not (np.isfinite(value_S).all() and np.isfinite(part_S_G).all()):
        raise ValueError("a value or a part is not finite; leave out seeds whose figure is undefined")
    seeds, groups = part_S_G.shape
    mean = float(value_S.mean())
    if seeds < 2 or groups < 2:
        reason = _ONE_SEED if seeds < 2 else NO_GROUPS
        return Crossed(mean, None, math.nan, math.nan, math.nan, seeds, groups, reason)
    part_S_G = part_S_G - part_S_G.mean(axis=1, keepdims=True)
    mean_G = part_S_G.mean(axis=0)
    bessel = groups / (groups - 1)
    of_seeds = _variance(value_S) / seeds
    of_groups = bessel * float(mean_G @ mean_G)
    of_cells = bessel * float(((part_S_G - mean_G) ** 2).sum()) / (seeds - 1) / seeds
    variance = max(of_seeds + of_groups - of_cells, of_seeds, of_groups)
    errors = math.sqrt(of_seeds), math.sqrt(of_groups)
    if variance == 0.0:
        return Crossed(mean, None, math.nan, *errors, seeds, groups, "no variation between seeds or examples")
    freedom = variance**2 / (of_seeds**2 / (seeds - 1) + of_groups**2 / degrees_of_freedom(mean_G))
    # Of estimated variances the formula gives too many where few seeds happen to agree; simulation says, by about one.
    freedom = max(freedom - 1, min(seeds - 1.0, degrees_of_freedom(mean_G)))
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    p = float(2 * stats.t.sf(abs(mean) / math.sqrt(variance), freedom))
    return Crossed(mean, (mean - reach, mean + reach), p, *errors, seeds, groups)


def _variance(values_S: NDArray[np.float64]) -> float:
    """Variance with n - 1; exactly 0 where the values are alike but for the last bit of their floats."""
    if np.ptp(values_S) <= _ALIKE * max(1.0, float(np.abs(values_S).max())):
        return 0.0
    return float(values_S.var(ddof=1))


def combine_seeds(runs: Sequence[schema.RunResults]) -> seeds_schema.SeedResults:
    """Put runs of one recipe with different seeds together.

    Datasets and figures that not every run has are taken over the runs that have them; a warning says so.

    Args:
        runs: at least two runs' results.

    Raises:
        RunError: fewer than two runs.
    """
    if len(runs) < 2:
        raise RunError(f"{len(runs)} runs have no spread between seeds; at least two are needed")
    by_dataset: dict[str, list[schema.Comparison]] = {}
    for run in runs:
        for comparison in run["comparisons"]:
            by_dataset.setdefault(comparison["dataset"], []).append(comparison)
    warnings = [
        f"{dataset}: {len(found)} of {len(runs)} runs evaluated it."
        for dataset, found in by_dataset.items()
        if len(found) < len(runs)
    ]
    comparisons: list[seeds_schema.SeedComparison] = []
    for dataset, found in by_dataset.items():
        comparisons.append(
            {
                "dataset": dataset,
                "role": found[0]["role"],
                "metrics": {
                    side: _figures([one["metrics"].get(side, {}) for one in found]) for side in found[0]["metrics"]
                },
                "differences": _figures([one["differences"] for one in found]),
            }
        )
    return {
        "schema": schema.SCHEMA,
        "kind": "seeds",
        "runs": [dict(run["run"]) for run in runs],
        "comparisons": comparisons,
        "warnings": warnings,
    }


def _figures(parts: Sequence[Mapping[str, Any]]) -> dict[str, seeds_schema.SeedFigure]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: seed_figure([part[name]["value"] if name in part else None for part in parts]) for name in names}
