"""Does a stated confidence mean what it says? Errors over bins, with and without what chance adds, and by label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy import optimize, special

from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.shares import NO_GROUPS, clustered_mean, clustered_share, degrees_of_freedom
from candor.metrics.views import View
from candor.types import LABELS

Floats = NDArray[np.float64]

BINS: Final = 15
"""Bins of ECE, adaptive ECE, the Brier parts and reliability diagrams (Guo et al. 2017)."""

LOG_SCORE_CLIP: Final = 0.005
"""Confidences are clipped to [clip, 1 - clip] in the log score: half a step of the 0.00 ... 1.00 grid."""


def equal_width_bins(confidence: Floats) -> NDArray[np.int64]:
    """Bin of each confidence among ``BINS`` bins (low, high] of equal width; 0 belongs to the first."""
    # 0.2 * 15 is 3 plus rounding: a confidence on an edge must not move up a bin.
    return np.clip(np.ceil(confidence * BINS - 1e-9).astype(np.int64) - 1, 0, BINS - 1)


def binned_errors(view: View) -> dict[str, float]:
    """ECE and adaptive ECE as they are usually computed, with what chance adds.

    With bins b of mean confidence c_b, accuracy y_b and n_b of n answers:

    * ECE: sum n_b |c_b - y_b| / n over ``BINS`` bins of equal width (Naeini et al. 2015).
    * adaptive ECE: the same over ``BINS`` bins of equal mass, answers of one confidence together in the bin of their
      middle rank (Nguyen and O'Connor 2015).

    Returns:
        NaN where no answer has a confidence.
    """
    used = view.take(view.usable)
    total = used.gold_N.size
    if not total:
        return {"ece": math.nan, "adaptive_ece": math.nan}
    surplus_N = used.confidence_N - used.correct
    _, level_N, count_L = np.unique(-used.confidence_N, return_inverse=True, return_counts=True)
    middle_L = (np.cumsum(count_L) - count_L / 2) * (BINS / total)
    mass_N = np.minimum(middle_L.astype(np.int64), BINS - 1)[level_N]
    return {
        name: float(np.abs(np.bincount(bin_N, weights=surplus_N)).sum() / total)
        for name, bin_N in (("ece", equal_width_bins(used.confidence_N)), ("adaptive_ece", mass_N))
    }


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval; ``None`` where there is none, and then ``reason`` says why."""

    value: float
    interval: tuple[float, float] | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class BinnedCalibration:
    """What bins of confidence say of calibration, with what chance adds taken off.

    Attributes:
        ece: expected calibration error as it is usually computed, at least 0; chance alone raises it.
        ece_band: where it would lie, in 95 of 100 repetitions, if the answers were calibrated.
        p_calibrated: p of "the confidences are calibrated".
        error: root of the reliability part without what chance adds, in [0, 1]; 0 where chance explains it all.
        reliability: the Brier score's first part without what chance adds; below 0 where chance fell short of that.
        resolution: the second part, likewise.
        uncertainty: the third part, likewise.
    """

    ece: float
    ece_band: tuple[float, float]
    p_calibrated: float
    error: Estimate
    reliability: Estimate
    resolution: Estimate
    uncertainty: Estimate

    @property
    def figures(self) -> dict[str, Estimate]:
        """The estimates under the names of figures."""
        return {
            "rms_calibration_error": self.error,
            "brier_reliability": self.reliability,
            "brier_resolution": self.resolution,
            "brier_uncertainty": self.uncertainty,
        }


BINNED: Final = ("rms_calibration_error", "brier_reliability", "brier_resolution", "brier_uncertainty")
"""Names of the figures that :func:`binned_calibration` estimates."""

_ONE_BIN: Final = "all confidences lie in one bin"
_ALL_CERTAIN: Final = "every answer is certain, and alike in its bin: nothing shows how much it could vary"
_NO_CHANCE: Final = 1e-12
_BAND_DRAWS: Final = 4_000


def binned_calibration(view: View, *, level: float = LEVEL, seed: int = 0) -> BinnedCalibration | None:
    """Calibration error and the parts of the Brier score, without the bias of estimates from few answers.

    Accuracy in a bin is known up to chance, and chance only ever adds to a sum of squared or absolute gaps. With n_b
    answers in bin b, mean confidence c_b, accuracy y_b, variance v_b of the gap c_b - y_b over groups:

    * reliability: sum n_b ((c_b - y_b)^2 - v_b) / n, resolution: sum n_b ((y_b - mean y)^2 - u_b) / n with u_b the
      variance of y_b less that of mean y, uncertainty: mean y (1 - mean y) plus the variance of mean y (Broecker 2012;
      Ferro and Fricker 2012, here with variances over groups); reliability - resolution + uncertainty is the Brier
      score up to what varies inside bins, as without the corrections.
    * calibration error: root of the reliability (the debiased estimate of Kumar, Liang and Ma 2019), in the units of
      ECE but for the root mean square in place of the mean.
    * intervals: a sum of squares of nearly normal gaps is nearly a scaled noncentral chi-square; the interval holds
      the noncentralities that do not make what is observed a surprise, on either side. It is right at 0 too, where
      resampling is not.
    * band: ECE of gaps drawn around 0 with the covariance that the gaps have over groups (Broecker and Smith 2007).

    Args:
        view: N answers; those without a confidence are left out.
        level: of the intervals and the band, in (0, 1).
        seed: the same seed gives the same band.

    Returns:
        ``None`` where no answer has a confidence.
    """
    used = view.take(view.usable)
    if used.gold_N.size == 0:
        return None
    bins = _Bins(used)
    band = np.random.default_rng(seed).multivariate_normal(
        np.zeros(bins.gap_B.size), bins.gap_covariance_B_B, size=_BAND_DRAWS, method="eigh"
    )
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(np.abs(band) @ bins.share_B, tails).tolist()
    reliability = _quadratic(bins, bins.gap_B, bins.gap_covariance_B_B, level)
    rate = clustered_share(used.correct, used.group_N, level)
    variance = rate.value * (1 - rate.value)
    of_rate = variance / max(rate.effective, 2.0)
    uncertainty = Estimate(variance + of_rate, _of_share(rate.interval))
    spread_B = bins.accuracy_B - bins.base_rate
    resolution = _quadratic(bins, spread_B, bins.spread_covariance_B_B, level)
    chance = float(bins.share_B @ np.diag(bins.accuracy_covariance_B_B)) - of_rate
    value = float(bins.share_B @ spread_B**2) - chance
    resolution = Estimate(value, resolution.interval, resolution.reason)
    if bins.gap_B.size < 2:
        resolution = Estimate(value, None, _ONE_BIN)
    reach = reliability.interval
    error = Estimate(
        math.sqrt(max(reliability.value, 0.0)),
        None if reach is None else (math.sqrt(reach[0]), math.sqrt(reach[1])),
        reliability.reason,
    )
    return BinnedCalibration(
        float(bins.share_B @ np.abs(bins.gap_B)),
        (low, high),
        _p_calibrated(bins),
        error,
        reliability,
        resolution,
        uncertainty,
    )


class _Bins:
    """Answers in bins that hold some: gaps and accuracies with their covariances over groups."""

    def __init__(self, used: View) -> None:
        bin_N = np.unique(equal_width_bins(used.confidence_N), return_inverse=True)[1]
        group_N = np.unique(used.group_N, return_inverse=True)[1]
        right_N = used.correct.astype(np.float64)
        count_B = np.bincount(bin_N).astype(np.float64)
        bins, self.groups = count_B.size, int(group_N.max()) + 1
        stated_B = np.bincount(bin_N, weights=used.confidence_N) / count_B
        self.accuracy_B = np.bincount(bin_N, weights=right_N) / count_B
        self.gap_B = stated_B - self.accuracy_B
        self.share_B = count_B / count_B.sum()
        self.base_rate = float(right_N.mean())

        cell_C, cell_N = np.unique(group_N * bins + bin_N, return_inverse=True)
        size_C = np.bincount(cell_N).astype(np.float64)
        # A bin's own mean hides one answer's worth of variance: without it, a bin of one answer would look certain.
        hidden_B = stated_B * (1 - stated_B) * np.bincount(cell_C % bins, weights=size_C**2) / count_B

        def covariance(residual_N: Floats) -> tuple[Floats, float]:
            sums_C = np.bincount(cell_N, weights=residual_N)
            # How many groups the variance hangs on: each adds its squares, weighed as in the sum over bins.
            added_G = np.bincount(cell_C // bins, weights=sums_C**2 / count_B[cell_C % bins])
            table = scipy.sparse.csr_array((sums_C, (cell_C // bins, cell_C % bins)), shape=(self.groups, bins))
            products_B_B = np.asarray((table.T @ table).todense())
            covariance_B_B = np.asarray((products_B_B + np.diag(hidden_B)) / np.outer(count_B, count_B))
            return covariance_B_B, degrees_of_freedom(np.sqrt(added_G))

        self.gap_covariance_B_B, self.gap_freedom = covariance((used.confidence_N - right_N) - self.gap_B[bin_N])
        centred_B_B = np.eye(bins) - self.share_B
        self.accuracy_covariance_B_B, _ = covariance(right_N - self.accuracy_B[bin_N])
        self.spread_covariance_B_B = centred_B_B @ self.accuracy_covariance_B_B @ centred_B_B.T
        self._bin_N, self._group_N = bin_N, group_N

    def mixture_variance(self, squares_B: Floats) -> float:
        """Variance over groups of the mean of ``squares_B`` over answers: of how many fall into which bin."""
        deviation_N = (squares_B - self.share_B @ squares_B)[self._bin_N]
        sums_G = np.bincount(self._group_N, weights=deviation_N)
        return float(sums_G @ sums_G) / self._bin_N.size**2


def _quadratic(bins: _Bins, value_B: Floats, covariance_B_B: Floats, level: float) -> Estimate:
    """The mean square of bins without what chance adds, and its interval."""
    weighted_B_B = bins.share_B[:, None] * covariance_B_B
    raw, chance = float(bins.share_B @ value_B**2), float(np.trace(weighted_B_B))
    if chance <= _NO_CHANCE or bins.groups < 2:
        return Estimate(raw - chance, None, NO_GROUPS if bins.groups < 2 else _ALL_CERTAIN)
    null = _null_scale(weighted_B_B)
    pull_B = bins.share_B * value_B
    slope = float(pull_B @ covariance_B_B @ pull_B) + bins.mixture_variance(value_B**2) / 4
    # A chi-square's variance grows with its mean by four times its scale; it must not grow more slowly than the sum's.
    scale = max(null, slope / raw) if raw > 0 else null
    return Estimate(raw - chance, _noncentral(raw / scale, chance / scale, scale, level))


def _null_scale(weighted_B_B: Floats) -> float:
    """Scale of the chi-square with the mean and the variance of a mean square of gaps that chance alone makes."""
    return float((weighted_B_B * weighted_B_B.T).sum() / np.trace(weighted_B_B))


def _p_calibrated(bins: _Bins) -> float:
    """F test: the mean square of gaps against what chance makes, which is itself known from few groups."""
    weighted_B_B = bins.share_B[:, None] * bins.gap_covariance_B_B
    chance = float(np.trace(weighted_B_B))
    if chance <= _NO_CHANCE or bins.groups < 2:
        return math.nan
    raw = float(bins.share_B @ bins.gap_B**2)
    return float(special.fdtrc(chance / _null_scale(weighted_B_B), bins.gap_freedom, raw / chance))


def _noncentral(observed: float, freedom: float, scale: float, level: float) -> tuple[float, float]:
    """Noncentralities, times ``scale``, that leave ``observed`` within the middle ``level`` of the chi-square."""
    tail = (1 - level) / 2

    def end(share: float) -> float:
        def surplus(noncentrality: float) -> float:
            if noncentrality == 0.0:
                return float(special.chdtr(freedom, observed)) - share
            return float(special.chndtr(observed, freedom, noncentrality)) - share

        # No mean of squares of differences of shares is above 1.
        most = 1.0 / scale
        if surplus(0.0) <= 0:
            return 0.0
        return scale * (most if surplus(most) >= 0 else float(optimize.brentq(surplus, 0.0, most)))

    return end(1 - tail), end(tail)


def _of_share(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Range of y (1 - y) for y in an interval."""
    if interval is None:
        return None
    ends = [end * (1 - end) for end in interval]
    return min(ends), 0.25 if interval[0] <= 0.5 <= interval[1] else max(ends)


def label_calibration(view: View, *, level: float = LEVEL) -> dict[str, schema.LabelCalibration]:
    """Confidence against accuracy among the answers of each label, by its name; labels nobody answers are left out.

    A model can be calibrated over all answers while it is too sure of one label and not sure enough of another.

    Args:
        view: N answers; those without a confidence are left out.
        level: of the intervals, in (0, 1).
    """
    found: dict[str, schema.LabelCalibration] = {}
    for code, label in enumerate(LABELS):
        used = view.take(view.usable & (view.label_N == code))
        n = int(used.gold_N.size)
        if n == 0:
            continue
        right = clustered_share(used.correct, used.group_N, level)
        gap, interval = clustered_mean(used.confidence_N - used.correct, used.group_N, level)
        found[label.value] = {
            "n": n,
            "confidence": float(used.confidence_N.mean()),
            "accuracy": {"value": right.value, "interval": right.interval, "n": n, "reason": None},
            "gap": {"value": gap, "interval": interval, "n": n, "reason": None if interval else NO_GROUPS},
        }
    return found
