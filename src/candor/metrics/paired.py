"""Figures with intervals: of one predictor, and of two on the same rows with their differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from candor.metrics import schema
from candor.metrics.bootstrap import (
    RESAMPLES,
    bca_interval,
    certain_share_interval,
    percentile_interval,
    two_sided_p,
)
from candor.metrics.figures import CellFigures, needs_confidence, sizes, why_undefined
from candor.metrics.names import METRICS
from candor.metrics.resampling import Resampler
from candor.metrics.views import View

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure.

    Attributes:
        value: NaN where it is undefined.
        interval: at the level ``bootstrap.LEVEL``; ``None`` where there is none.
        n: number of answers that it is taken over.
        reason: why value or interval are missing, in words.
    """

    value: float
    interval: Interval | None
    n: int
    reason: str | None = None

    def as_json(self) -> schema.Figure:
        """As it stands in results: ``None`` for NaN."""
        value = self.value if math.isfinite(self.value) else None
        return {"value": value, "interval": self.interval, "n": self.n, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """Second minus first predictor on the same rows; ``p`` is not yet corrected for the number of tests."""

    value: float
    interval: Interval | None
    interval_bca: Interval | None
    p: float
    n: int
    reason: str | None = None

    def as_json(self, p_holm: float | None) -> schema.Difference:
        """As it stands in results; p-values only where ``p_holm`` says that it was tested."""
        value = self.value if math.isfinite(self.value) else None
        return {
            "value": value,
            "interval": self.interval,
            "interval_bca": self.interval_bca,
            "p": self.p if p_holm is not None else None,
            "p_holm": p_holm,
            "n": self.n,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """Two predictors on the same rows: figures of each, and second minus first."""

    first: dict[str, Metric]
    second: dict[str, Metric]
    differences: dict[str, MetricDifference]


_TOO_FEW_GROUPS = "fewer than two groups of rows: nothing to resample"
_OFTEN_UNDEFINED = "undefined in more than 5 % of the resamples"


def _cells(columns: list[NDArray[np.generic]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Code of each row's distinct combination of columns, and one row per code."""
    codes_N = np.zeros(columns[0].size, dtype=np.int64)
    for column in columns:
        # NaN is one value among others here: "no confidence".
        _, part_N = np.unique(column, return_inverse=True, equal_nan=True)
        _, codes_N = np.unique(codes_N * (part_N.max(initial=0) + 1) + part_N, return_inverse=True)
    first_K = np.unique(codes_N, return_index=True)[1]
    return codes_N, first_K


def _metric(name: str, value: float, values_R: Floats, n: int, view: View, groups: int) -> Metric:
    if not math.isfinite(value):
        return Metric(math.nan, None, n, why_undefined(name, view))
    if groups < 2:
        return Metric(value, None, n, _TOO_FEW_GROUPS)
    info = METRICS[name]
    if info.percent and info.family == "labels" and value in (0.0, 1.0):
        return Metric(value, certain_share_interval(value, min(n, groups)), n)
    interval = percentile_interval(values_R)
    return Metric(value, interval, n, None if interval else _OFTEN_UNDEFINED)


def view_metrics(view: View, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Metric]:
    """Every figure of one predictor, with bootstrap intervals clustered by group."""
    number = sizes(view)
    if view.gold_N.size == 0:
        return {name: Metric(math.nan, None, 0, why_undefined(name, view)) for name in number}
    cell_N, first_K = _cells([view.gold_N, view.column, view.confidence_N])
    kernel = CellFigures(view.take(first_K))
    resampler = Resampler(cell_N, view.group_N, kernel.count_M_K)
    observed = kernel.figures(resampler.observed())
    resampled = resampler.figures(kernel.figures, resamples, np.random.default_rng(seed))
    return {
        name: _metric(name, float(observed[name][0]), resampled[name], n, view, resampler.groups)
        for name, n in number.items()
    }


class _PairFigures:
    """Figures of two views whose rows fall into the same K cells, and their differences on the rows both can use."""

    def __init__(self, first: View, second: View) -> None:
        shared = first.usable & second.usable
        kernels = [CellFigures(first), CellFigures(second)]
        self._alike = bool((shared == first.usable).all() and (shared == second.usable).all())
        if not self._alike:
            kernels += [CellFigures(_without_confidence(view, ~shared)) for view in (first, second)]
        self._kernels = kernels
        self._ends = np.cumsum([kernel.count_M_K.shape[0] for kernel in kernels])[:-1]
        self.count_M_K = scipy.sparse.vstack([kernel.count_M_K for kernel in kernels], format="csr")

    def figures(self, counts_M_R: Floats) -> dict[str, Floats]:
        """Return figures under ``first.<name>``, ``second.<name>``, ``difference.<name>``."""
        parts = np.split(counts_M_R, self._ends)
        every = [kernel.figures(part) for kernel, part in zip(self._kernels, parts, strict=True)]
        own, shared = every[:2], every[-2:]
        values = {f"first.{name}": value for name, value in own[0].items()}
        values |= {f"second.{name}": value for name, value in own[1].items()}
        for name in own[0]:
            before, after = shared if needs_confidence(name) else own
            values[f"difference.{name}"] = after[name] - before[name]
        return values


def _without_confidence(view: View, rows_N: NDArray[np.bool_]) -> View:
    return View(view.gold_N, view.label_N, np.where(rows_N, np.nan, view.confidence_N), view.group_N)


def pair_metrics(
    first: View,
    second: View,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    p_value: Callable[[float, Floats], float] = two_sided_p,
) -> Pair:
    """Every figure of two predictors on the same rows, and every difference: paired bootstrap clustered by group.

    A difference of a figure that needs a confidence is taken on the rows where both have one.

    Args:
        first: N answers.
        second: N answers, with the same gold labels and groups row by row.
        resamples: at least 1.
        seed: the same seed gives the same intervals and p-values.
        p_value: from a difference and its resamples.
    """
    number = {"first": sizes(first), "second": sizes(second)}
    names = list(number["first"])
    shared = first.usable & second.usable
    # A difference has the n of what both sides look at; recall and precision say it for their own label.
    common = sizes(_without_confidence(first, ~shared))
    if first.gold_N.size == 0:
        empty = {name: Metric(math.nan, None, 0, why_undefined(name, first)) for name in names}
        none = MetricDifference(math.nan, None, None, math.nan, 0, "there are no answers")
        return Pair(empty, dict(empty), dict.fromkeys(names, none))

    cell_N, first_K = _cells([first.gold_N, first.column, first.confidence_N, second.column, second.confidence_N])
    kernel = _PairFigures(first.take(first_K), second.take(first_K))
    resampler = Resampler(cell_N, first.group_N, kernel.count_M_K)
    observed = kernel.figures(resampler.observed())
    resampled = resampler.figures(kernel.figures, resamples, np.random.default_rng(seed))
    left_M_T, weight_T = resampler.without_one()
    left = kernel.figures(left_M_T)

    def side(which: str, view: View) -> dict[str, Metric]:
        return {
            name: _metric(
                name,
                float(observed[f"{which}.{name}"][0]),
                resampled[f"{which}.{name}"],
                number[which][name],
                view,
                resampler.groups,
            )
            for name in names
        }

    differences = {}
    for name in names:
        key = f"difference.{name}"
        value, values_R = float(observed[key][0]), resampled[key]
        n = common[name] if not name.endswith("_precision") else first.gold_N.size
        if not math.isfinite(value):
            reason = next(
                (
                    f"{why_undefined(name, view)} ({which})"
                    for which, view in (("base", first), ("trained", second))
                    if not math.isfinite(float(observed[f"{'first' if view is first else 'second'}.{name}"][0]))
                ),
                "undefined on the rows where both have a confidence",
            )
            differences[name] = MetricDifference(math.nan, None, None, math.nan, n, reason)
        elif resampler.groups < 2:
            differences[name] = MetricDifference(value, None, None, math.nan, n, _TOO_FEW_GROUPS)
        else:
            interval = percentile_interval(values_R)
            differences[name] = MetricDifference(
                value,
                interval,
                bca_interval(value, values_R, left[key], weight_T),
                p_value(value, values_R),
                n,
                None if interval else _OFTEN_UNDEFINED,
            )
    return Pair(side("first", first), side("second", second), differences)
