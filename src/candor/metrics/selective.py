"""Figures of ranking: does a higher confidence mean a better answer, and what if only the surest are accepted?

Arguments as in :mod:`candor.metrics.calibration`: L distinct confidences, highest first, right and wrong answers at
each, R resamples at once. Answers of equal confidence are never ordered among themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from candor.metrics.bootstrap import LEVEL
from candor.metrics.classification import divide
from candor.metrics.shares import clustered_share
from candor.metrics.views import View

Floats = NDArray[np.float64]

RISKS: Final[dict[str, float]] = {"coverage_at_1": 0.01, "coverage_at_5": 0.05, "coverage_at_10": 0.10}
"""Risk that each coverage figure allows."""


def ranking_figures(right_L_R: Floats, wrong_L_R: Floats) -> dict[str, Floats]:
    """AUROC, AUPRC, and areas under the risk-coverage curve and the generalized one.

    * AUROC: share of (right, wrong) pairs in which the right answer is more confident, ties one half.
    * AUPRC: average precision with "right" as the positive class, one threshold per distinct confidence
      (scikit-learn's ``average_precision_score``).
    * AURC: mean over k = 1 ... n of the error rate among the k surest answers (Geifman and El-Yaniv 2017), in
      expectation over the order of ties; excess: minus the AURC of an oracle that ranks every right answer first.
    * AUGRC: the same area with errors divided by all answers in place of the k surest (Traub et al. 2024, arXiv
      2407.01032, equation 6): the chance of an error that is accepted, over all thresholds. With a the accuracy it is
      (1 - AUROC) a (1 - a) + (1 - a)^2 / 2, so it does not hang on the few surest answers.

    Args:
        right_L_R: right answers. AUROC and AUGRC hold for weighted counts as well, the others for whole ones.
        wrong_L_R: wrong answers, likewise.

    Returns:
        arrays [R]; NaN where a figure is undefined (AUROC needs right and wrong answers, AUPRC right ones).
    """
    count_L_R = right_L_R + wrong_L_R
    errors_L_R = np.cumsum(wrong_L_R, axis=0)
    accepted_L_R = np.cumsum(count_L_R, axis=0)
    total_R = count_L_R.sum(axis=0)
    wrong_R = wrong_L_R.sum(axis=0)
    right_R = total_R - wrong_R

    beaten_L_R = wrong_R - errors_L_R + wrong_L_R / 2
    precision_L_R = 1 - errors_L_R / np.maximum(accepted_L_R, 1.0)
    ordered_R = np.einsum("lr,lr->r", right_L_R, beaten_L_R)

    # The k surest of a block of m ties with e errors, after A answers with E errors, err E + (k - A) e / m times in
    # expectation; summing (that / k) over the block leaves e + (E - A e / m) (H[A + m] - H[A]), H harmonic numbers.
    # Weighted counts may add up to a little more in one order than in another.
    top = math.ceil(total_R.max(initial=0)) + 1
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, top + 1))])
    at_L_R = harmonic[accepted_L_R.astype(np.int64)]
    step_L_R = at_L_R.copy()
    step_L_R[1:] -= at_L_R[:-1]
    rate_L_R = wrong_L_R / np.maximum(count_L_R, 1.0)
    excess_L_R = errors_L_R - wrong_L_R - rate_L_R * (accepted_L_R - count_L_R)
    aurc_R = divide(wrong_R + np.einsum("lr,lr->r", excess_L_R, step_L_R), total_R)
    whole_R, clean_R = total_R.astype(np.int64), right_R.astype(np.int64)
    oracle_R = divide(wrong_R - right_R * (harmonic[whole_R] - harmonic[clean_R]), total_R)
    return {
        "auroc": divide(ordered_R, right_R * wrong_R),
        "auprc": divide(np.einsum("lr,lr->r", right_L_R, precision_L_R), right_R),
        "aurc": aurc_R,
        # The two sums agree only up to rounding where the ranking is perfect.
        "excess_aurc": np.maximum(aurc_R - oracle_R, 0.0),
        "augrc": divide(right_R * wrong_R - ordered_R + wrong_R**2 / 2, total_R**2),
    }


def coverages_at_risk(right_L_R: Floats, wrong_L_R: Floats, all_R: Floats) -> dict[str, Floats]:
    """Coverage at risk r: the largest share of *all* answers that a threshold accepts with an error rate of at most r.

    Answers without a confidence count among all; 0 where there is no such threshold. Picked on the same answers, it
    is too good to be true: :func:`coverage_bound` says what can be relied on.

    Args:
        right_L_R: right answers. AUROC and AUGRC hold for weighted counts as well, the others for whole ones.
        wrong_L_R: wrong answers, likewise.
        all_R: number of answers with or without confidence.

    Returns:
        arrays [R] under the names in ``RISKS``.
    """
    accepted_L_R = np.cumsum(right_L_R + wrong_L_R, axis=0)
    errors_L_R = np.cumsum(wrong_L_R, axis=0)
    figures = {}
    for name, risk in RISKS.items():
        allowed_L_R = errors_L_R <= risk * accepted_L_R + 1e-9
        figures[name] = divide((accepted_L_R * allowed_L_R).max(axis=0, initial=0.0), all_R)
    return figures


@dataclass(frozen=True, slots=True)
class Accepted:
    """What each threshold on confidence accepts, highest confidence first.

    Attributes:
        threshold_L: the distinct confidences.
        coverage_L: share of all answers that are at least as confident.
        risk_L: error rate among them.
        effective_L: number of independent answers that they are worth.
        freedom_L: groups among them, less one.
    """

    threshold_L: Floats
    coverage_L: Floats
    risk_L: Floats
    effective_L: Floats
    freedom_L: Floats


def accepted_by_threshold(view: View) -> Accepted:
    """Coverage and risk at every threshold, with what the accepted answers are worth in independent ones.

    The variance of the risk over groups is kept up threshold by threshold: with e errors among a answers accepted,
    of which group g has e_g and a_g, it is sum (e_g - e a_g / a)^2 / a^2.
    """
    used = view.take(view.usable)
    order_N = np.argsort(-used.confidence_N, kind="stable")
    member_N = np.unique(used.group_N, return_inverse=True)[1][order_N]
    wrong_N = (~used.correct)[order_N].astype(np.float64)
    confidence_N = used.confidence_N[order_N]
    last_L = np.flatnonzero(np.diff(confidence_N, append=-1.0))
    size_N, errors_N = _sums_so_far(member_N, np.ones(member_N.size)), _sums_so_far(member_N, wrong_N)
    # How much each row adds to the sums over groups of a_g^2, a_g e_g, e_g^2 when it comes in.
    squares_N = np.cumsum(2 * size_N - 1)
    products_N = np.cumsum(errors_N + wrong_N * size_N - wrong_N)
    error_squares_N = np.cumsum(wrong_N * (2 * errors_N - 1))
    groups_N = np.cumsum(size_N == 1)

    a, e = np.arange(1.0, wrong_N.size + 1)[last_L], np.cumsum(wrong_N)[last_L]
    risk_L = e / a
    parts_L = error_squares_N[last_L] - 2 * risk_L * products_N[last_L] + risk_L**2 * squares_N[last_L]
    groups_L = groups_N[last_L].astype(np.float64)
    clustered_L = parts_L * groups_L / np.maximum(groups_L - 1, 1.0)
    plain_L = risk_L * (1 - risk_L) * a * a / np.maximum(a - 1, 1.0)
    effect_L = np.ones(a.size)
    np.divide(clustered_L, plain_L, out=effect_L, where=(plain_L > 0) & (groups_L > 1))
    # Without errors, or with nothing else, no variance shows: all rows of a group are taken as alike.
    alike_L = squares_N[last_L] / a
    effect_L = np.where((plain_L > 0) & (groups_L > 1), np.maximum(effect_L, 1.0), alike_L)
    total = max(view.gold_N.size, 1)
    return Accepted(confidence_N[last_L], a / total, risk_L, a / effect_L, groups_L - 1)


def _sums_so_far(member_N: NDArray[np.int64], values_N: Floats) -> Floats:
    """Sum of the values of each row's own group up to and with the row."""
    order_N = np.argsort(member_N, kind="stable")
    sums_N = np.cumsum(values_N[order_N])
    starts_N = np.flatnonzero(np.diff(member_N[order_N], prepend=-1))
    before = sums_N[starts_N] - values_N[order_N][starts_N]
    sums_N -= np.repeat(before, np.diff(starts_N, append=member_N.size))
    found = np.empty(member_N.size)
    found[order_N] = sums_N
    return found


def risk_band(accepted: Accepted, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Wilson's interval of the risk at every threshold, low and high [L]."""
    quantile_L = special.stdtrit(np.maximum(accepted.freedom_L, 1.0), (1 + level) / 2)
    square_L = quantile_L**2 / accepted.effective_L
    middle_L = (accepted.risk_L + square_L / 2) / (1 + square_L)
    variance_L = accepted.risk_L * (1 - accepted.risk_L) / accepted.effective_L
    reach_L = quantile_L / (1 + square_L) * np.sqrt(variance_L + square_L / (4 * accepted.effective_L))
    return np.maximum(middle_L - reach_L, 0.0), np.minimum(middle_L + reach_L, 1.0)


def coverage_bound(view: View, risk: float, *, level: float = LEVEL) -> float:
    """What coverage at a risk can be relied on: a lower bound that holds in ``level`` of repetitions or more.

    The observed coverage is picked on the same answers, so an interval around it would be of the picked value and not
    of the truth. Thresholds are tested from the highest confidence down, each by the upper Clopper-Pearson bound on its
    error rate at the number of independent answers, and the coverage of the last that passes counts (fixed-sequence
    testing, Angelopoulos et al. 2021), less what chance may have added to it. Half of what may go wrong is given to
    each step. The bound is 0 where no threshold passes.

    Args:
        view: N answers, at least one.
        risk: in (0, 1).
        level: in (0, 1).
    """
    accepted = accepted_by_threshold(view)
    tail = (1 - level) / 2
    errors_L = accepted.risk_L * accepted.effective_L
    right_L = accepted.effective_L - errors_L
    # Clopper and Pearson's bound lies above the risk where the beta distribution's share up to the risk is too small.
    above_L = special.betainc(errors_L + 1, np.maximum(right_L, 1e-12), risk) < 1 - tail
    # Thresholds that accept too few to pass without an error are passed over; that depends on no outcome.
    able_L = 1 - tail ** (1 / accepted.effective_L) <= risk
    failed = np.flatnonzero(able_L & above_L)
    passed_L = able_L & (np.arange(able_L.size) < (failed[0] if failed.size else able_L.size))
    if not passed_L.any():
        return 0.0
    lowest = accepted.threshold_L[np.flatnonzero(passed_L)[-1]]
    with np.errstate(invalid="ignore"):
        taken_N = view.confidence_N >= lowest
    share = clustered_share(taken_N, view.group_N, 1 - 2 * tail)
    return 0.0 if share.interval is None else share.interval[0]
