"""Fits of a confidence on validation answers whose best fit is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from candor.metrics.recalibration import FITS, fit_recalibration
from candor.metrics.views import View
from candor.types import NO_LABEL

FIELDS = ("gold_N", "label_N", "confidence_N", "group_N")


def answers(*levels: tuple[float, int, int]) -> View:
    """So many right and wrong answers at each confidence."""
    confidence = np.concatenate([np.full(right + wrong, level) for level, right, wrong in levels])
    right = np.concatenate([np.arange(right + wrong) < right for _, right, wrong in levels])
    return View(np.zeros(right.size, dtype=np.int64), np.where(right, 0, 1), confidence, np.arange(right.size))


def test_as_it_is_changes_nothing() -> None:
    fitted = fit_recalibration("none", answers((0.9, 1, 9)))
    values = np.array([0.0, 0.3, np.nan, 1.0])
    np.testing.assert_array_equal(fitted(values), values)
    assert fitted.parameters == {}


def test_a_temperature_halves_the_logit_of_the_overconfident() -> None:
    # Stated .9 and .1 have logits of ±2.197; right in 3/4 and 1/4 have ±1.0986, half of that.
    fitted = fit_recalibration("temperature", answers((0.9, 75, 25), (0.1, 25, 75)))
    assert fitted.parameters["inverse_temperature"] == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(fitted(np.array([0.9, 0.1, 0.5])), [0.75, 0.25, 0.5], atol=0.01)


def test_a_temperature_may_turn_a_confidence_that_misleads() -> None:
    fitted = fit_recalibration("temperature", answers((0.9, 25, 75), (0.1, 75, 25)))
    assert fitted.parameters["inverse_temperature"] == pytest.approx(-0.5, abs=0.01)


def test_platt_fits_two_levels_exactly_up_to_its_ridge() -> None:
    fitted = fit_recalibration("platt", answers((0.9, 60, 40), (0.6, 30, 70)))
    np.testing.assert_allclose(fitted(np.array([0.9, 0.6])), [0.6, 0.3], atol=0.01)
    slope = (special.logit(0.6) - special.logit(0.3)) / (special.logit(0.9) - special.logit(0.6))
    assert fitted.parameters["slope"] == pytest.approx(slope, abs=0.03)
    assert fitted.parameters["bias"] == pytest.approx(special.logit(0.6) - slope * special.logit(0.9), abs=0.06)


def test_answers_that_a_line_separates_do_not_run_away() -> None:
    fitted = fit_recalibration("platt", answers((0.9, 50, 0), (0.1, 0, 50)))
    assert np.isfinite(list(fitted.parameters.values())).all()
    assert fitted(np.array([0.9]))[0] > 0.95


def test_isotonic_pools_what_falls_and_is_linear_between() -> None:
    # 1/2, then 3/4 falling to 1/4: the two are pooled to one half by their counts.
    fitted = fit_recalibration("isotonic", answers((0.2, 1, 3), (0.4, 3, 1), (0.6, 1, 3), (0.8, 4, 0)))
    np.testing.assert_allclose(fitted(np.array([0.2, 0.4, 0.6, 0.8])), [0.25, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(fitted(np.array([0.0, 0.3, 0.7, 1.0])), [0.25, 0.375, 0.75, 1.0])
    assert fitted.parameters == {"steps": 3.0}


@pytest.mark.parametrize("method", FITS)
def test_maps_stay_within_bounds_and_leave_out_the_missing(method: object) -> None:
    view = answers((0.9, 6, 4), (0.5, 2, 8))
    missing = View(np.array([0]), np.array([NO_LABEL]), np.array([np.nan]), np.array([99]))
    both = View(*(np.concatenate([getattr(view, name), getattr(missing, name)]) for name in FIELDS))
    fitted = fit_recalibration(method, both)  # type: ignore[arg-type]
    mapped = fitted(np.array([0.0, 0.5, 1.0, np.nan]))
    assert np.isnan(mapped[3])
    assert ((mapped[:3] >= 0) & (mapped[:3] <= 1)).all()
    assert fitted.method == method
    assert fitted.parameters == fit_recalibration(method, view).parameters  # type: ignore[arg-type]
