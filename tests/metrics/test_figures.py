"""Sums over rows, and figures that depend on answers without a confidence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.calibration import LOG_SCORE_CLIP
from candor.metrics.figures import (
    OVER_ALL_ROWS,
    RowFigures,
    exact_figures,
    needs_confidence,
    share_rows,
    sizes,
    why_undefined,
)
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
    """Figures where each row occurs so many times."""
    kernel = RowFigures(CELLS)
    sums = kernel.sums_N_M.T @ np.array(times, dtype=float)[:, None]
    values = kernel.figures(sums) | kernel.coverages(sums)
    return {name: float(value[0]) for name, value in values.items()}


def test_a_row_counts_once_by_label_and_once_by_confidence() -> None:
    sums = RowFigures(CELLS).sums_N_M.toarray()
    assert sums.shape == (3, 12 + 4 + 2 * 2)
    assert sums[:, :12].sum(axis=1).tolist() == [1, 1, 1]
    # Confidences stand highest first, right answers before wrong ones.
    assert sums[:, 16:].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    # Squared error, log score, and the confidence around its mean of .7.
    assert sums[0, 12:16] == pytest.approx([0.04, math.log(0.8), 0.1, 0.01])
    assert sums[1, 12:16] == pytest.approx([0.36, math.log(0.4), -0.1, 0.01])


def test_blocks_of_confidences_hold_equal_mass() -> None:
    n = 1_000
    many = View(np.zeros(n, int), np.arange(n) % 2, np.linspace(0, 1, n), np.arange(n))
    sums = RowFigures(many, most_levels=10).sums_N_M.toarray()
    assert sums.shape == (n, 16 + 2 * 10)
    assert (sums[:, 16:26] + sums[:, 26:]).sum(axis=0).tolist() == [100] * 10
    exact = RowFigures(many, None)
    assert exact.sums_N_M.shape == (n, 16 + 2 * n)
    few = RowFigures(many, 10)
    for name in ("auroc", "aurc", "augrc", "brier", "confidence_std"):
        one, two = (kernel.figures(kernel.sums_N_M.sum(axis=0)[:, None])[name][0] for kernel in (exact, few))
        assert two == pytest.approx(one, abs=5e-3), name


def test_certainty_that_is_wrong_costs_a_finite_log_score() -> None:
    sure = View(np.array([0, 0]), np.array([1, 0]), np.array([1.0, 0.0]), np.arange(2))
    found = exact_figures(sure, None)
    assert found["log_score"] == pytest.approx(math.log(LOG_SCORE_CLIP))
    assert found["brier"] == 1.0
    assert math.isnan(found["brier_reliability"])


def test_spread_of_one_confidence_is_exactly_zero() -> None:
    same = View(np.zeros(10, int), np.arange(10) // 7, np.full(10, 0.1), np.arange(10))
    assert exact_figures(same, None)["confidence_std"] == 0.0


def test_shares_name_their_rows() -> None:
    over, hits = share_rows("false_na_rate", CELLS) or (None, None)
    assert over is not None
    assert hits is not None
    assert (over.tolist(), hits.tolist()) == ([True, True, False], [False, False, False])
    precision = share_rows("pass_precision", CELLS)
    assert precision is not None
    assert [part.tolist() for part in precision] == [[True, True, False], [True, False, False]]
    assert share_rows("macro_f1", CELLS) is None


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
        ("false_na_rate", [2], "no example has the gold label PASS or FAIL"),
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
