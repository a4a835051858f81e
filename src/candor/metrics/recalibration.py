"""Post-hoc baselines: the base model's confidence, mended by a fit on validation answers, or others in its place.

Training is only worth its cost if it beats a fit of one or two parameters that never changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from candor.metrics.calibration import LOG_SCORE_CLIP
from candor.metrics.views import View
from candor.types import LABELS, NO_LABEL

Floats = NDArray[np.float64]
Fit = Literal["none", "temperature", "platt", "isotonic"]
Method = Literal[Fit, "label_probability", "scaled_label_probability", "agreement", "distractors"]

FITS: Final[tuple[Fit, ...]] = ("none", "temperature", "platt", "isotonic")
"""Maps of the stated confidence; ``none`` leaves it as it is."""

METHODS: Final[tuple[Method, ...]] = (
    *FITS,
    "label_probability",
    "scaled_label_probability",
    "agreement",
    "distractors",
)
"""In the order of the table: the stated confidence through each fit, then what stands in its place."""

SAMPLES: Final = 8
"""Labels that are drawn to see how many agree with the answer."""

SHOWN: Final = ("brier", "log_score", "rms_calibration_error", "ece", "adaptive_ece", "auroc", "aurc")
"""Figures of a row: those that a change of confidence alone can change."""

_RIDGE: Final = 1e-4
"""Weight of the pull of the fitted parameters towards "leave it as it is": keeps separable answers from infinity."""


class Recalibrator:
    """A map from confidence to confidence.

    Attributes:
        method: which fit.
        parameters: what was fitted, by name.
    """

    def __init__(self, method: Fit, parameters: dict[str, float], apply: Callable[[Floats], Floats]) -> None:
        self.method = method
        self.parameters = parameters
        self._apply = apply

    def __call__(self, confidence_N: Floats) -> Floats:
        """Map confidences in [0, 1]; NaN stays NaN."""
        return self._apply(confidence_N)


def _logit(confidence_N: Floats) -> Floats:
    return np.asarray(special.logit(np.clip(confidence_N, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP)))


def _fit_line(logit_N: Floats, correct_N: Floats, *, with_bias: bool) -> tuple[float, float]:
    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, bias = parameters[0], parameters[1] if with_bias else 0.0
        score_N = slope * logit_N + bias
        gap_N = special.expit(score_N) - correct_N
        value = float((np.logaddexp(0.0, score_N) - correct_N * score_N).mean())
        gradient = np.array([gap_N @ logit_N, gap_N.sum()])[: parameters.size] / logit_N.size
        start = np.array([1.0, 0.0])[: parameters.size]
        return value + _RIDGE * float(((parameters - start) ** 2).sum()), gradient + 2 * _RIDGE * (parameters - start)

    fitted = optimize.minimize(loss, np.array([1.0, 0.0] if with_bias else [1.0]), jac=True, method="BFGS").x
    return float(fitted[0]), float(fitted[1]) if with_bias else 0.0


def fit_recalibration(method: Fit, validation: View) -> Recalibrator:
    """Fit a map of confidences on validation answers by maximum likelihood (isotonic: least squares).

    * temperature: logit(c) / T (Guo et al. 2017); 1 / T may be 0 or negative where confidence says nothing or misleads.
    * platt: a logit(c) + b (Platt 1999).
    * isotonic: the non-decreasing step function, linear between the confidences seen (Zadrozny and Elkan 2002).

    Confidences are clipped as in the log score before the logit.

    Args:
        method: one of ``FITS``.
        validation: answers, at least one of them with a confidence.
    """
    used = validation.take(validation.usable)
    confidence_N, correct_N = used.confidence_N, used.correct.astype(np.float64)
    if method == "none":
        return Recalibrator(method, {}, lambda values: values)
    if method == "isotonic":
        levels_L, level_N = np.unique(confidence_N, return_inverse=True)
        count_L = np.bincount(level_N).astype(np.float64)
        rate_L = np.bincount(level_N, weights=correct_N) / count_L
        fitted_L = optimize.isotonic_regression(rate_L, weights=count_L).x
        parameters = {"steps": float(np.unique(fitted_L).size)}
        return Recalibrator(method, parameters, lambda values: np.interp(values, levels_L, fitted_L))
    slope, bias = _fit_line(_logit(confidence_N), correct_N, with_bias=method == "platt")
    parameters = {"slope": slope, "bias": bias} if method == "platt" else {"inverse_temperature": slope}
    return Recalibrator(method, parameters, lambda values: np.asarray(special.expit(slope * _logit(values) + bias)))


def agreement(probs_N_3: Floats, label_N: NDArray[np.int64], *, seed: int) -> Floats:
    """Share of ``SAMPLES`` sampled labels that agree with the answer's: self-consistency (Wang et al. 2023).

    Labels are drawn from their probabilities. Where the verdict comes first, that is what sampling whole answers does;
    behind reasoning, whose words vary too, it is not.

    Args:
        probs_N_3: probability of each label; what a row lacks to 1 is shared out in proportion.
        label_N: position of the answered label; the share of an answer without one is NaN.
        seed: of the draws.
    """
    total_N_1 = probs_N_3.sum(axis=1, keepdims=True)
    even_N_3 = np.where(total_N_1 > 0, probs_N_3 / np.where(total_N_1 > 0, total_N_1, 1.0), 1 / len(LABELS))
    counts_N_3 = np.random.default_rng(seed).multinomial(SAMPLES, even_N_3)
    return of_label(counts_N_3 / SAMPLES, label_N)


def normalised_by_distractors(stated_N_3: Floats, label_N: NDArray[np.int64]) -> Floats:
    """What is stated for the answer's label, by all that is stated for any, where that is more than 1.

    Labels exclude each other, so a model that states much for several is easily led, and believes none of them so much:
    DINCO's normalised verbalised confidence (arXiv 2509.25532), whose weights of alternatives are 1 for such labels.

    Args:
        stated_N_3: what is stated behind each label, in [0, 1].
        label_N: position of the answered label; without one NaN.
    """
    return of_label(stated_N_3 / np.maximum(stated_N_3.sum(axis=1, keepdims=True), 1.0), label_N)


def of_label(values_N_3: Floats, label_N: NDArray[np.int64]) -> Floats:
    """Each answer's value at its own label; NaN without one."""
    return np.where(label_N == NO_LABEL, np.nan, values_N_3[np.arange(label_N.size), label_N])
