"""Label figures of a confusion matrix that fits on a line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.classification import confusion, divide, label_figures
from candor.metrics.views import NO_LABEL, View

COUNTS = np.array([[4, 1, 0, 1], [0, 2, 2, 0], [0, 0, 0, 0]], dtype=float)
"""Gold PASS, FAIL, NA by answer PASS, FAIL, NA, none; no example is NA."""


def figures(counts: np.ndarray) -> dict[str, float]:
    return {name: float(values[0]) for name, values in label_figures(counts[:, :, None]).items()}


def test_figures_by_hand() -> None:
    found = figures(COUNTS)
    assert found["accuracy"] == pytest.approx(6 / 10)
    assert found["na_rate"] == pytest.approx(2 / 10)
    assert found["invalid_rate"] == pytest.approx(1 / 10)
    # NA is said of two examples whose evidence decides.
    assert found["false_na_rate"] == pytest.approx(2 / 10)
    # An answer without a label lowers its gold label's recall and no precision.
    assert found["pass_recall"] == pytest.approx(4 / 6)
    assert found["pass_precision"] == 1.0
    assert found["pass_f1"] == pytest.approx(8 / 10)
    assert found["fail_recall"] == pytest.approx(2 / 4)
    assert found["fail_precision"] == pytest.approx(2 / 3)
    assert found["fail_f1"] == pytest.approx(4 / 7)
    assert math.isnan(found["na_recall"])
    assert found["na_precision"] == 0.0
    # NA occurs as an answer, so it counts.
    assert found["macro_f1"] == pytest.approx((8 / 10 + 4 / 7 + 0) / 3)


def test_a_label_that_never_occurs_is_no_part_of_the_mean() -> None:
    counts = np.zeros((3, 4))
    counts[0, 0], counts[1, 1] = 2, 2
    assert figures(counts)["macro_f1"] == 1.0
    assert math.isnan(figures(counts)["na_f1"])


def test_without_answers_nothing_is_defined() -> None:
    assert all(math.isnan(value) for value in figures(np.zeros((3, 4))).values())


def test_resamples_do_not_touch_each_other() -> None:
    other = np.zeros((3, 4))
    other[2, 2] = 1
    both = label_figures(np.stack([COUNTS, other], axis=-1))
    assert both["accuracy"].tolist() == [pytest.approx(0.6), 1.0]


def test_answers_are_counted_by_gold_and_answer() -> None:
    gold, label = np.array([0, 0, 1, 2]), np.array([0, NO_LABEL, 0, 2])
    view = View(gold, label, np.full(4, np.nan), np.arange(4))
    assert confusion(view).tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]
    assert confusion(view.take(np.zeros(4, dtype=bool))).sum() == 0


def test_dividing_by_zero_is_undefined_and_broadcasts() -> None:
    np.testing.assert_array_equal(divide(np.array([[1.0], [0.0]]), np.array([2.0, 0.0])), [[0.5, np.nan], [0, np.nan]])
