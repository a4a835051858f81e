"""Runs put side by side: an arm is what was trained, with one run per seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from candor.metrics.power import least_detectable
from candor.report.runs import SavedRun

_SEED = re.compile(r"^\d+$|/\d+$|(?:^|[-_./])(?:seed|s)[-_=]?\d+$", re.IGNORECASE)

Comparison = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean of a figure over ``n`` seeds, with the lowest and the highest."""

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """Spread of the values that are there, or ``None`` if none is.

        >>> Spread.of([0.25, None, 0.75])
        Spread(mean=0.5, low=0.25, high=0.75, n=2)
        """
        known = [value for value in values if value is not None]
        if not known:
            return None
        return cls(sum(known) / len(known), min(known), max(known), len(known))


def start_of(items: Iterable[Comparison]) -> str:
    """The word for what the trained models are compared with: the base, or the warm start where there was one."""
    return "warm start" if any(item.get("metrics", {}).get("untaught") for item in items) else "base"


@dataclass(frozen=True, slots=True)
class Arm:
    """Runs that differ in their seed alone.

    Attributes:
        name: as the report calls it.
        runs: at least one.
    """

    name: str
    runs: tuple[SavedRun, ...]

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Datasets that the runs' own results call in-domain, in their order."""
        names = [
            comparison["dataset"]
            for run in self.runs
            for comparison in comparisons(run)
            if comparison.get("role") == "in_domain"
        ]
        return tuple(dict.fromkeys(names))

    def on(self, dataset: str) -> list[Comparison]:
        """The comparisons on a dataset, one per run that has it."""
        return [item for run in self.runs for item in comparisons(run) if item["dataset"] == dataset]

    def spread(self, dataset: str, side: str, metric: str) -> Spread | None:
        """A figure of ``base``, ``trained`` or ``bayes`` over the seeds."""
        return Spread.of([figure(item, side, metric).get("value") for item in self.on(dataset)])


def comparisons(run: SavedRun) -> list[Comparison]:
    """The run's comparisons, one per dataset; a lone comparison counts as a run with one."""
    if run.results.get("kind") == "comparison":
        return [run.results]
    return list(run.results.get("comparisons", ()))


def figure(comparison: Comparison, side: str, metric: str) -> Mapping[str, Any]:
    """One figure of a comparison; empty when it is not there."""
    found: Mapping[str, Any] = comparison.get("metrics", {}).get(side, {}).get(metric, {})
    return found


def difference(comparison: Comparison, metric: str) -> Mapping[str, Any]:
    """One difference of a comparison; empty when it is not there."""
    found: Mapping[str, Any] = comparison.get("differences", {}).get(metric, {})
    return found


def tested_p(comparison: Comparison, metric: str) -> float | None:
    """The p-value that decides: after Holm's correction, or by the study's conventions the plain one."""
    key = "p" if comparison.get("conventions") == "paper" else "p_holm"
    p: float | None = difference(comparison, metric).get(key)
    return p


def is_significant(comparison: Comparison, metric: str) -> bool | None:
    """Whether the p-value that decides is below the run's level; ``None`` where nothing was tested."""
    p = tested_p(comparison, metric)
    return None if p is None else bool(p < comparison["settings"]["significance"])


def least_seen(comparison: Comparison, metric: str) -> float | None:
    """The least true difference that would have been significant four times of five, where this one is not."""
    error = difference(comparison, metric).get("standard_error")
    if error is None or is_significant(comparison, metric) is not False or comparison.get("conventions") == "paper":
        return None
    settings = comparison["settings"]
    return least_detectable(error, significance=settings["significance"], tests=len(settings["tested"]))


def arms_of(runs: Sequence[SavedRun]) -> list[Arm]:
    """Group runs by arm, in the order in which arms appear.

    Runs named ``<arm>/seed-1``, ``<arm>/2`` or ``<arm>-seed3`` are seeds of one arm.
    """
    grouped: dict[str, list[SavedRun]] = {}
    for run in runs:
        name = _SEED.sub("", run.name) if len(runs) > 1 else run.name
        grouped.setdefault(name or "trained", []).append(run)
    return [Arm(name, tuple(members)) for name, members in grouped.items()]


def datasets_of(arms: Sequence[Arm]) -> list[str]:
    """Every dataset that was evaluated, in the order of first appearance."""
    return list(dict.fromkeys(item["dataset"] for arm in arms for run in arm.runs for item in comparisons(run)))


def overall(arms: Sequence[Arm], dataset: str, side: str, metric: str) -> Spread | None:
    """A figure over all runs of all arms: for the base model and for Bayes, which arms share."""
    return _over(arms, dataset, lambda item: figure(item, side, metric).get("value"))


def _over(arms: Sequence[Arm], dataset: str, pick: Callable[[Comparison], float | None]) -> Spread | None:
    return Spread.of([pick(item) for arm in arms for item in arm.on(dataset)])
