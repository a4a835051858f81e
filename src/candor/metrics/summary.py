"""Every figure of one prediction file."""

from __future__ import annotations

from collections.abc import Sequence

from candor.metrics.bootstrap import RESAMPLES
from candor.metrics.names import PROBED
from candor.metrics.paired import Metric, view_metrics
from candor.metrics.shares import clustered_share
from candor.metrics.views import View, probed_view, stated_view
from candor.types import Prediction


def agreement(stated: View, probed: View) -> Metric:
    """Share of answers that are the probe's most probable label, with Wilson's interval by group."""
    share = clustered_share(stated.label_N == probed.label_N, stated.group_N)
    return Metric(share.value, share.interval, share.n, None if share.n else "there are no answers")


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
        metrics["probe_agreement"] = agreement(stated, probed)
    return metrics
