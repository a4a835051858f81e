"""candor's own rules: every answer counts, one without a label as wrong, and one Holm correction covers all tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from candor.comparison.pairing import Matched, Side, no_evidence, provenance_warnings, shortcut_warning
from candor.comparison.stages import Both, Drawn, Draws, Figures, Predictor, Rules, Significance, T, Views
from candor.metrics import schema
from candor.metrics.classification import confusion
from candor.metrics.curves import curves
from candor.metrics.names import PROBED, TESTED
from candor.metrics.paired import Metric, MetricDifference, pair_metrics, view_metrics
from candor.metrics.significance import holm, paired_tests
from candor.metrics.summary import agreement
from candor.metrics.views import View, bayes_view, probed_view, stated_view
from candor.types import Prediction, Validity


def candor_views(sides: Both[Side], matched: Matched) -> Views:
    """The matched answers as stated, as probed, and the best that there could be."""
    stated = Both(stated_view(matched.base), stated_view(matched.trained))
    return Views(
        own=stated,
        paired=stated,
        dropped=matched.dropped,
        probes=Both(probed_view(matched.base), probed_view(matched.trained)),
        bayes=bayes_view(matched.base),
        bare_N=np.array([not row.evidence for row in matched.base], dtype=np.bool_),
    )


def candor_figures(views: Views, draws: Draws) -> Figures:
    """Every figure of both sides and of the best predictor, and every difference."""
    pair = pair_metrics(*views.paired, resamples=draws.resamples, seed=draws.seed)
    of_probes, probe_differences = _probe_figures(views, draws)
    metrics: dict[Predictor, Mapping[str, Metric]] = {
        "base": pair.first | of_probes.base,
        "trained": pair.second | of_probes.trained,
        "bayes": {},
    }
    if views.bayes is not None:
        metrics["bayes"] = view_metrics(views.bayes, resamples=draws.resamples, seed=draws.seed)
    return Figures(
        metrics=metrics,
        differences=pair.differences | probe_differences,
        confusion={name: confusion(view) for name, view in _predictors(views)},
        curves={name: curves(view) for name, view in _drawn(views)},
    )


def _predictors(views: Views) -> list[tuple[Predictor, View]]:
    found: list[tuple[Predictor, View | None]] = [
        ("base", views.own.base),
        ("trained", views.own.trained),
        ("bayes", views.bayes),
    ]
    return [(name, view) for name, view in found if view is not None]


def _drawn(views: Views) -> list[tuple[Drawn, View]]:
    """What has curves; answers as stated only if one of them has a confidence."""
    found: list[tuple[Drawn, View | None]] = [
        ("base", views.own.base if views.own.base.usable.any() else None),
        ("trained", views.own.trained if views.own.trained.usable.any() else None),
        ("base_probe", views.probes.base),
        ("trained_probe", views.probes.trained),
        ("bayes", views.bayes),
    ]
    return [(name, view) for name, view in found if view is not None]


def _probe_figures(views: Views, draws: Draws) -> tuple[Both[dict[str, Metric]], dict[str, MetricDifference]]:
    """Figures of each side's probe, and their differences where both have one."""
    of_sides: Both[dict[str, Metric]] = Both({}, {})
    for stated, probe, found in zip(views.own, views.probes, of_sides, strict=True):
        if probe is not None:
            found["probe_agreement"] = agreement(stated, probe)
    base, trained = views.probes
    if base is not None and trained is not None:
        pair = pair_metrics(base, trained, resamples=draws.resamples, seed=draws.seed)
        of_sides.base.update(_as_probed(pair.first))
        of_sides.trained.update(_as_probed(pair.second))
        return of_sides, _as_probed(pair.differences)
    for probe, found in zip(views.probes, of_sides, strict=True):
        if probe is not None:
            found.update(_as_probed(view_metrics(probe, resamples=draws.resamples, seed=draws.seed)))
    return of_sides, {}


def _as_probed(figures: Mapping[str, T]) -> dict[str, T]:
    return {name: figures[name.removeprefix("probe_")] for name in PROBED}


def candor_tests(views: Views, figures: Figures) -> Significance:
    """One corrected p for each of the differences in ``TESTED``, and the classical tests."""
    tested = [name for name in TESTED if name in figures.differences]
    p_values = {name: figures.differences[name].p for name in tested}
    corrected = holm({name: p for name, p in p_values.items() if math.isfinite(p)})
    return Significance(
        tested=tested,
        differences={name: difference.as_json(corrected.get(name)) for name, difference in figures.differences.items()},
        classical=paired_tests(*views.paired),
    )


def candor_warnings(sides: Both[Side], matched: Matched, rows: schema.Rows) -> list[str]:
    """What was allowed, what the files do not say, and what the figures do not show."""
    return [
        *matched.warnings,
        *shortcut_warning(no_evidence(matched.base)),
        *provenance_warnings(sides.base.header, sides.trained.header),
        *sides.base.notes,
        *sides.trained.notes,
        *_row_warnings(rows),
        *_form_warnings("base", sides.base, matched.base),
        *_form_warnings("trained", sides.trained, matched.trained),
    ]


def _row_warnings(rows: schema.Rows) -> list[str]:
    warnings = [
        f"{side}: {count} of {rows['used']} answers hold no label; each counts as wrong."
        for side, count in rows["invalid"].items()
        if count
    ]
    missing = rows["without_confidence"]
    if missing["base"] or missing["trained"]:
        warnings.append(
            f"Figures of the confidence leave out the {missing['base']} answers of base and {missing['trained']} of "
            "trained that have none; differences are taken on the rows where both have one."
        )
    return warnings


def _form_warnings(which: str, side: Side, answers: Sequence[Prediction]) -> list[str]:
    """What the figures do not show: a label counts wherever in an answer it can be read."""
    count = sum(row.validity is Validity.READABLE for row in answers)
    # The study's files do not say what form was asked for.
    if not count or side.header["format"] != "candor":
        return []
    return [
        f"{which}: {count} of {len(answers)} answers hold a label but are not in the form that was asked for; "
        "they are taken as they can be read."
    ]


CANDOR: Final = Rules("candor", candor_views, candor_figures, candor_tests, candor_warnings)
"""What every comparison follows unless the study's rules are asked for."""
