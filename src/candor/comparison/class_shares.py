"""A comparison's figures under other shares of the gold labels, as users meet them."""

from __future__ import annotations

from collections.abc import Mapping

from candor.comparison.stages import Draws, Views
from candor.metrics import schema
from candor.metrics.paired import Metric
from candor.metrics.reweighting import absent_label, reweighted_pair


def under_shares(views: Views, shares: Mapping[str, float] | None, draws: Draws) -> schema.Reweighted | None:
    """Return both sides' figures, and trained minus base, if gold labels came in the stated shares.

    Args:
        views: both sides' answers to the same examples.
        shares: of ``PASS``, ``FAIL`` and ``NA``, each at least 0, 1 in all; ``None`` where none were stated.
        draws: of the bootstrap.

    Returns:
        ``None`` without shares; without figures, and with the reason, where a label that has a share has no example.
    """
    if shares is None:
        return None
    sides = views.paired
    absent = absent_label(sides.base, shares)
    found: schema.Reweighted = {"shares": dict(shares), "base": {}, "trained": {}, "differences": {}, "reason": None}
    if absent is not None:
        found["reason"] = f"no example has the gold label {absent}, whose share is {shares[absent]:g}"
        return found
    base, trained, differences = reweighted_pair(*sides, shares, resamples=draws.resamples, seed=draws.seed)
    found["base"], found["trained"], found["differences"] = map(_as_json, (base, trained, differences))
    return found


def _as_json(figures: Mapping[str, Metric]) -> dict[str, schema.Figure]:
    return {name: figure.as_json() for name, figure in figures.items()}
