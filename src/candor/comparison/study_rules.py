"""The study's own rules of dropping, pairing and testing: its printed digits, and no model for anything else.

The rules differ from candor's: answers that do not parse are dropped instead of being wrong, each table drops others,
p can be 0, and nothing is corrected for the number of tests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.comparison.pairing import Matched, Side, no_evidence, provenance_warnings, shortcut_warning
from candor.comparison.stages import Both, Draws, Figures, Rules, Significance, Views
from candor.errors import PredictionError
from candor.metrics import schema
from candor.metrics.classification import confusion
from candor.metrics.curves import curves
from candor.metrics.paired import Metric, MetricDifference, pair_metrics, view_metrics
from candor.metrics.significance import levene_test, mcnemar_test
from candor.metrics.views import View
from candor.predictions.study_file import StudyRow
from candor.run_folder import SideName
from candor.types import LABELS

CALIBRATION_FIGURES: Final = ("accuracy", "auroc", "brier", "confidence_std")
"""Figures of the study's calibration table; each file drops its own rows."""

PAIRED_FIGURES: Final = ("macro_f1", "accuracy", "na_recall", "pass_recall", "fail_recall")
"""Differences of the study's paired table."""

_CONFIDENCE: Final = re.compile(r"CONF ?=\s*([\d.]+)", re.ASCII)
_LABEL: Final = re.compile(r"LABEL ?=\s*(?:PASS|FAIL|NA|SUPPORTS|REFUTES|NOT ENOUGH INFO)", re.ASCII)


def text_confidence(text: str) -> float | None:
    """Return the number after the first ``CONF=`` that has one, clamped to [0, 1].

    >>> text_confidence("CONF=0.90"), text_confidence("Let's set CONF=0.9. CONF=0.90")
    (0.9, None)
    """
    match = _CONFIDENCE.search(text)
    if match is None:
        return None
    try:
        return min(max(float(match[1]), 0.0), 1.0)
    except ValueError:
        return None


def row_confidence(row: StudyRow) -> float | None:
    """Return ``predicted_conf`` where the key exists, else what the text states."""
    return row.confidence if row.has_confidence else text_confidence(row.raw)


def _has_labels(row: StudyRow) -> bool:
    return row.gold is not None and row.predicted is not None


def in_calibration_table(row: StudyRow) -> bool:
    """Whether both labels are among the three and there is a confidence."""
    return _has_labels(row) and row_confidence(row) is not None


def in_paired_table(row: StudyRow) -> bool:
    """Whether both labels are among the three and the answer is marked valid, or unmarked and readable."""
    if not _has_labels(row):
        return False
    if row.format_valid is not None:
        return row.format_valid
    text = row.raw.replace("<", "").replace(">", "")
    return _LABEL.search(text) is not None and text_confidence(text) is not None


def study_view(rows: Sequence[StudyRow]) -> View:
    """Arrays of rows whose labels are among the three; every row is its own group, as the study resamples ids."""
    golds, labels, confidences = [], [], []
    for row in rows:
        if row.gold is None or row.predicted is None:
            raise ValueError(f"row {row.id!r} is in none of the study's tables")
        confidence = row_confidence(row)
        golds.append(LABELS.index(row.gold))
        labels.append(LABELS.index(row.predicted))
        confidences.append(np.nan if confidence is None else confidence)
    return View(
        np.array(golds, dtype=np.int64),
        np.array(labels, dtype=np.int64),
        np.array(confidences, dtype=np.float64),
        np.arange(len(rows)),
    )


def study_views(sides: Both[Side], matched: Matched) -> Views:
    """Drop and pair rows as the study did: each file's calibration table, and the paired table in base's order.

    Every row that stands in a file can count, matched or not: the study's own rules say which.

    Raises:
        PredictionError: a table is left without rows.
    """
    kept = {row.id: row for row in sides.base.rows if in_paired_table(row)}
    partner = {row.id: row for row in sides.trained.rows if in_paired_table(row)}
    ids = [number for number in kept if number in partner]
    base, trained = study_view([kept[number] for number in ids]), study_view([partner[number] for number in ids])
    # Where the files' gold labels differ, the study takes the base file's.
    paired = Both(base, replace(trained, gold_N=base.gold_N))
    own = Both(
        study_view([row for row in sides.base.rows if in_calibration_table(row)]),
        study_view([row for row in sides.trained.rows if in_calibration_table(row)]),
    )
    if not min(own.base.gold_N.size, own.trained.gold_N.size, base.gold_N.size):
        raise PredictionError("the study's conventions leave no rows to compare")
    dropped = [
        *_drops("base", len(sides.base.rows), own.base, base),
        *_drops("trained", len(sides.trained.rows), own.trained, trained),
    ]
    return Views(
        own=own,
        paired=paired,
        dropped=dropped,
        probes=Both(None, None),
        bayes=None,
        bare_N=np.array([not kept[number].evidence for number in ids], dtype=np.bool_),
    )


def _drops(which: SideName, rows: int, own: View, paired: View) -> list[schema.Dropped]:
    drops: list[schema.Dropped] = [
        {"side": which, "reason": "no label or no confidence (calibration table)", "n": rows - own.gold_N.size},
        {"side": which, "reason": "invalid in either file (paired table)", "n": rows - paired.gold_N.size},
    ]
    return [drop for drop in drops if drop["n"]]


def study_figures(views: Views, draws: Draws) -> Figures:
    """The figures of both tables; differences are those of the paired one."""
    pair = pair_metrics(*views.paired, resamples=draws.resamples, seed=draws.seed, p_value=study_p)
    return Figures(
        metrics={
            "base": _side_figures(views.own.base, pair.first, draws),
            "trained": _side_figures(views.own.trained, pair.second, draws),
            "bayes": {},
        },
        differences={name: pair.differences[name] for name in PAIRED_FIGURES},
        confusion={"base": confusion(views.own.base), "trained": confusion(views.own.trained)},
        curves={"base": curves(views.own.base), "trained": curves(views.own.trained)},
    )


def _side_figures(own: View, paired: Mapping[str, Metric], draws: Draws) -> dict[str, Metric]:
    """What both tables print comes from the calibration table."""
    alone = view_metrics(own, resamples=draws.resamples, seed=draws.seed, plain=True)
    figures = {name: alone[name] for name in CALIBRATION_FIGURES}
    return figures | {name: paired[name] for name in PAIRED_FIGURES if name not in figures}


def study_tests(views: Views, figures: Figures) -> Significance:
    """A plain p for each difference, uncorrected, and the study's two classical tests."""
    base, trained = views.paired
    return Significance(
        tested=PAIRED_FIGURES,
        differences={name: _with_plain_p(difference) for name, difference in figures.differences.items()},
        classical={
            "mcnemar": mcnemar_test("mcnemar", "accuracy", base.correct, trained.correct),
            "levene": levene_test(*views.own),
        },
    )


def _with_plain_p(difference: MetricDifference) -> schema.Difference:
    figure = difference.as_json(None)
    figure["p"] = difference.p if math.isfinite(difference.p) else None
    return figure


def study_p(value: float, values_R: NDArray[np.float64]) -> float:
    """Twice the share of resampled differences on the other side of 0, at most 1; it can be 0.

    >>> study_p(0.5, np.array([0.4, 0.5, -0.1, 0.6]))
    0.5
    """
    other = values_R <= 0 if value > 0 else values_R >= 0
    return float(min(1.0, 2 * other.mean()))


def study_warnings(sides: Both[Side], matched: Matched, rows: schema.Rows) -> list[str]:
    """What was allowed, how the study's rules differ, and what the files do not say."""
    return [
        *matched.warnings,
        "The study's conventions: answers that do not parse are dropped instead of counted as wrong, each table drops "
        "other rows, p can be 0 and is not corrected. Accuracy and confidence of each side are on its own rows, "
        "everything else on the pairs.",
        "AUROC counts ties as one half; the study broke them by sort order, so its third digit differs.",
        *provenance_warnings(sides.base.header, sides.trained.header),
        *shortcut_warning(no_evidence(matched.base)),
    ]


STUDY: Final = Rules("paper", study_views, study_figures, study_tests, study_warnings)
"""What a comparison follows that is to give the study's printed digits."""
