"""Figures from plain numbers, and what they say in words."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.report import plots
from candor.report.plots import Effect, Histogram, Series, smoothed, thinned


def test_equal_data_gives_equal_figures() -> None:
    one, other = (plots.risk_coverage("r", "R", [Series("base", "base", [0.5, 1], [0.1, 0.2])]) for _ in range(2))
    assert one.svg == other.svg


def test_a_histogram_tells_mean_confidence_of_right_and_wrong() -> None:
    drawing = plots.confidence_distribution("c", "C", [Histogram("base", [0, 0.5, 1], [0, 4], [1, 1])])
    assert "base: 4 right, 2 wrong, mean confidence 0.75 when right and 0.50 when wrong" in drawing.description
    empty = plots.confidence_distribution("c", "C", [Histogram("base", [0, 1], [0], [2])])
    assert "unknown when right" in empty.description


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(1, 30))
def test_smoothing_keeps_length_and_range(values: list[float], window: int) -> None:
    means = smoothed(values, window)
    assert len(means) == len(values)
    assert min(values) - 1e-6 <= min(means)
    assert max(means) <= max(values) + 1e-6


def test_smoothing_over_one_value_changes_nothing() -> None:
    assert smoothed([3.0, 1.0, 2.0], 1) == [3.0, 1.0, 2.0]


def test_a_curve_is_thinned_evenly_with_both_ends() -> None:
    x, y = thinned(range(1000), range(1000, 2000), 11)
    assert (x[0], x[-1], len(x)) == (0, 999, 11)
    assert all(b == a + 1000 for a, b in zip(x, y, strict=True))
    assert max(b - a for a, b in itertools.pairwise(x)) - min(b - a for a, b in itertools.pairwise(x)) <= 1
    assert thinned([1, 2], [3, 4], 2) == ([1, 2], [3, 4])


def test_reliability_and_risk_are_told_in_words() -> None:
    curves = [Series("base", "base", [0.5, 0.9], [0.4, 0.625], counts=[3, 300]), Series("", "series1", [0.1], [0.2])]
    described = plots.reliability("r", "R", curves).description
    assert "base: 40% at 0.50, 62% at 0.90" in described
    assert "20%" not in described
    described = plots.risk_coverage("r", "R", [Series("base", "base", [0.5, 1.0], [0.1, 0.25])]).description
    assert "base: 25% wrong at full coverage" in described


def test_training_is_told_by_its_first_and_last_step_without_single_seeds() -> None:
    curves = [Series("one", "series1", [1, 2, 30], [0.5, 9.0, -0.25]), Series("s", "series1", [1], [7.0], faint=True)]
    described = plots.training("t", "Reward", curves, ylabel="reward").description
    assert described == "Reward over training. one: 0.5 at step 1, −0.25 at step 30."


def test_effects_of_scores_are_no_points() -> None:
    effects = [Effect("a", "series1", 0.0, (-0.01, 0.01))]
    assert "a 0 (−0.01 to +0.01)" in plots.forest("f", "F", effects, xlabel="x", percent=False).description


def test_a_long_legend_makes_the_figure_higher() -> None:
    few = [Series("a name", "series1", [0, 1], [0, 1])]
    many = [Series(f"a name that is rather long {n}", "series1", [0, 1], [0, 1]) for n in range(6)]
    low, high = (plots.risk_coverage("r", "R", curves).figure.get_figheight() for curves in (few, many))
    assert high - low == pytest.approx(plots.LEGEND_ROW_INCHES * (6 - plots.LEGEND_ROWS))
