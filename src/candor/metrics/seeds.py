"""One recipe, several seeds: means, spread between seeds, and effects that hold over them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from candor.errors import RunError
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL


def seed_figure(values: Sequence[float | None], *, tested: bool) -> schema.SeedFigure:
    """Mean, standard deviation and Student's interval of one figure over seeds.

    Args:
        values: one per seed, ``None`` where it is undefined; such seeds are left out and n tells.
        tested: whether to test the mean against 0.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    n = known.size
    figure: schema.SeedFigure = {
        "values": list(values),
        "mean": float(known.mean()) if n else None,
        "sd": float(known.std(ddof=1)) if n > 1 else None,
        "interval": None,
        "p": None,
        "n": n,
        "reason": None,
    }
    if n < 2:
        figure["reason"] = "undefined for every seed" if n == 0 else "one seed shows no spread"
        return figure
    mean, error = float(known.mean()), float(known.std(ddof=1)) / math.sqrt(n)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    figure["interval"] = (mean - reach, mean + reach)
    if tested and error > 0:
        figure["p"] = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    elif tested:
        figure["reason"] = "all seeds agree exactly: no spread to test against"
    return figure


def combine_seeds(runs: Sequence[schema.RunResults]) -> schema.SeedResults:
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
    comparisons: list[schema.SeedComparison] = []
    for dataset, found in by_dataset.items():
        comparisons.append(
            {
                "dataset": dataset,
                "role": found[0]["role"],
                "metrics": {
                    side: _figures([one["metrics"].get(side, {}) for one in found], tested=False)
                    for side in ("base", "trained", "bayes")
                },
                "differences": _figures([one["differences"] for one in found], tested=True),
            }
        )
    return {
        "schema": schema.SCHEMA,
        "kind": "seeds",
        "runs": [dict(run["run"]) for run in runs],
        "comparisons": comparisons,
        "warnings": warnings,
    }


def _figures(parts: Sequence[Mapping[str, Any]], *, tested: bool) -> dict[str, schema.SeedFigure]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: seed_figure([part[name]["value"] if name in part else None for part in parts], tested=tested)
        for name in names
    }
