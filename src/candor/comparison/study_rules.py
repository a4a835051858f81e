"""The study's own rules of dropping, pairing and testing: its printed digits, and no model for anything else.

The rules differ from candor's: answers that do not parse are dropped instead of being wrong, each table drops others,
p can be 0, and nothing is corrected for the number of tests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.metrics.views import View
from candor.predictions.study_file import StudyRow
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


@dataclass(frozen=True, slots=True)
class StudyTables:
    """The rows of the study's two tables.

    Attributes:
        base: calibration table, base model.
        trained: calibration table, trained model.
        base_paired: paired table, base model.
        trained_paired: paired table, trained model, in the same order of ids.
        disagreeing: paired rows whose gold labels differ; they take the base file's.
    """

    base: View
    trained: View
    base_paired: View
    trained_paired: View
    disagreeing: int


def study_tables(base: Sequence[StudyRow], trained: Sequence[StudyRow]) -> StudyTables:
    """Drop and pair rows as the study did."""
    kept = {row.id: row for row in base if in_paired_table(row)}
    partner = {row.id: row for row in trained if in_paired_table(row)}
    ids = [number for number in kept if number in partner]
    first, second = study_view([kept[number] for number in ids]), study_view([partner[number] for number in ids])
    disagreeing = int((first.gold_N != second.gold_N).sum())
    second = View(first.gold_N, second.label_N, second.confidence_N, second.group_N)
    return StudyTables(
        study_view([row for row in base if in_calibration_table(row)]),
        study_view([row for row in trained if in_calibration_table(row)]),
        first,
        second,
        disagreeing,
    )


def study_p(value: float, values_R: NDArray[np.float64]) -> float:
    """Twice the share of resampled differences on the other side of 0, at most 1; it can be 0.

    >>> study_p(0.5, np.array([0.4, 0.5, -0.1, 0.6]))
    0.5
    """
    other = values_R <= 0 if value > 0 else values_R >= 0
    return float(min(1.0, 2 * other.mean()))
