"""The results of a comparison, put together from what its stages found."""

from __future__ import annotations

import math
from collections.abc import Mapping

from candor.comparison.pairing import Matched, Side, no_evidence
from candor.comparison.share_tests import form_changes, share_tests
from candor.comparison.stages import Both, Draws, Figures, Fits, Rules, Significance, Views
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.calibration import BINS, LOG_SCORE_CLIP, binned_calibration, label_calibration
from candor.metrics.paired import Metric
from candor.metrics.power import SIGNIFICANCE
from candor.metrics.skill import skill_scores
from candor.metrics.views import View
from candor.types import LABELS, NO_LABEL


def assemble(
    rules: Rules,
    sides: Both[Side],
    matched: Matched,
    views: Views,
    figures: Figures,
    significance: Significance,
    fits: Fits,
    *,
    reweighted: schema.Reweighted | None,
    draws: Draws,
    dataset: str,
    role: schema.Role | None,
) -> schema.Comparison:
    """Return results as documented in ``docs/results.md``.

    Args:
        rules: whose stages made the rest.
        sides: as loaded.
        matched: their answers to the same examples.
        views: the answers as arrays.
        figures: what was measured.
        significance: what was tested.
        fits: what validation answers allow.
        reweighted: figures under stated class shares.
        draws: of the bootstrap.
        dataset: its name.
        role: whether the trained model was trained on this dataset.
    """
    rows = count_rows(sides, views)
    return {
        "schema": schema.SCHEMA,
        "kind": "comparison",
        "conventions": rules.name,
        "dataset": dataset,
        "role": role,
        "base": sides.base.header,
        "trained": sides.trained.header,
        "settings": {
            "resamples": draws.resamples,
            "seed": draws.seed,
            "level": LEVEL,
            "bins": BINS,
            "log_score_clip": LOG_SCORE_CLIP,
            "tested": list(significance.tested),
            "significance": SIGNIFICANCE,
        },
        "rows": rows,
        "metrics": {name: _as_json(metrics) for name, metrics in figures.metrics.items()},
        "differences": dict(significance.differences),
        "tests": dict(significance.classical),
        "confusion": {name: counts.tolist() for name, counts in figures.confusion.items()},
        "curves": dict(figures.curves),
        "recalibration": list(fits.recalibration),
        "threshold": fits.threshold,
        "calibration": {"base": _calibration(views.own.base), "trained": _calibration(views.own.trained)},
        "skill": {"base": skill_scores(views.own.base), "trained": skill_scores(views.own.trained)},
        "reweighted": reweighted,
        "share_tests": share_tests(views),
        "form_changes": form_changes(views),
        "no_evidence": no_evidence(matched.base),
        "allowed": list(matched.allowed),
        "warnings": rules.warnings(sides, matched, rows),
    }


def count_rows(sides: Both[Side], views: Views) -> schema.Rows:
    """What each file holds, what each side's own figures miss, and what is compared."""
    compared = views.paired.base
    return {
        "base": len(sides.base.rows),
        "trained": len(sides.trained.rows),
        "used": compared.gold_N.size,
        "groups": len(set(compared.group_N.tolist())),
        "invalid": {
            "base": int((views.own.base.label_N == NO_LABEL).sum()),
            "trained": int((views.own.trained.label_N == NO_LABEL).sum()),
        },
        "without_confidence": {
            "base": int((~views.own.base.usable).sum()),
            "trained": int((~views.own.trained.usable).sum()),
        },
        "gold": {label.value: int((compared.gold_N == code).sum()) for code, label in enumerate(LABELS)},
        "dropped": list(views.dropped),
    }


def _as_json(metrics: Mapping[str, Metric]) -> dict[str, schema.Figure]:
    return {name: metric.as_json() for name, metric in metrics.items()}


def _calibration(view: View) -> schema.Calibration | None:
    """How far the confidence is off, against what chance alone would show; ``None`` without any."""
    found = binned_calibration(view)
    if found is None:
        return None
    return {
        "ece": found.ece,
        "ece_band": found.ece_band,
        "p_calibrated": found.p_calibrated if math.isfinite(found.p_calibrated) else None,
        "by_label": label_calibration(view),
    }
