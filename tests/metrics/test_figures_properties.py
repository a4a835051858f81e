"""What holds of every figure, whatever the answers: one suite over all names."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.metrics.calibration import BINNED, binned_calibration
from candor.metrics.classification import confusion
from candor.metrics.figures import exact_figures, needs_confidence, sizes, why_undefined
from candor.metrics.names import METRICS, PROBED, STATED, TESTED
from candor.metrics.paired import view_metrics
from candor.metrics.views import View
from candor.types import NO_LABEL

QUICK = settings(max_examples=50, deadline=None)

SHARES = {
    name for name in STATED if name not in ("log_score", "confidence_std", "brier_reliability", "brier_resolution")
}


def figures(view: View) -> dict[str, float]:
    """Every figure on the answers as they are."""
    return exact_figures(view, binned_calibration(view))


@st.composite
def views(draw: st.DrawFn, min_rows: int = 1) -> View:
    """Any answers: labels missing, confidences missing, tied, on the edges."""
    rows = draw(st.integers(min_rows, 30))
    gold = draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    label = draw(st.lists(st.sampled_from([0, 1, 2, NO_LABEL]), min_size=rows, max_size=rows))
    level = st.one_of(st.integers(0, 100).map(lambda step: step / 100), st.floats(0, 1), st.just(math.nan))
    confidence = np.array(draw(st.lists(level, min_size=rows, max_size=rows)))
    labels = np.array(label)
    confidence[labels == NO_LABEL] = np.nan
    return View(np.array(gold), labels, confidence, np.arange(rows))


@QUICK
@given(views())
def test_every_name_has_a_figure_and_a_size(view: View) -> None:
    assert set(figures(view)) == set(STATED) == set(sizes(view))


def test_names_are_consistent() -> None:
    assert set(TESTED) <= set(STATED) | set(PROBED)
    assert set(METRICS) == {*STATED, *PROBED, "probe_agreement"}
    assert all(name == info.name for name, info in METRICS.items())


@QUICK
@given(views())
def test_bounds(view: View) -> None:
    found = figures(view)
    for name in SHARES:
        assert math.isnan(found[name]) or -1e-12 <= found[name] <= 1 + 1e-12, name
    assert math.isnan(found["log_score"]) or math.log(0.005) - 1e-12 <= found["log_score"] <= 0
    assert math.isnan(found["confidence_std"]) or 0 <= found["confidence_std"] <= 1
    # What chance adds is taken off, so both may be below 0, by no more than the chance of one answer.
    for name in ("brier_reliability", "brier_resolution"):
        assert math.isnan(found[name]) or -0.6 <= found[name] <= 1, name


@QUICK
@given(views(), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(view: View, random: object) -> None:
    order = np.arange(view.gold_N.size)
    random.shuffle(order)  # type: ignore[attr-defined]
    found, moved = figures(view), figures(view.take(order))
    for name in STATED:
        assert moved[name] == pytest.approx(found[name], abs=1e-9, nan_ok=True), name


@QUICK
@given(views(), st.integers(2, 4))
def test_repeating_every_row_changes_no_share(view: View, times: int) -> None:
    """All but the area under risk-coverage, which is a mean over ranks, and what has the share of chance taken off."""
    found, repeated = figures(view), figures(view.take(np.repeat(np.arange(view.gold_N.size), times)))
    for name in set(STATED) - {"aurc", "excess_aurc", *BINNED}:
        assert repeated[name] == pytest.approx(found[name], abs=1e-9, nan_ok=True), name


@QUICK
@given(views())
def test_confidence_figures_see_only_answers_with_a_confidence(view: View) -> None:
    found, usable = figures(view), view.take(view.usable)
    alone = figures(usable) if usable.gold_N.size else dict.fromkeys(STATED, math.nan)
    for name in STATED:
        if needs_confidence(name):
            assert alone[name] == pytest.approx(found[name], abs=1e-12, nan_ok=True), name


@QUICK
@given(views())
def test_a_missing_label_is_wrong_and_never_helps(view: View) -> None:
    answered = view.label_N != NO_LABEL
    first = int(np.argmax(answered))
    if not answered[first]:
        return
    label, confidence = view.label_N.copy(), view.confidence_N.copy()
    label[first], confidence[first] = NO_LABEL, np.nan
    before, after = figures(view), figures(View(view.gold_N, label, confidence, view.group_N))
    for name in ("accuracy", "na_recall", "pass_recall", "fail_recall"):
        assert math.isnan(before[name]) or after[name] <= before[name] + 1e-12, name
    assert after["brier_all"] >= before["brier_all"] - 1e-12
    assert after["invalid_rate"] > before["invalid_rate"]


@QUICK
@given(views(min_rows=2))
def test_ranking_depends_on_order_alone(view: View) -> None:
    squeezed = View(view.gold_N, view.label_N, view.confidence_N**3 / 2, view.group_N)
    if np.unique(squeezed.confidence_N[view.usable]).size < np.unique(view.confidence_N[view.usable]).size:
        return  # two confidences so close that their cubes are one float
    before, after = figures(view), figures(squeezed)
    for name in ("auroc", "auprc", "aurc", "excess_aurc", "augrc", "coverage_at_1", "coverage_at_5", "coverage_at_10"):
        assert after[name] == pytest.approx(before[name], abs=1e-12, nan_ok=True), name


@QUICK
@given(views())
def test_turning_confidence_round_mirrors_auroc(view: View) -> None:
    flipped = View(view.gold_N, view.label_N, 1 - view.confidence_N, view.group_N)
    if np.unique(flipped.confidence_N[view.usable]).size < np.unique(view.confidence_N[view.usable]).size:
        return
    before, after = figures(view)["auroc"], figures(flipped)["auroc"]
    assert (math.isnan(before) and math.isnan(after)) or after == pytest.approx(1 - before)


@QUICK
@given(views())
def test_brier_parts_add_up_on_the_bins(view: View) -> None:
    """Exactly where all confidences of a bin are alike; binned confidences make them so."""
    binned = View(view.gold_N, view.label_N, np.maximum(np.ceil(view.confidence_N * 15), 1) / 15, view.group_N)
    found = figures(binned)
    if not math.isnan(found["brier"]):
        parts = found["brier_reliability"] - found["brier_resolution"] + found["brier_uncertainty"]
        assert parts == pytest.approx(found["brier"], abs=1e-9)


@QUICK
@given(views())
def test_calibration_error_is_at_least_the_overall_gap(view: View) -> None:
    found, used = figures(view), view.take(view.usable)
    if used.gold_N.size:
        gap = abs(found["confidence_mean"] - used.correct.mean())
        assert found["ece"] >= gap - 1e-9
        assert found["adaptive_ece"] >= gap - 1e-9


def test_perfect_answers() -> None:
    gold = np.array([0, 1, 2, 2])
    found = figures(View(gold, gold, np.ones(4), np.arange(4)))
    for name in ("accuracy", "macro_f1", "na_recall", "pass_precision", "fail_f1", "auprc", "coverage_at_1"):
        assert found[name] == 1, name
    for name in ("brier", "ece", "adaptive_ece", "aurc", "excess_aurc", "confidence_std", "invalid_rate"):
        assert found[name] == 0, name
    assert math.isnan(found["auroc"])


def test_perfect_ranking() -> None:
    view = View(np.zeros(4, int), np.array([0, 0, 1, 1]), np.array([0.9, 0.8, 0.2, 0.1]), np.arange(4))
    found = figures(view)
    assert found["auroc"] == found["auprc"] == 1
    assert found["excess_aurc"] == pytest.approx(0, abs=1e-12)
    assert found["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert found["coverage_at_10"] == 0.5


def test_constant_confidence_ranks_nothing() -> None:
    view = View(np.zeros(4, int), np.array([0, 0, 0, 1]), np.full(4, 0.7), np.arange(4))
    found = figures(view)
    assert found["auroc"] == 0.5
    assert found["auprc"] == found["accuracy"] == 0.75
    assert found["aurc"] == pytest.approx(0.25)
    assert found["confidence_std"] == 0
    assert found["ece"] == pytest.approx(0.05)
    assert found["brier"] == pytest.approx((3 * 0.09 + 0.49) / 4)


def test_hand_computed() -> None:
    """Five answers; one without a label, one without a confidence."""
    view = View(
        np.array([2, 2, 0, 1, 1]),
        np.array([2, 0, 0, NO_LABEL, 1]),
        np.array([0.9, 0.6, 0.6, math.nan, math.nan]),
        np.arange(5),
    )
    assert confusion(view).tolist() == [[1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0]]
    found = figures(view)
    assert found["accuracy"] == 0.6
    assert found["na_recall"] == found["fail_recall"] == found["pass_precision"] == 0.5
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 2 / 3) / 3)
    assert found["invalid_rate"] == 0.2
    assert found["confidence_missing_rate"] == 0.4
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.16) / 3)
    assert found["brier_all"] == pytest.approx((0.01 + 0.36 + 0.16 + 2) / 5)
    assert found["log_score"] == pytest.approx((math.log(0.9) + math.log(0.4) + math.log(0.6)) / 3)
    assert found["auroc"] == 0.75  # one pair won, one tied
    assert found["coverage_at_5"] == 0.2  # of all five
    assert found["ece"] == pytest.approx((0.1 + abs(1.2 - 1)) / 3)
    assert found["aurc"] == pytest.approx((0 + 0.25 + 1 / 3) / 3)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_answers_give_reasons(rows: int) -> None:
    empty = np.zeros(rows, dtype=np.int64)
    metrics = view_metrics(View(empty, empty, np.full(rows, np.nan), empty), resamples=10)
    assert set(metrics) == set(STATED)
    for name, metric in metrics.items():
        assert math.isnan(metric.value) or rows == 1, name
        assert metric.interval is None, name
        assert metric.reason, name


def test_reasons_name_what_is_missing() -> None:
    view = View(np.array([0, 0]), np.array([0, 0]), np.array([0.5, 0.6]), np.arange(2))
    assert why_undefined("na_recall", view) == "no example has the gold label NA"
    assert why_undefined("fail_precision", view) == "no answer is FAIL"
    assert "right" in why_undefined("auroc", view)


@settings(max_examples=15, deadline=None)
@given(views(min_rows=5))
def test_intervals_hold_the_bounds_of_their_figure(view: View) -> None:
    for name, metric in view_metrics(view, resamples=50).items():
        if metric.interval is not None:
            low, high = metric.interval
            assert low <= high, name
            assert name not in SHARES or (low >= -1e-12 and high <= 1 + 1e-12), name
