"""Figures with intervals: of one predictor, and of two on the same rows with their differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from candor.metrics import schema
from candor.metrics.bootstrap import RESAMPLES, bca_interval, percentile_interval, two_sided_p
from candor.metrics.calibration import BINNED, binned_calibration
from candor.metrics.exchange import exchange_p
from candor.metrics.figures import (
    MOST_LEVELS,
    RowFigures,
    exact_figures,
    needs_confidence,
    share_rows,
    sizes,
    why_undefined,
)
from candor.metrics.names import METRICS
from candor.metrics.paired_share import paired_share_difference
from candor.metrics.resampling import Resampler
from candor.metrics.selective import RISKS, coverage_bound
from candor.metrics.shares import NO_GROUPS, certain_share_interval, clustered_share, degrees_of_freedom
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
        at_least: where a bound on one side stands in place of an interval, the bound: the truth lies at or above it in
            ``bootstrap.LEVEL`` of repetitions or more.
    """

    value: float
    interval: Interval | None
    n: int
    reason: str | None = None
    at_least: float | None = None

    def as_json(self) -> schema.Figure:
        """As it stands in results: ``None`` for NaN."""
        value = self.value if math.isfinite(self.value) else None
        figure: schema.Figure = {"value": value, "interval": self.interval, "n": self.n, "reason": self.reason}
        if self.at_least is not None:
            figure["at_least"] = self.at_least
        return figure


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """Second minus first predictor on the same rows.

    Attributes:
        value: NaN where it is undefined.
        interval: at the level ``bootstrap.LEVEL``; ``None`` where there is none.
        interval_bca: the bias-corrected and accelerated one, for figures whose interval is from resamples.
        p: two-sided, of "no difference"; not yet corrected for the number of tests; NaN where it is not tested.
        n: number of answers that both sides look at.
        reason: why value or interval are missing, in words.
        standard_error: from which :func:`candor.metrics.power.least_detectable` says what could have been seen.
    """

    value: float
    interval: Interval | None
    interval_bca: Interval | None
    p: float
    n: int
    reason: str | None = None
    standard_error: float | None = None

    def as_json(self, p_holm: float | None) -> schema.Difference:
        """As it stands in results; p-values only where ``p_holm`` says that it was tested."""
        value = self.value if math.isfinite(self.value) else None
        return {
            "value": value,
            "interval": self.interval,
            "interval_bca": self.interval_bca,
            "standard_error": self.standard_error,
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


_RAISED_BY_CHANCE: Final = ("ece", "adaptive_ece")

_OFTEN_UNDEFINED: Final = "undefined in more than 5 % of the resamples"
_ALL_ALIKE: Final = "every resample is alike: nothing shows how much it could vary"
_FEW_GROUPS: Final = "hangs on fewer than four groups of rows"
_CHANCE_RAISES: Final = "chance alone raises it; the calibration error without that has an interval"
_NO_DIFFERENCE: Final = "chance moves it even where both are calibrated; look at each side's own interval"
_PICKED: Final = "picked on the same answers: a lower bound stands in place of an interval"
_PICKED_TWICE: Final = "picked on the same answers; look at each side's own lower bound"
_FEWEST_FREEDOM: Final = 3.0
"""Degrees of freedom below which an interval would reach beyond what 10,000 resamples show."""


def view_metrics(view: View, *, resamples: int = RESAMPLES, seed: int = 0, plain: bool = False) -> dict[str, Metric]:
    """Every figure of one predictor with its interval, by group.

    Shares have Wilson's interval (:func:`clustered_share`), figures over bins that of :func:`binned_calibration`,
    every other figure the bootstrap's. Coverages at a risk have a lower bound alone (:func:`coverage_bound`).

    Args:
        view: N answers.
        resamples: at least 1.
        seed: the same seed gives the same intervals.
        plain: give every figure the plain percentile interval, as the study does.
    """
    number = sizes(view)
    if view.gold_N.size == 0:
        return {name: Metric(math.nan, None, 0, why_undefined(name, view)) for name in number}
    kernel = RowFigures(view)
    resampler = Resampler(kernel.sums_N_M, view.group_N, seed=seed)
    drawn = _Drawn(resampler, kernel.figures, resamples, seed)
    return _side(view, drawn, "", number, plain=plain)


class _Drawn:
    """Every resampled figure: on the data, on resamples, and with each bundle of groups left out."""

    def __init__(
        self, resampler: Resampler, figures: Callable[[Floats], Mapping[str, Floats]], resamples: int, seed: int
    ) -> None:
        self.groups = resampler.groups
        self._observed = figures(resampler.observed())
        self._resampled = resampler.resampled(figures, resamples, np.random.default_rng(seed))
        self._left = resampler.without_one(figures)

    def values(self, name: str, value: float) -> tuple[Floats, Floats]:
        """Resamples [R], and what is left without each bundle [T]; moved by what blocks of confidences change."""
        shift = value - float(self._observed[name][0])
        return self._resampled[name] + shift, self._left[name] + shift

    def freedom(self, name: str) -> float:
        """Degrees of freedom of the figure's variance; 1 where it is undefined without some group."""
        left_T = self._left[name]
        return degrees_of_freedom(left_T - left_T.mean()) if np.isfinite(left_T).all() else 1.0


def _side(view: View, drawn: _Drawn, prefix: str, number: Mapping[str, int], *, plain: bool) -> dict[str, Metric]:
    binned = binned_calibration(view)
    estimates = {} if binned is None else binned.figures
    exact = exact_figures(view, binned)
    metrics = {}
    for name, n in number.items():
        if not math.isfinite(exact[name]):
            metrics[name] = Metric(math.nan, None, n, why_undefined(name, view))
        elif name in _RAISED_BY_CHANCE:
            metrics[name] = Metric(exact[name], None, n, _CHANCE_RAISES)
        elif name in estimates:
            metrics[name] = Metric(exact[name], estimates[name].interval, n, estimates[name].reason)
        elif drawn.groups < 2:
            metrics[name] = Metric(exact[name], None, n, NO_GROUPS)
        elif plain and name not in RISKS:
            metrics[name] = _plain(name, exact[name], drawn.values(prefix + name, exact[name])[0], n)
        elif name in RISKS:
            metrics[name] = Metric(exact[name], None, n, _PICKED, coverage_bound(view, RISKS[name]))
        else:
            metrics[name] = _judged(name, exact[name], view, drawn, prefix, n)
    return metrics


def _plain(name: str, value: float, values_R: Floats, n: int) -> Metric:
    if METRICS[name].percent and value in (0.0, 1.0):
        return Metric(value, certain_share_interval(value, n), n)
    interval = percentile_interval(values_R)
    return Metric(value, interval, n, None if interval else _OFTEN_UNDEFINED)


def _judged(name: str, value: float, view: View, drawn: _Drawn, prefix: str, n: int) -> Metric:
    share = share_rows(name, view)
    if share is not None:
        over_N, hits_N = share
        return Metric(value, clustered_share(hits_N[over_N], view.group_N[over_N]).interval, n)
    values_R, _ = drawn.values(prefix + name, value)
    interval, reason = resampled_interval(values_R, drawn.freedom(prefix + name))
    return Metric(value, interval, n, reason)


def resampled_interval(values_R: Floats, freedom: float) -> tuple[Interval | None, str | None]:
    """Expanded percentile interval of a resampled figure, or ``None`` and why there is none."""
    if freedom < _FEWEST_FREEDOM:
        return None, _FEW_GROUPS
    interval = percentile_interval(values_R, freedom=freedom)
    if interval is None:
        return None, _OFTEN_UNDEFINED
    if interval[1] - interval[0] <= 1e-12 * max(1.0, abs(interval[0])):
        return None, _ALL_ALIKE
    return interval, None


class PairFigures:
    """Figures of two views of the same rows, and their differences on the rows both can use.

    Args:
        first: N answers.
        second: N answers to the same rows.
        most_levels: as :class:`RowFigures` takes it.

    Attributes:
        sums_N_M: sparse; what each row adds to the M sums of both views.
    """

    def __init__(self, first: View, second: View, most_levels: int | None = MOST_LEVELS) -> None:
        shared = first.usable & second.usable
        kernels = [RowFigures(first, most_levels), RowFigures(second, most_levels)]
        if not ((shared == first.usable).all() and (shared == second.usable).all()):
            kernels += [RowFigures(without_confidence(view, ~shared), most_levels) for view in (first, second)]
        self._kernels = kernels
        self._ends = np.cumsum([kernel.sums_N_M.shape[1] for kernel in kernels])[:-1]
        self.sums_N_M = scipy.sparse.hstack([kernel.sums_N_M for kernel in kernels], format="csr")

    def figures(self, sums_M_R: Floats) -> dict[str, Floats]:
        """Return figures under ``first.<name>``, ``second.<name>``, ``difference.<name>``."""
        parts = np.split(sums_M_R, self._ends)
        every = [kernel.figures(part) for kernel, part in zip(self._kernels, parts, strict=True)]
        own, shared = every[:2], every[-2:]
        values = {f"first.{name}": value for name, value in own[0].items()}
        values |= {f"second.{name}": value for name, value in own[1].items()}
        for name in own[0]:
            before, after = shared if needs_confidence(name) else own
            values[f"difference.{name}"] = after[name] - before[name]
        return values


def without_confidence(view: View, rows_N: NDArray[np.bool_]) -> View:
    """The same answers, as if those at ``rows_N`` had stated no confidence."""
    return View(view.gold_N, view.label_N, np.where(rows_N, np.nan, view.confidence_N), view.group_N)


def exact_differences(first: View, second: View) -> dict[str, float]:
    """Second minus first of every figure; of a confidence on the rows where both have one; NaN where undefined."""
    shared = first.usable & second.usable
    own = [exact_figures(view, binned_calibration(view)) for view in (first, second)]
    both = own
    if not (shared == (first.usable | second.usable)).all():
        alike = [without_confidence(view, ~shared) for view in (first, second)]
        both = [exact_figures(view, binned_calibration(view)) for view in alike]
    return {
        name: (both[1][name] - both[0][name]) if needs_confidence(name) else own[1][name] - own[0][name]
        for name in own[0]
    }


def pair_metrics(
    first: View,
    second: View,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    p_value: Callable[[float, Floats], float] | None = None,
) -> Pair:
    """Every figure of two predictors on the same rows, and every difference, by group.

    A difference of a figure that needs a confidence is taken on the rows where both have one. Differences of shares of
    the same rows are judged by :func:`paired_share_difference`, others by the paired bootstrap; p of macro-F1 is the
    larger of the bootstrap's and :func:`exchange_p`. Those of figures over bins and of coverages at a risk have neither
    interval nor p.

    Args:
        first: N answers.
        second: N answers, with the same gold labels and groups row by row.
        resamples: at least 1.
        seed: the same seed gives the same intervals and p-values.
        p_value: from a difference and its resamples. Then every interval is the plain percentile interval and every p
            is this one, as in the study; ``None`` for candor's own.
    """
    number = {"first": sizes(first), "second": sizes(second)}
    shared = first.usable & second.usable
    # A difference has the n of what both sides look at; recall and precision say it for their own label.
    common = sizes(without_confidence(first, ~shared))
    if first.gold_N.size == 0:
        empty = {name: Metric(math.nan, None, 0, why_undefined(name, first)) for name in common}
        none = MetricDifference(math.nan, None, None, math.nan, 0, "there are no answers")
        return Pair(empty, dict(empty), dict.fromkeys(common, none))

    kernel = PairFigures(first, second)
    drawn = _Drawn(Resampler(kernel.sums_N_M, first.group_N, seed=seed), kernel.figures, resamples, seed)
    plain = p_value is not None
    sides = (
        _side(first, drawn, "first.", number["first"], plain=plain),
        _side(second, drawn, "second.", number["second"], plain=plain),
    )
    values = exact_differences(first, second)
    differences = {}
    for name, value in values.items():
        n = common[name] if not name.endswith("_precision") else first.gold_N.size
        if not math.isfinite(value):
            reason = _why_no_difference(name, first, second, sides)
            differences[name] = MetricDifference(math.nan, None, None, math.nan, n, reason)
        elif name in (*BINNED, *_RAISED_BY_CHANCE, *RISKS):
            reason = _PICKED_TWICE if name in RISKS else _NO_DIFFERENCE
            differences[name] = MetricDifference(value, None, None, math.nan, n, reason)
        elif drawn.groups < 2:
            differences[name] = MetricDifference(value, None, None, math.nan, n, NO_GROUPS)
        elif p_value is not None:
            values_R, left_T = drawn.values(f"difference.{name}", value)
            interval = percentile_interval(values_R)
            bca = bca_interval(value, values_R, left_T)
            differences[name] = MetricDifference(
                value, interval, bca, p_value(value, values_R), n, None if interval else _OFTEN_UNDEFINED
            )
        else:
            differences[name] = _difference(name, value, first, second, drawn, n, seed)
    return Pair(*sides, {name: differences[name] for name in common})


def _difference(
    name: str, value: float, first: View, second: View, drawn: _Drawn, n: int, seed: int
) -> MetricDifference:
    shares = share_rows(name, first), share_rows(name, second)
    if shares[0] is not None and shares[1] is not None and not name.endswith("_precision"):
        over_N = shares[0][0]
        paired = paired_share_difference(shares[0][1][over_N], shares[1][1][over_N], first.group_N[over_N])
        return MetricDifference(
            value, paired.interval, None, paired.p_two_sided, n, paired.reason, paired.standard_error
        )
    values_R, left_T = drawn.values(f"difference.{name}", value)
    freedom = drawn.freedom(f"difference.{name}")
    interval, reason = resampled_interval(values_R, freedom)
    error = None if interval is None else float(np.nanstd(values_R)) * math.sqrt((freedom + 1) / freedom)
    p = two_sided_p(value, values_R, freedom=freedom)
    if reason == _ALL_ALIKE and value != 0.0:
        # Resamples that all show the same effect do not show that chance could not have made it.
        p = math.nan
    if name == "macro_f1":
        # A mean over labels that also stands on a label of few examples, of which a bootstrap shows too little.
        p = max(p, exchange_p(first, second, name, resamples=values_R.size, seed=seed))
    return MetricDifference(
        value,
        interval,
        None if interval is None else bca_interval(value, values_R, left_T, freedom=freedom),
        p,
        n,
        reason,
        error,
    )


def _why_no_difference(name: str, first: View, second: View, sides: tuple[dict[str, Metric], ...]) -> str:
    for which, view, side in zip(("base", "trained"), (first, second), sides, strict=True):
        if not math.isfinite(side[name].value):
            return f"{why_undefined(name, view)} ({which})"
    return "undefined on the rows where both have a confidence"
