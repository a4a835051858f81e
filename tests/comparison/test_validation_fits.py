"""Recalibration: what validation answers allow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_view import make_view
from scipy import special
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from candor.comparison.validation_fits import recalibration_rows
from candor.metrics.recalibration import METHODS, agreement, fit_recalibration, normalised_by_distractors
from candor.metrics.views import View, stated_view
from candor.types import LABELS, NO_LABEL, Prediction, Validity


def graded(rows: int, seed: int, *, sharpness: float = 1.0, bias: float = 0.0) -> View:
    """Answers that are right with probability sigmoid(sharpness * logit(confidence) + bias)."""
    draw = np.random.default_rng(seed)
    confidence = np.round(draw.uniform(0.02, 0.98, rows), 2)
    right = draw.random(rows) < special.expit(sharpness * special.logit(confidence) + bias)
    return View(np.zeros(rows, int), np.where(right, 0, 1), confidence, np.arange(rows))


def test_platt_against_scikit_learn() -> None:
    view = graded(500, 0, sharpness=0.5, bias=-0.4)
    fit = fit_recalibration("platt", view)
    logit = special.logit(view.confidence_N)[:, None]
    expected = LogisticRegression(C=np.inf).fit(logit, view.correct)
    assert fit.parameters["slope"] == pytest.approx(expected.coef_[0, 0], rel=0.01)
    assert fit.parameters["bias"] == pytest.approx(expected.intercept_[0], abs=0.01)
    found = fit(np.array([0.3, math.nan]))
    assert found[0] == pytest.approx(expected.predict_proba(special.logit([[0.3]]))[0, 1], abs=0.005)
    assert math.isnan(found[1])


def test_temperature_recovers_overconfidence() -> None:
    fit = fit_recalibration("temperature", graded(5_000, 0, sharpness=0.4))
    assert fit.parameters["inverse_temperature"] == pytest.approx(0.4, abs=0.06)
    assert fit(np.array([0.5]))[0] == pytest.approx(0.5)


def test_isotonic_against_scikit_learn() -> None:
    view = graded(300, 1)
    expected = IsotonicRegression(out_of_bounds="clip").fit(view.confidence_N, view.correct)
    grid = np.linspace(0, 1, 51)
    assert fit_recalibration("isotonic", view)(grid) == pytest.approx(expected.predict(grid))


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_separable_and_constant_answers_stay_finite(method: str) -> None:
    right = np.arange(40) % 2
    for confidence in (0.2 + 0.6 * right, np.full(40, 1.0), 0.8 - 0.6 * right):
        view = View(np.zeros(40, int), 1 - right, confidence, np.arange(40))
        found = fit_recalibration(method, view)(np.linspace(0, 1, 11))  # type: ignore[arg-type]
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()


def told(view: View, probs: list[tuple[float, float, float]] | None = None) -> list[Prediction]:
    """The answers of a view as predictions; p(label) is the stated confidence unless given."""
    found = []
    for row in range(view.gold_N.size):
        label, confidence = int(view.label_N[row]), float(view.confidence_N[row])
        rest = (1 - confidence) / 2
        p = tuple(confidence if label == place else rest for place in range(3))
        found.append(
            Prediction(
                id=str(row),
                dataset="d",
                group=str(view.group_N[row]),
                claim="x",
                evidence=(),
                gold=LABELS[int(view.gold_N[row])],
                raw="",
                label=None if label == NO_LABEL else LABELS[label],
                confidence=None if np.isnan(confidence) else confidence,
                validity=Validity.CLEAN,
                label_probs=(probs[row] if probs else (p[0], p[1], p[2])) if not np.isnan(confidence) else None,
            )
        )
    return found


def test_training_that_only_recalibrates_does_not_beat_a_fit() -> None:
    base, validation = graded(800, 1, sharpness=0.4), graded(2_000, 2, sharpness=0.4)
    trained = View(base.gold_N, base.label_N, special.expit(0.4 * special.logit(base.confidence_N)), base.group_N)
    found = recalibration_rows(told(base), trained, told(validation), resamples=500, seed=0)
    rows = {row["method"]: row for row in found}
    assert list(rows) == list(METHODS)
    beaten = rows["none"]["trained_minus"]["brier"]
    assert beaten["value"] is not None
    assert beaten["value"] < -0.015
    assert beaten["p_holm"] is not None
    assert beaten["p_holm"] < 0.15
    level = rows["temperature"]["trained_minus"]["brier"]
    assert level["value"] == pytest.approx(0, abs=0.003)
    assert rows["temperature"]["n_fit"] == 2_000
    # p(label) was made the stated confidence here, so it is worth the same.
    assert rows["label_probability"]["metrics"] == rows["none"]["metrics"]
    assert rows["scaled_label_probability"]["metrics"] == rows["temperature"]["metrics"]
    assert rows["scaled_label_probability"]["n_fit"] == 2_000


def test_agreeing_samples_are_drawn_from_the_label_probabilities() -> None:
    probs = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, 0.0]] * 4_000)
    labels = np.array([0, 2, 1, 0, 1] * 4_000)
    shares = agreement(probs, labels, seed=3)
    assert shares.tolist() == agreement(probs, labels, seed=3).tolist()
    assert set(np.round(shares * 8, 9)) <= set(range(9))
    means = shares.reshape(-1, 5).mean(axis=0)
    assert means == pytest.approx([0.9, 0.5, 0.0, 1.0, 1 / 3], abs=0.01)
    assert np.isnan(agreement(probs[:1], np.array([NO_LABEL]), seed=0)).all()


def test_what_is_stated_for_other_labels_as_well_counts_for_less() -> None:
    stated = np.array([[0.9, 0.1, 0.0], [0.9, 0.6, 0.3], [0.2, 0.1, 0.0], [0.5, 0.5, 0.5]])
    labels = np.array([0, 0, 0, NO_LABEL])
    found = normalised_by_distractors(stated, labels)
    assert found[:3] == pytest.approx([0.9, 0.5, 0.2])
    assert np.isnan(found[3])


def test_dinco_is_the_mean_of_that_and_of_agreement() -> None:
    base, validation = told(graded(300, 1)), told(graded(200, 2))
    asked = [
        replace(row, label_confidences=tuple(row.confidence if row.label is name else 0.4 for name in LABELS))
        for row in base
    ]
    trained = stated_view(base)
    rows = {row["method"]: row for row in recalibration_rows(asked, trained, validation, resamples=20, seed=3)}
    probs = np.array([row.label_probs for row in base])
    share = agreement(probs, trained.label_N, seed=3)
    confidence = (trained.confidence_N / np.maximum(trained.confidence_N + 0.8, 1.0) + share) / 2
    brier = float(((confidence - trained.correct) ** 2).mean())
    assert rows["distractors"]["metrics"]["brier"]["value"] == pytest.approx(brier)
    rows = {row["method"]: row for row in recalibration_rows(base, trained, validation, resamples=20, seed=3)}
    assert rows["distractors"]["metrics"] == {}
    assert "evaluation.every_label" in (rows["distractors"]["reason"] or "")


def test_without_label_probabilities_there_is_a_reason() -> None:
    base, known = told(graded(100, 1)), told(graded(200, 2))
    bare = [replace(row, label_probs=None) for row in base]
    rows = {row["method"]: row for row in recalibration_rows(bare, make_view(2, 100), known, resamples=20, seed=0)}
    for method in ("label_probability", "scaled_label_probability", "agreement", "distractors"):
        assert rows[method]["reason"] == "not every answer has label probabilities"
        assert rows[method]["metrics"] == {}
    bare = [replace(row, label_probs=None) for row in known]
    rows = {row["method"]: row for row in recalibration_rows(base, make_view(2, 100), bare, resamples=20, seed=0)}
    assert rows["label_probability"]["reason"] is None
    assert rows["agreement"]["reason"] is None
    assert rows["scaled_label_probability"]["reason"] == "not every validation answer has label probabilities"


def test_too_few_validation_answers_fit_nothing() -> None:
    found = recalibration_rows(told(make_view(1)), make_view(2), told(graded(25, 0)), resamples=20, seed=0)
    rows = {row["method"]: row for row in found}
    assert rows["none"]["metrics"]["brier"]["value"] is not None
    for method in ("temperature", "platt", "isotonic", "scaled_label_probability"):
        reason = rows[method]["reason"]
        assert reason is not None
        assert "needs 20 right" in reason
