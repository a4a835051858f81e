"""The study's rules row by row; its printed digits are reproduced in test_compare.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from candor.comparison.study_rules import (
    in_calibration_table,
    in_paired_table,
    row_confidence,
    study_p,
    study_view,
    text_confidence,
)
from candor.predictions.study_file import StudyRow
from candor.types import Label

ROW = StudyRow("1", "C", (), Label.NA, Label.PASS, "LABEL=PASS\nCONF=0.90", False, None, None)


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("CONF=0.90", 0.9),
        ("CONF = 1", 1.0),
        ("CONF=\n0.4", 0.4),
        ("CONF=7", 1.0),
        # The first counts, even where another is behind the label.
        ("CONF=0.1 LABEL=NA CONF=0.9", 0.1),
        ("CONF=0.9.", None),
        ("CONF=<0.9>", None),
        ("conf=0.9", None),
        ("", None),
    ],
)
def test_confidences_as_the_study_reads_them(text: str, confidence: float | None) -> None:
    assert text_confidence(text) == confidence


def test_a_confidence_in_the_file_comes_before_that_of_the_text() -> None:
    assert row_confidence(ROW) == 0.9
    assert row_confidence(replace(ROW, has_confidence=True, confidence=0.5)) == 0.5
    assert row_confidence(replace(ROW, has_confidence=True)) is None


@pytest.mark.parametrize(
    ("row", "calibration", "paired"),
    [
        (ROW, True, True),
        (replace(ROW, gold=None), False, False),
        (replace(ROW, predicted=None), False, False),
        (replace(ROW, raw="CONF=0.9"), True, False),
        (replace(ROW, raw="LABEL=PASS"), False, False),
        # Brackets are seen through for the pairs alone.
        (replace(ROW, raw="LABEL=<PASS>\nCONF=<0.9>"), False, True),
        # Where the file marks an answer, its text is not asked.
        (replace(ROW, format_valid=False), True, False),
        (replace(ROW, raw="", format_valid=True), False, True),
        (replace(ROW, raw="", format_valid=True, has_confidence=True, confidence=0.3), True, True),
    ],
)
def test_each_table_drops_rows_of_its_own(row: StudyRow, calibration: bool, paired: bool) -> None:
    assert (in_calibration_table(row), in_paired_table(row)) == (calibration, paired)


def test_every_row_is_its_own_group() -> None:
    view = study_view([ROW, replace(ROW, raw="LABEL=NA", predicted=Label.NA)])
    assert view.gold_N.tolist() == [2, 2]
    assert view.label_N.tolist() == [0, 2]
    assert view.group_N.tolist() == [0, 1]
    np.testing.assert_array_equal(view.confidence_N, [0.9, np.nan])
    with pytest.raises(ValueError, match="row '1' is in none of the study's tables"):
        study_view([replace(ROW, gold=None)])


@pytest.mark.parametrize(
    ("value", "resamples", "p"),
    [
        (0.5, [0.1, 0.2, -0.1, 0.0], 1.0),  # two of four at or below nothing
        (-0.5, [-0.1, -0.2, -0.3, 0.1], 0.5),
        (0.5, [0.1, 0.2], 0.0),
        (0.0, [0.1, 0.2, 0.0], 1.0),
    ],
)
def test_p_is_twice_the_other_side(value: float, resamples: list[float], p: float) -> None:
    assert study_p(value, np.array(resamples)) == p
