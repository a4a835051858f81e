"""The confidence from which on answers may be accepted, with a guarantee on their error rate.

:func:`accepts` is the one rule: the threshold is chosen with it, reports count with it, and verdicts are given with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from candor.metrics.views import View

LEAST_VALID_MASS: Final = 0.5
"""Below this the model would sooner say something that is no answer, so its best answer is not accepted."""

SAME: Final = 1e-12
"""Confidences at the threshold are accepted, whatever the last bit of their float."""

_PICK_SEED: Final = 0
"""Which answer of a group counts, and which answers a weighting keeps, must not depend on how they came out."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold chosen on answers with gold labels.

    Attributes:
        threshold: accept answers at least this confident; ``None`` where no threshold carries the guarantee.
        n: answers that it was chosen on, each of another group.
        accepted: how many of them the threshold accepts.
        errors: how many of the accepted are wrong.
        bound: upper bound on the risk, at most the risk asked for; ``None`` without threshold.
        reason: why there is none.
    """

    threshold: float | None
    n: int
    accepted: int
    errors: int
    bound: float | None
    reason: str | None


def accepts(threshold: float | None, confidence: ArrayLike, valid_mass: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Whether answers are accepted: at least as confident as the threshold, and in the asked form.

    A verifier's answer is the best of those in the form, and the probability of them all together says whether the
    model would give one. An answer that was decoded freely shows that itself: one out of the form has no confidence.

    Args:
        threshold: lowest confidence; ``None`` accepts nothing.
        confidence: in [0, 1], of any shape; NaN where there is no label or no confidence, which is never accepted.
        valid_mass: probability of all answers in the asked form, in [0, 1], of the same shape; below
            ``LEAST_VALID_MASS`` nothing is accepted. NaN, or no array at all, where it was not computed.

    Returns:
        Of the arguments' shape.

    >>> accepts(0.8, [0.8, 0.79, 0.9, 0.9, float("nan")], [0.99, 0.99, 0.2, float("nan"), 0.99]).tolist()
    [True, False, False, True, False]
    """
    confident = np.asarray(confidence, dtype=np.float64) >= (np.inf if threshold is None else threshold - SAME)
    if valid_mass is None:
        return confident
    accepted: NDArray[np.bool_] = confident & ~(np.asarray(valid_mass, dtype=np.float64) < LEAST_VALID_MASS)
    return accepted


def risk_bound(errors: int, accepted: int, confidence: float) -> float:
    """One-sided upper Clopper-Pearson bound on an error rate.

    >>> round(risk_bound(0, 29, 0.95), 4)
    0.0981
    """
    if errors >= accepted:
        return 1.0
    # binomtest finds the same bound by a root search, 2 ms each; here one is needed for every threshold tried.
    return float(stats.beta.ppf(confidence, errors + 1, accepted - errors))


def one_per_group(group_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions [G] of one answer of each group, in rising order: drawn evenly, and the same at every call.

    >>> one_per_group(np.array([4, 4, 9])).size
    2
    """
    order_N = np.random.default_rng(_PICK_SEED).permutation(group_N.size)
    _, first_G = np.unique(group_N[order_N], return_index=True)
    picked_G: NDArray[np.int64] = np.sort(order_N[first_G])
    return picked_G


def choose_threshold(
    answers: View, *, risk: float, confidence: float, weight_N: NDArray[np.float64] | None = None
) -> Choice:
    """Return the lowest confidence at which the error rate among accepted answers is at most ``risk``.

    Thresholds are tested from the highest down, each with an exact binomial test at the full level, until the first
    that fails (fixed-sequence testing, Angelopoulos et al. 2021, "Learn then test"); so the guarantee holds with
    probability ``confidence`` over draws of ``answers`` although many thresholds are looked at. Thresholds that
    accept too few answers to pass even without an error are not tested; that depends on no outcome.

    Answers of a group are not independent, and the binomial test needs answers that are, so one of each group counts,
    drawn whatever its outcome: the error rate is that of an answer drawn from a group drawn at random.

    Args:
        answers: answers like those that will come, with gold labels. What is judged must not have been chosen on them:
            neither the model's checkpoint nor anything else about it.
        risk: highest error rate, in (0, 1).
        confidence: in (0, 1).
        weight_N: how much likelier each answer's claim is among those that will come than among these, up to a factor;
            at least 0, finite, one of them positive. An answer is kept with probability weight / largest weight, so
            that those kept are a sample of what will come (Park et al. 2022, "PAC prediction sets under covariate
            shift"). The guarantee is for claims that differ as the weights say and in nothing else.
    """
    independent = answers.take(_sample(answers.group_N, weight_N))
    used = independent.take(accepts(0.0, independent.confidence_N, independent.valid_mass_N))
    levels, level_N = np.unique(-used.confidence_N, return_inverse=True)
    # A threshold accepts all levels up to the last that counts as the same, as in `accepts`.
    last_L = np.searchsorted(levels, levels + SAME, side="right") - 1
    accepted_L = np.cumsum(np.bincount(level_N, minlength=levels.size))[last_L]
    errors_L = np.cumsum(np.bincount(level_N, weights=~used.correct, minlength=levels.size)).astype(np.int64)[last_L]
    fewest = math.log(1 - confidence) / math.log(1 - risk)
    total = independent.gold_N.size
    best: Choice | None = None
    for level, accepted, errors in zip(levels.tolist(), accepted_L.tolist(), errors_L.tolist(), strict=True):
        if accepted < fewest:
            continue
        bound = risk_bound(errors, accepted, confidence)
        if bound > risk:
            break
        best = Choice(-level, total, accepted, errors, bound, None)
    if best is not None:
        return best
    needed = math.ceil(fewest)
    kind = "answers of different groups" if weight_N is None else "answers that are left after weighting"
    reason = (
        f"needs at least {needed} {kind}, each with a confidence; there are {used.gold_N.size}"
        if used.gold_N.size < needed
        else f"the surest answers that could show a risk of at most {risk:g} do not"
    )
    return Choice(None, total, 0, 0, None, reason)


def _sample(group_N: NDArray[np.int64], weight_N: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """Positions of the answers that count: one of each group, and of these as many as their weights say."""
    picked_G = one_per_group(group_N)
    if weight_N is None or not picked_G.size:
        return picked_G
    chance_G = weight_N[picked_G] / weight_N[picked_G].max()
    kept_K: NDArray[np.int64] = picked_G[np.random.default_rng([_PICK_SEED, 1]).random(picked_G.size) < chance_G]
    return kept_K
