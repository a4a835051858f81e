"""Made-up answers for tests of figures."""

from __future__ import annotations

import numpy as np

from candor.metrics.views import View
from candor.types import NO_LABEL


def make_view(
    seed: int,
    rows: int = 200,
    *,
    skill: float = 0.6,
    missing: float = 0.0,
    invalid: float = 0.0,
    groups: int | None = None,
    steps: int = 20,
    gold_seed: int = 0,
) -> View:
    """Answers whose confidence says a little about their being right; gold labels and groups by ``gold_seed`` alone."""
    gold_draw, draw = np.random.default_rng(gold_seed), np.random.default_rng(seed)
    gold = gold_draw.integers(0, 3, rows)
    group = np.arange(rows) if groups is None else gold_draw.integers(0, groups, rows)
    confidence = np.round(draw.beta(4, 2, rows) * steps) / steps
    right = draw.random(rows) < skill * confidence + 0.2
    label = np.where(right, gold, draw.integers(0, 3, rows))
    label[draw.random(rows) < invalid] = NO_LABEL
    confidence[(draw.random(rows) < missing) | (label == NO_LABEL)] = np.nan
    return View(gold, label, confidence, group)
