"""Skill of stated confidences: how much better they score than the one number that needs no model, the accuracy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.calibration import LOG_SCORE_CLIP
from candor.metrics.shares import NO_GROUPS, degrees_of_freedom, group_sums
from candor.metrics.views import View

Floats = NDArray[np.float64]


def skill_scores(view: View, level: float = LEVEL) -> dict[schema.SkillName, schema.Figure]:
    """Brier skill and log skill over the base rate (Murphy 1973; Gneiting and Raftery 2007).

    With confidences c, y = 1 where an answer is right, and the accuracy a of these answers:

    * Brier skill: 1 - mean (c - y)^2 / (a (1 - a));
    * log skill: 1 - mean log score / (a log a + (1 - a) log (1 - a)), confidences clipped as in the log score.

    1 is perfect, 0 what stating a with every answer would score, and below 0 is worse than that. The reference knows
    the accuracy of these very answers, so skill errs on the low side, by one part in n.

    The interval is Student's, with the variance over groups of what each answer adds to the skill (its influence: the
    delta method), and Satterthwaite's degrees of freedom.

    Args:
        view: N answers; those without a confidence are left out.
        level: of the intervals, in (0, 1).
    """
    used = view.take(view.usable)
    right_N, n = used.correct.astype(np.float64), used.gold_N.size
    rate = float(right_N.mean()) if n else math.nan
    if not n or rate in (0.0, 1.0):
        reason = "no answer has a confidence"
        if n:
            reason = f"every answer with a confidence is {'right' if rate else 'wrong'}: the base rate is perfect"
        missing: schema.Figure = {"value": None, "interval": None, "n": n, "reason": reason}
        return {"brier": missing, "log": {**missing}}
    clipped_N = np.clip(used.confidence_N, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP)
    scores: dict[schema.SkillName, tuple[Floats, float, float]] = {
        "brier": ((used.confidence_N - right_N) ** 2, rate * (1 - rate), 1 - 2 * rate),
        "log": (
            np.log(np.where(used.correct, clipped_N, 1 - clipped_N)),
            rate * math.log(rate) + (1 - rate) * math.log(1 - rate),
            math.log(rate / (1 - rate)),
        ),
    }
    return {
        name: _figure(score_N, reference, slope, right_N - rate, used.group_N, level)
        for name, (score_N, reference, slope) in scores.items()
    }


def _figure(
    score_N: Floats, reference: float, slope: float, surplus_N: Floats, group_N: NDArray[np.int64], level: float
) -> schema.Figure:
    """Skill from scores, the reference's score, and its slope in the accuracy."""
    mean, n = float(score_N.mean()), score_N.size
    influence_N = -(score_N - mean) / reference + mean / reference**2 * slope * surplus_N
    part_G = group_sums(influence_N, group_N) / n
    value, groups = 1 - mean / reference, part_G.size
    if groups < 2:
        return {"value": value, "interval": None, "n": n, "reason": NO_GROUPS}
    error = math.sqrt(groups / (groups - 1) * float(part_G @ part_G))
    reach = float(stats.t.ppf((1 + level) / 2, degrees_of_freedom(part_G))) * error
    return {"value": value, "interval": (value - reach, value + reach), "n": n, "reason": None}
