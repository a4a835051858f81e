"""Figures against scikit-learn and against plain definitions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from candor.metrics.calibration import BINS, LOG_SCORE_CLIP, equal_width_bins
from candor.metrics.classification import confusion
from candor.metrics.curves import curves
from candor.metrics.paired import view_metrics
from candor.metrics.views import View

MakeView = Callable[..., View]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("steps", [4, 20, 10**6])
def test_against_scikit_learn(make_view: MakeView, seed: int, steps: int) -> None:
    view = make_view(seed, rows=300, steps=steps)
    found = {name: metric.value for name, metric in view_metrics(view, resamples=2).items()}
    gold, label, c, right = view.gold_N, view.label_N, view.confidence_N, view.correct
    expected = {
        "accuracy": sk.accuracy_score(gold, label),
        "macro_f1": sk.f1_score(gold, label, average="macro"),
        "auroc": sk.roc_auc_score(right, c),
        "auprc": sk.average_precision_score(right, c),
        "brier": sk.brier_score_loss(right, c),
        "log_score": -sk.log_loss(right, np.clip(c, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP)),
    }
    for code, name in enumerate(("pass", "fail", "na")):
        expected[f"{name}_recall"] = sk.recall_score(gold, label, labels=[code], average=None)[0]
        expected[f"{name}_precision"] = sk.precision_score(gold, label, labels=[code], average=None)[0]
        expected[f"{name}_f1"] = sk.f1_score(gold, label, labels=[code], average=None)[0]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert found["confidence_std"] == pytest.approx(c.std())
    assert (confusion(view)[:, :3] == sk.confusion_matrix(gold, label)).all()


def test_invalid_answers_are_a_class_of_their_own(make_view: MakeView) -> None:
    view = make_view(1, rows=300, invalid=0.2)
    found = {name: metric.value for name, metric in view_metrics(view, resamples=2).items()}
    with_other = sk.f1_score(view.gold_N, view.label_N, labels=[0, 1, 2], average="macro")
    assert found["macro_f1"] == pytest.approx(with_other)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(view.gold_N, view.label_N))


def test_reliability_against_scikit_learn(make_view: MakeView) -> None:
    view = make_view(1, rows=500, steps=10**6)
    bins = curves(view)["reliability"]
    accuracy, confidence = calibration_curve(view.correct, view.confidence_N, n_bins=BINS)
    assert [one["accuracy"] for one in bins] == pytest.approx(accuracy)
    assert [one["confidence"] for one in bins] == pytest.approx(confidence)
    ece = sum(one["n"] * abs(one["accuracy"] - one["confidence"]) for one in bins) / 500
    assert view_metrics(view, resamples=2)["ece"].value == pytest.approx(ece)
    assert all(one["interval"][0] <= one["accuracy"] <= one["interval"][1] for one in bins)


def test_bins_keep_edges_in_the_lower_bin() -> None:
    assert equal_width_bins(np.array([0.0, 1 / 15, 0.2, 0.4, 0.6, 0.8, 1.0])).tolist() == [0, 0, 2, 5, 8, 11, 14]


def test_adaptive_bins_hold_equal_mass() -> None:
    """Thirty distinct confidences make fifteen bins of two."""
    confidence = np.linspace(0.01, 0.99, 30)
    right = np.arange(30) % 3 == 0
    view = View(np.zeros(30, int), np.where(right, 0, 1), confidence, np.arange(30))
    expected = np.abs((confidence - right).reshape(15, 2).sum(axis=1)).sum() / 30
    assert view_metrics(view, resamples=2)["adaptive_ece"].value == pytest.approx(expected)


def test_area_under_risk_coverage_is_the_mean_over_orders_of_ties() -> None:
    """All orders that respect the confidences, one by one."""
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.2])
    wrong = np.array([0, 1, 0, 1, 0])
    areas, oracle = [], []
    for order in itertools.permutations(range(5)):
        risks = np.cumsum(wrong[list(order)]) / np.arange(1, 6)
        if all(np.diff(confidence[list(order)]) <= 0):
            areas.append(risks.mean())
        oracle.append(risks.mean())
    view = View(np.zeros(5, int), wrong, confidence, np.arange(5))
    found = view_metrics(view, resamples=2)
    assert found["aurc"].value == pytest.approx(np.mean(areas))
    assert found["excess_aurc"].value == pytest.approx(np.mean(areas) - min(oracle))


def test_coverage_at_risk_by_trying_every_threshold(make_view: MakeView) -> None:
    view = make_view(4, rows=300, missing=0.1, skill=0.9)
    found = view_metrics(view, resamples=2)
    used = view.take(view.usable)
    for name, risk in (("coverage_at_1", 0.01), ("coverage_at_5", 0.05), ("coverage_at_10", 0.10)):
        best = 0.0
        for level in np.unique(used.confidence_N):
            kept = used.confidence_N >= level
            if (~used.correct[kept]).mean() <= risk:
                best = max(best, kept.sum() / 300)
        assert found[name].value == pytest.approx(best), name
        assert found[name].n == 300


def test_curves_count_every_answer_once(make_view: MakeView) -> None:
    view = make_view(5, missing=0.1, invalid=0.1)
    drawn = curves(view)
    used = int(view.usable.sum())
    bars = drawn["histogram"]
    assert sum(bars["correct"]) + sum(bars["incorrect"]) == used
    assert sum(map(sum, bars["by_label"].values())) == sum(map(sum, bars["by_gold"].values())) == used
    assert sum(one["n"] for one in drawn["reliability"]) == used
    line = drawn["risk_coverage"]
    assert line["threshold"] == sorted(line["threshold"], reverse=True)
    assert line["coverage"][-1] == pytest.approx(used / 200)
    assert line["risk"][-1] == pytest.approx(line["oracle_risk"][-1])
    assert all(best <= risk + 1e-12 for best, risk in zip(line["oracle_risk"], line["risk"], strict=True))


def test_histogram_keeps_edges_in_the_upper_bin() -> None:
    view = View(np.zeros(3, int), np.zeros(3, int), np.array([0.15, 0.3, 1.0]), np.arange(3))
    bars = curves(view)["histogram"]["correct"]
    assert [number for number, count in enumerate(bars) if count] == [3, 6, 19]
