"""What each stage of a comparison hands to the next: load, match, views, figures, tests, fits; then assemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from candor.comparison.pairing import Matched, Side
from candor.metrics import schema
from candor.metrics.paired import Metric, MetricDifference
from candor.metrics.views import View

T = TypeVar("T")
Predictor = Literal["base", "trained", "bayes"]
Drawn = Literal["base", "trained", "bayes", "base_probe", "trained_probe"]
"""What curves are drawn of."""


class Both(NamedTuple, Generic[T]):
    """One thing of each side, in the order of every pair."""

    base: T
    trained: T


@dataclass(frozen=True, slots=True)
class Draws:
    """The bootstrap: how many resamples, and the seed that makes them the same again."""

    resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class Views:
    """The answers as arrays.

    Attributes:
        own: what each side's own figures are taken on; the same rows as ``paired`` unless rules drop rows by side.
        paired: both sides' answers to the same examples, row by row.
        dropped: rows that stand in a file and not in the figures.
        probes: the probed labels of each side; ``None`` where not every row has them.
        bayes: the best predictor there is; ``None`` where it is not known.
        bare_N: whether each pair's example shows no evidence.
    """

    own: Both[View]
    paired: Both[View]
    dropped: Sequence[schema.Dropped]
    probes: Both[View | None]
    bayes: View | None
    bare_N: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        metrics: every figure of each predictor, by name.
        differences: trained minus base, by name.
        confusion: counts [3, 4] of each predictor.
        curves: what the plots are drawn from.
    """

    metrics: Mapping[Predictor, Mapping[str, Metric]]
    differences: Mapping[str, MetricDifference]
    confusion: Mapping[Predictor, NDArray[np.int64]]
    curves: Mapping[Drawn, schema.Curves]


@dataclass(frozen=True, slots=True)
class Significance:
    """What was tested.

    Attributes:
        tested: names of the differences that got a p-value.
        differences: every difference, with its p-values.
        classical: tests by other means, by name.
    """

    tested: Sequence[str]
    differences: Mapping[str, schema.Difference]
    classical: Mapping[str, schema.Test]


@dataclass(frozen=True, slots=True)
class Fits:
    """What validation answers allow; empty without any."""

    recalibration: Sequence[schema.Recalibration] = ()
    threshold: schema.Threshold | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The stages that depend on whose rules of dropping, pairing and testing are followed.

    Attributes:
        name: under which results say so.
        views: from the sides and their common examples to arrays.
        figures: from arrays to numbers.
        tests: from numbers to p-values.
        warnings: what to tell the reader.
    """

    name: Literal["candor", "paper"]
    views: Callable[[Both[Side], Matched], Views]
    figures: Callable[[Views, Draws], Figures]
    tests: Callable[[Views, Figures], Significance]
    warnings: Callable[[Both[Side], Matched, schema.Rows], list[str]]
