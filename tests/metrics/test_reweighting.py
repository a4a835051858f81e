"""Figures under other class shares: by hand, against repeated rows, and refused where they cannot be had."""

from __future__ import annotations

import made_view
import numpy as np
import pytest

from candor.errors import PredictionError
from candor.metrics.figures import exact_figures
from candor.metrics.paired import view_metrics
from candor.metrics.reweighting import REWEIGHTED, reweighted_figures
from candor.metrics.views import View

SHARES = {"PASS": 0.6, "FAIL": 0.3, "NA": 0.1}


def test_accuracy_is_the_mean_of_recalls_by_share() -> None:
    view = made_view.make_view(1, invalid=0.05)
    found = reweighted_figures(view, SHARES, resamples=200)
    values = exact_figures(view, None)
    expected = sum(share * values[f"{name.lower()}_recall"] for name, share in SHARES.items())
    assert found["accuracy"].value == pytest.approx(expected)
    interval = found["accuracy"].interval
    assert interval is not None
    assert interval[0] < expected < interval[1]
    assert set(found) == set(REWEIGHTED)


def test_the_shares_that_there_are_change_nothing() -> None:
    view = made_view.make_view(2, invalid=0.05)
    counts = np.bincount(view.gold_N, minlength=3) / view.gold_N.size
    found = reweighted_figures(view, dict(zip(("PASS", "FAIL", "NA"), counts.tolist(), strict=True)), resamples=100)
    own = view_metrics(view, resamples=100)
    for name in REWEIGHTED:
        assert found[name].value == pytest.approx(own[name].value), name


def test_weights_are_as_good_as_repeated_rows() -> None:
    """Ten examples of each label; twice the PASS examples and thrice the FAIL ones are shares of 2, 3 and 1 of 6."""
    draw = made_view.make_view(3, rows=300)
    view = draw.take(np.concatenate([np.flatnonzero(draw.gold_N == code)[:10] for code in range(3)]))
    repeated = exact_figures(view.take(np.repeat(np.arange(30), np.repeat([2, 3, 1], 10))), None)
    found = reweighted_figures(view, {"PASS": 2 / 6, "FAIL": 3 / 6, "NA": 1 / 6}, resamples=20)
    for name in REWEIGHTED:
        assert found[name].value == pytest.approx(repeated[name]), name


def test_a_label_that_users_never_meet_counts_nothing() -> None:
    view = made_view.make_view(4)
    found = reweighted_figures(view, {"PASS": 0.5, "FAIL": 0.5, "NA": 0.0}, resamples=20)
    decided = view.take(view.gold_N != 2)
    counts = np.bincount(decided.gold_N, minlength=2) / decided.gold_N.size
    same = reweighted_figures(decided, {"PASS": counts[0], "FAIL": counts[1], "NA": 0.0}, resamples=20)
    assert same["brier"].value == pytest.approx(exact_figures(decided, None)["brier"])
    assert found["na_precision"].value == 0.0


@pytest.mark.parametrize(
    "shares",
    [
        {"PASS": 0.5, "FAIL": 0.5},
        {"PASS": 0.5, "FAIL": 0.6, "NA": 0.1},
        {"PASS": 1.1, "FAIL": -0.2, "NA": 0.1},
        {"PASS": 0.5, "FAIL": 0.5, "NEI": 0.0},
    ],
)
def test_shares_must_be_shares(shares: dict[str, float]) -> None:
    with pytest.raises(PredictionError, match="needs PASS, FAIL, NA, each at least 0, 1 in all"):
        reweighted_figures(made_view.make_view(1), shares, resamples=5)


def test_a_label_that_does_not_occur_has_no_share() -> None:
    view = View(np.array([0, 1]), np.array([0, 1]), np.array([0.5, 0.6]), np.arange(2))
    with pytest.raises(PredictionError, match=r"no example has the gold label NA: its share cannot be 0.1"):
        reweighted_figures(view, SHARES, resamples=5)
