"""The shape of several seeds' results, as ``seeds-ARM.json`` holds them; the rest of it is in ``schema``."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from candor.metrics.schema import Interval, Role


class SeedFigure(TypedDict):
    """One figure over seeds that share their examples: ``interval`` is Student's, ``sd`` has n - 1, ``p`` is None."""

    values: list[float | None]
    mean: float | None
    sd: float | None
    interval: Interval | None
    p: float | None
    n: int
    reason: str | None


class CrossedFigure(TypedDict):
    """Trained minus base, mean over seeds: for new seeds *and* new examples; ``p_holm`` is corrected over arms.

    ``seed_error`` and ``example_error`` are the standard errors that new seeds alone and new examples alone bring.
    """

    value: float
    interval: Interval | None
    p: float | None
    p_holm: float | None
    seed_error: float | None
    example_error: float | None
    seeds: int
    groups: int
    reason: str | None


class SeedComparison(TypedDict):
    """One dataset over several seeds: what new seeds would change on these examples.

    ``crossed`` is about new examples, too; empty where predictions are not there or have no example in common.
    """

    dataset: str
    role: Role | None
    metrics: dict[Literal["base", "trained", "bayes", "untaught"], dict[str, SeedFigure]]
    differences: dict[str, SeedFigure]
    crossed: NotRequired[dict[str, CrossedFigure]]


class SeedResults(TypedDict):
    """Several runs of one recipe that differ in their seed alone."""

    schema: int
    kind: Literal["seeds"]
    runs: list[dict[str, Any]]
    comparisons: list[SeedComparison]
    warnings: list[str]
