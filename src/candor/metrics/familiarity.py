"""Whether new claims look like those that a threshold was chosen on, told from traits: a row of numbers for each claim.

Three questions: is this one claim unlike them, are these claims together unlike them, and how much likelier is each of
them among the new claims.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats: TypeAlias = NDArray[np.float64]

UNFAMILIAR_RATE: Final = 0.01
"""So many of the claims that are like the known ones are called unlike them, at most."""

SHIFT_LEVEL: Final = 0.01
"""So often claims that are like the known ones, taken together, are called unlike them, at most."""

FEWEST_KNOWN: Final = 2 * (math.ceil(1 / UNFAMILIAR_RATE) - 1)
"""Known claims below which no claim could be called unlike them: half are ranked, and a rank needs 1 / rate."""

LARGEST_WEIGHT: Final = 10.0
"""Weights are cut at so many times their mean: a few claims must not stand for all that will come."""

_RIDGE: Final = 1e-6
"""Variance added to each trait. A trait that never varies among the known claims gives any that differs away."""

_PENALTY: Final = 1.0
"""Of the squared coefficients of standardised traits, in the log-likelihood of :func:`density_ratio`."""

_SPLIT_SEED: Final = 0


class Familiarity:
    """Ranks claims by their distance from known ones (Mahalanobis), so that the rank of a claim like them is even.

    Centre and scales are taken from one half of the known claims, and the distances that ranks are counted among from
    the other (split conformal p-values; Bates et al. 2023, "Testing for outliers with conformal p-values"). So
    whatever the traits' distribution, a claim that is exchangeable with the known ones has p at most
    ``UNFAMILIAR_RATE`` with at most that probability.
    """

    def __init__(self, known_N_F: Floats) -> None:
        """Take the traits of N known claims, independent of each other; at least ``FEWEST_KNOWN``.

        Raises:
            ValueError: there are fewer.
        """
        if len(known_N_F) < FEWEST_KNOWN:
            raise ValueError(f"{len(known_N_F)} known claims are fewer than {FEWEST_KNOWN}")
        order_N = np.random.default_rng(_SPLIT_SEED).permutation(len(known_N_F))
        fitted, ranked = np.array_split(known_N_F[order_N], 2)
        self._centre_F = fitted.mean(axis=0)
        covariance = np.cov(fitted, rowvar=False).reshape(fitted.shape[1], -1)
        self._precision = np.linalg.inv(covariance + _RIDGE * np.eye(len(covariance)))
        self._known_K = np.sort(self._distances(ranked))

    def _distances(self, traits_M_F: Floats) -> Floats:
        from_centre = traits_M_F - self._centre_F
        distances_M: Floats = np.einsum("mf,fg,mg->m", from_centre, self._precision, from_centre)
        return distances_M

    def p_values(self, traits_M_F: Floats) -> Floats:
        """How many of the known claims lie at least as far out as each of M claims: small where a claim is unlike them.

        Returns:
            [M], in (0, 1].
        """
        at_least_M = self._known_K.size - np.searchsorted(self._known_K, self._distances(traits_M_F))
        p_M: Floats = (1 + at_least_M) / (1 + self._known_K.size)
        return p_M

    def unfamiliar(self, traits_M_F: Floats) -> NDArray[np.bool_]:
        """Whether each claim is called unlike the known ones: p at most ``UNFAMILIAR_RATE``."""
        return self.p_values(traits_M_F) <= UNFAMILIAR_RATE


def shift_p_values(known_N_F: Floats, claims_M_F: Floats) -> Floats:
    """Two-sample Kolmogorov-Smirnov p of each trait, corrected for their number (Bonferroni).

    Rows must be independent: one known claim of each group. Ties make the test conservative.

    Args:
        known_N_F: traits of the known claims.
        claims_M_F: traits of the new ones, at least one.

    Returns:
        [F], each at most 1. Where the claims are alike, the smallest is below ``SHIFT_LEVEL`` at most that often.
    """
    pairs = zip(known_N_F.T, claims_M_F.T, strict=True)
    p_F = np.array([stats.ks_2samp(known, new, method="asymp").pvalue for known, new in pairs])
    corrected_F: Floats = np.minimum(1.0, p_F * p_F.size)
    return corrected_F


def density_ratio(known_N_F: Floats, claims_M_F: Floats) -> Floats:
    """How much likelier each known claim is among new ones, from a classifier that tells new claims from known.

    Logistic regression on standardised traits and their squares, with a penalty; p / (1 - p) is the ratio up to a
    factor (Bickel et al. 2009; weights of conformal prediction in Tibshirani et al. 2019). Cut at ``LARGEST_WEIGHT``
    times the mean.

    Args:
        known_N_F: traits of the known claims.
        claims_M_F: traits of the new ones, whose labels nobody knows.

    Returns:
        [N], above 0, with mean 1 before the cut.
    """
    together = np.concatenate([known_N_F, claims_M_F])
    scale_F = together.std(axis=0)
    standard = (together - together.mean(axis=0)) / np.where(scale_F > 0, scale_F, 1.0)
    inputs = np.column_stack([np.ones(len(together)), standard, standard**2])
    is_new = np.arange(len(together)) >= len(known_N_F)
    # Each set counts as a whole, so that the ratio does not depend on how many claims either has.
    share = np.where(is_new, 0.5 / len(claims_M_F), 0.5 / len(known_N_F)) * len(together)
    penalised = np.full(inputs.shape[1], _PENALTY)
    penalised[0] = 0.0

    def loss(beta: Floats) -> tuple[float, Floats]:
        score = inputs @ beta
        sign = np.where(is_new, 1.0, -1.0)
        value = (share * np.logaddexp(0.0, -sign * score)).sum() + 0.5 * (penalised * beta**2).sum()
        slope = -sign * share / (1.0 + np.exp(np.clip(sign * score, -700, 700)))
        return float(value), inputs.T @ slope + penalised * beta

    beta = optimize.minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="BFGS").x
    log_ratio_N = inputs[: len(known_N_F)] @ beta
    weight_N = np.exp(log_ratio_N - log_ratio_N.max())
    cut_N: Floats = np.minimum(weight_N / weight_N.mean(), LARGEST_WEIGHT)
    return cut_N
