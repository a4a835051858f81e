"""Figures as they stand in results, and differences that cannot be had."""

from __future__ import annotations

import math

import made_view
import numpy as np
import pytest

from candor.metrics.paired import Metric, MetricDifference, pair_metrics, view_metrics
from candor.metrics.selective import RISKS, coverage_bound
from candor.metrics.shares import certain_share_interval
from candor.metrics.views import NO_LABEL, View


def view(labels: list[int], confidences: list[float], groups: list[int] | None = None) -> View:
    """Answers to examples that are all PASS."""
    n = len(labels)
    return View(
        np.zeros(n, dtype=np.int64),
        np.array(labels, dtype=np.int64),
        np.array(confidences, dtype=np.float64),
        np.arange(n) if groups is None else np.array(groups),
    )


NAN = math.nan


def test_undefined_values_are_written_as_none() -> None:
    assert Metric(NAN, None, 3, "why").as_json() == {"value": None, "interval": None, "n": 3, "reason": "why"}
    assert Metric(0.5, (0.4, 0.6), 3).as_json()["interval"] == (0.4, 0.6)


def test_p_is_written_only_where_it_was_tested() -> None:
    difference = MetricDifference(0.1, (0.0, 0.2), None, 0.03, 5)
    assert difference.as_json(None)["p"] is None
    tested = difference.as_json(0.06)
    assert (tested["p"], tested["p_holm"]) == (0.03, 0.06)


def test_one_group_is_nothing_to_resample() -> None:
    found = view_metrics(view([0, 1], [0.9, 0.4], groups=[7, 7]), resamples=10)
    assert found["accuracy"].value == 0.5
    assert found["accuracy"].interval is None
    assert found["accuracy"].reason == "fewer than two groups of rows: nothing to resample"


def test_a_certain_share_has_an_exact_interval_by_the_fewer_of_rows_and_groups() -> None:
    found = view_metrics(view([0, 0, 0, 0], [0.9] * 4, groups=[1, 1, 2, 2]), resamples=10)
    assert found["accuracy"].interval == certain_share_interval(1.0, 2)


def test_no_rows_have_a_reason_for_every_figure() -> None:
    found = view_metrics(view([], []), resamples=10)
    assert {figure.reason for figure in found.values()} == {"there are no answers"}


def test_differences_are_second_minus_first_on_the_rows_that_both_can_use() -> None:
    first = view([0, 0, 1, 1], [0.9, 0.8, NAN, 0.4])
    second = view([0, 0, 0, 1], [0.9, 0.4, 0.6, NAN])
    pair = pair_metrics(first, second, resamples=50, seed=0)
    assert pair.differences["accuracy"].value == pytest.approx(0.25)
    # Stated on the first two rows by both: (.01 + .36) / 2 against (.01 + .04) / 2.
    assert pair.differences["brier"].value == pytest.approx((0.37 - 0.05) / 2)
    assert pair.differences["brier"].n == 2
    # Each side's own figure is over its own rows.
    assert pair.first["brier"].value == pytest.approx((0.01 + 0.04 + 0.16) / 3)
    assert pair.second["brier"].n == 3


def test_why_a_difference_is_undefined_names_the_side() -> None:
    pair = pair_metrics(view([0, 0], [0.9, 0.5]), view([0, NO_LABEL], [0.9, NAN]), resamples=20, seed=0)
    auroc = pair.differences["auroc"]
    assert math.isnan(auroc.value)
    assert auroc.reason == "every answer with a confidence is right; needs wrong ones too (base)"
    assert pair.differences["na_precision"].reason == "no answer is NA (base)"


def test_answers_alike_differ_in_nothing() -> None:
    same = view([0, 1, 0, 2, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    pair = pair_metrics(same, same, resamples=50, seed=0)
    accuracy = pair.differences["accuracy"]
    assert (accuracy.value, accuracy.p) == (0.0, 1.0)
    # Six answers that agree do not show that all would.
    assert accuracy.interval is not None
    assert accuracy.interval[0] < -0.3
    assert accuracy.interval[1] > 0.3
    brier = pair.differences["brier"]
    assert (brier.value, brier.interval, brier.p) == (0.0, None, 1.0)
    assert brier.reason == "every resample is alike: nothing shows how much it could vary"


def test_two_na_examples_decide_nothing() -> None:
    """None of two found before, both after: the rise is whole and shows nothing."""
    gold = np.array([2, 2, 0, 1, 0, 1])
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    base = View(gold, np.array([0, 0, 0, 1, 0, 1]), confidence, np.arange(6))
    trained = View(gold, gold, confidence, np.arange(6))
    rise = pair_metrics(base, trained, resamples=2_000).differences["na_recall"]
    assert (rise.value, rise.p, rise.n) == (1.0, 0.5, 2)
    assert rise.interval is not None
    assert rise.interval[0] < 0


def test_what_chance_raises_has_no_interval_and_its_difference_no_p() -> None:
    answers = [made_view.make_view(seed) for seed in (1, 2)]
    pair = pair_metrics(*answers, resamples=50)
    for name in ("ece", "adaptive_ece"):
        assert pair.first[name].interval is None
        assert pair.first[name].reason == "chance alone raises it; the calibration error without that has an interval"
    for name in ("ece", "rms_calibration_error", "brier_reliability", "coverage_at_5"):
        assert math.isfinite(pair.differences[name].value)
        assert pair.differences[name].interval is None
        assert math.isnan(pair.differences[name].p)
    assert pair.first["rms_calibration_error"].interval is not None


def test_a_coverage_picked_on_the_same_answers_has_a_bound_below_it_and_no_interval() -> None:
    answers = made_view.make_view(1, rows=600, skill=0.95)
    found = view_metrics(answers, resamples=20)
    for name, risk in RISKS.items():
        assert found[name].interval is None
        assert found[name].at_least == coverage_bound(answers, risk)
        assert found[name].as_json()["at_least"] == found[name].at_least
        assert found[name].reason == "picked on the same answers: a lower bound stands in place of an interval"
    assert 0 < (found["coverage_at_10"].at_least or 0.0) < found["coverage_at_10"].value
    assert "at_least" not in found["accuracy"].as_json()
    alone = view_metrics(view([0, 1], [0.9, 0.4], groups=[7, 7]), resamples=10)["coverage_at_10"]
    assert (alone.interval, alone.at_least) == (None, None)


def test_plain_rules_give_every_figure_the_percentile_interval() -> None:
    answers = [made_view.make_view(seed) for seed in (1, 2)]
    plain = pair_metrics(*answers, resamples=300, p_value=lambda value, values: float(values.size))
    own = pair_metrics(*answers, resamples=300)
    assert plain.differences["accuracy"].p == 300
    assert plain.differences["accuracy"].interval != own.differences["accuracy"].interval
    assert plain.first["accuracy"].interval == view_metrics(answers[0], resamples=300, plain=True)["accuracy"].interval


def test_a_figure_that_hangs_on_one_answer_has_no_interval() -> None:
    """One wrong answer: without it there is no AUROC."""
    found = view_metrics(view([0] * 9 + [1], [0.9] * 5 + [0.5] * 5), resamples=200)["auroc"]
    assert found.value > 0.5
    assert (found.interval, found.reason) == (None, "hangs on fewer than four groups of rows")


def test_differences_have_standard_errors_where_they_have_intervals() -> None:
    pair = pair_metrics(*(made_view.make_view(seed) for seed in (1, 2)), resamples=2_000)
    for name in ("accuracy", "brier", "auroc", "macro_f1"):
        difference = pair.differences[name]
        assert difference.interval is not None
        assert difference.standard_error is not None
        width = difference.interval[1] - difference.interval[0]
        assert width == pytest.approx(2 * 1.96 * difference.standard_error, rel=0.1), name
    assert pair.differences["ece"].standard_error is None


def test_resamples_that_are_all_alike_are_no_proof() -> None:
    """Four answers, all wrong before and right after: every resample shows the same rise of F1."""
    pair = pair_metrics(view([1] * 4, [0.9] * 4), view([0] * 4, [0.9] * 4), resamples=500)
    rise = pair.differences["macro_f1"]
    assert rise.value == 1.0
    assert math.isnan(rise.p)
    assert rise.interval is None
