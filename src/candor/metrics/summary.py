"""Every figure of one prediction file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from candor.metrics.bootstrap import RESAMPLES, certain_share_interval, percentile_interval
from candor.metrics.names import PROBED
from candor.metrics.paired import Metric, view_metrics
from candor.metrics.resampling import Resampler
from candor.metrics.views import View, probed_view, stated_view
from candor.types import Prediction


def agreement(stated: View, probed: View, *, resamples: int = RESAMPLES, seed: int = 0) -> Metric:
    """Share of answers that are the probe's most probable label, with a bootstrap interval clustered by group."""
    same_N = (stated.label_N == probed.label_N).astype(np.int64)
    n = same_N.size
    if n == 0:
        return Metric(math.nan, None, 0, "there are no answers")
    value = float(same_N.mean())
    if not 0.0 < value < 1.0:
        return Metric(value, certain_share_interval(value, np.unique(stated.group_N).size), n)
    resampler = Resampler(same_N, stated.group_N, scipy.sparse.eye_array(2, format="csr"))
    rng = np.random.default_rng(seed)
    shares = resampler.figures(lambda counts: {"": counts[1] / counts.sum(axis=0)}, resamples, rng)
    return Metric(value, percentile_interval(shares[""]), n)


def summary(predictions: Sequence[Prediction], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Metric]:
    """Every figure of one model's predictions, by the names in :mod:`candor.metrics.names`.

    Figures of the probe are there if every prediction holds ``label_probs``.

    Args:
        predictions: any number; without any, every value is NaN with a reason.
        resamples: bootstrap resamples behind the intervals, at least 1.
        seed: the same seed gives the same intervals.
    """
    stated = stated_view(predictions)
    metrics = view_metrics(stated, resamples=resamples, seed=seed)
    probed = probed_view(predictions)
    if probed is not None:
        of_probe = view_metrics(probed, resamples=resamples, seed=seed)
        metrics |= {name: of_probe[name.removeprefix("probe_")] for name in PROBED}
        metrics["probe_agreement"] = agreement(stated, probed, resamples=resamples, seed=seed)
    return metrics
