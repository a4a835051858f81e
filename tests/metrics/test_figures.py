"""Counts of distinct rows, and figures that depend on answers without a confidence."""

from __future__ import annotations

import numpy as np
import pytest

from candor.metrics.figures import OVER_ALL_ROWS, CellFigures, needs_confidence, sizes, why_undefined
from candor.metrics.names import METRICS
from candor.metrics.views import NO_LABEL, View

CELLS = View(
    gold_N=np.array([0, 1, 2]),
    label_N=np.array([0, 0, NO_LABEL]),
    confidence_N=np.array([0.8, 0.6, np.nan]),
    group_N=np.arange(3),
)
"""A right answer at .8, a wrong one at .6, and one that cannot be read."""


def figures(*times: int) -> dict[str, float]:
    """Figures where each cell occurs so many times."""
    kernel = CellFigures(CELLS)
    counts = kernel.count_M_K @ np.array(times, dtype=float)[:, None]
    return {name: float(values[0]) for name, values in kernel.figures(counts).items()}


def test_a_cell_counts_once_by_label_and_once_by_confidence() -> None:
    counts = CellFigures(CELLS).count_M_K.toarray()
    assert counts.shape == (12 + 2 * 2, 3)
    assert counts.sum(axis=0).tolist() == [2, 2, 1]
    # Confidences stand highest first, right answers before wrong ones.
    assert counts[12:, 0].tolist() == [1, 0, 0, 0]
    assert counts[12:, 1].tolist() == [0, 0, 0, 1]


def test_a_missing_confidence_costs_the_whole_square_in_one_figure_alone() -> None:
    found = figures(2, 1, 1)
    squares = 2 * 0.04 + 0.36
    assert found["brier"] == pytest.approx(squares / 3)
    assert found["brier_all"] == pytest.approx((squares + 1) / 4)
    assert found["confidence_missing_rate"] == pytest.approx(1 / 4)
    assert found["accuracy"] == pytest.approx(2 / 4)
    # Of all four answers two are accepted without an error.
    assert found["coverage_at_5"] == pytest.approx(2 / 4)


def test_without_any_confidence_missing_ones_still_count() -> None:
    found = figures(0, 0, 3)
    assert found["brier_all"] == 1.0
    assert np.isnan(found["brier"])
    assert np.isnan(figures(0, 0, 0)["brier_all"])


def test_figures_are_taken_over_the_rows_that_they_need() -> None:
    found = sizes(CELLS)
    assert found["accuracy"] == found["brier_all"] == 3
    assert found["brier"] == found["auroc"] == 2
    assert (found["pass_recall"], found["pass_precision"], found["na_precision"]) == (1, 2, 0)
    assert needs_confidence("ece")
    assert not needs_confidence("accuracy")
    assert not any(map(needs_confidence, OVER_ALL_ROWS))


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("accuracy", [], "there are no answers"),
        ("fail_recall", [0, 2], "no example has the gold label FAIL"),
        ("na_precision", [0, 1], "no answer is NA"),
        ("na_f1", [0, 1], "NA is neither a gold label nor an answer"),
        ("auroc", [2], "no answer has a confidence"),
        ("auroc", [0], "every answer with a confidence is right; needs wrong ones too"),
        ("auprc", [1, 2], "every answer with a confidence is wrong; needs right ones too"),
    ],
)
def test_why_a_figure_is_undefined(name: str, rows: list[int], words: str) -> None:
    assert name in METRICS
    assert why_undefined(name, CELLS.take(np.array(rows, dtype=np.int64))) == words
