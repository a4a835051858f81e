"""Figures of a comparison under stated class shares."""

from __future__ import annotations

from typing import Any

import made_view
import numpy as np
import pytest

from candor.comparison.class_shares import under_shares
from candor.comparison.stages import Both, Draws, Views
from candor.metrics.reweighting import REWEIGHTED, reweighted_figures
from candor.metrics.views import View

SHARES = {"PASS": 0.6, "FAIL": 0.3, "NA": 0.1}
DRAWS = Draws(resamples=100, seed=3)


def views(base: View, trained: View) -> Views:
    sides, bare_N = Both(base, trained), np.zeros(base.gold_N.size, dtype=np.bool_)
    return Views(own=sides, paired=sides, dropped=(), probes=Both(None, None), bayes=None, bare_N=bare_N)


def test_both_sides_have_their_own_figures_and_the_difference_is_between_them() -> None:
    base, trained = made_view.make_view(1), made_view.make_view(2, skill=0.8)
    found: Any = under_shares(views(base, trained), SHARES, DRAWS)
    assert (found["shares"], found["reason"]) == (SHARES, None)
    for side, view in (("base", base), ("trained", trained)):
        own = reweighted_figures(view, SHARES, resamples=5)
        assert {name: figure["value"] for name, figure in found[side].items()} == {
            name: pytest.approx(own[name].value) for name in REWEIGHTED
        }
    for name, change in found["differences"].items():
        assert change["value"] == pytest.approx(found["trained"][name]["value"] - found["base"][name]["value"]), name
        low, high = change["interval"]
        assert low < change["value"] < high


def test_a_difference_of_the_confidence_is_taken_where_both_have_one() -> None:
    base, trained = made_view.make_view(1, missing=0.2), made_view.make_view(2, missing=0.1)
    found: Any = under_shares(views(base, trained), SHARES, DRAWS)
    both = base.usable & trained.usable
    weight_N = np.array(list(SHARES.values()))[base.gold_N] / np.bincount(base.gold_N)[base.gold_N]

    def brier(view: View) -> float:
        return float(np.average((view.confidence_N - view.correct)[both] ** 2, weights=weight_N[both]))

    assert found["differences"]["brier"]["value"] == pytest.approx(brier(trained) - brier(base))
    assert found["differences"]["brier"]["n"] == both.sum()
    assert found["base"]["brier"]["n"] == base.usable.sum()


def test_without_shares_there_is_nothing_and_without_examples_the_reason() -> None:
    view = made_view.make_view(1)
    assert under_shares(views(view, view), None, DRAWS) is None
    decided = view.take(view.gold_N != 2)
    found = under_shares(views(decided, decided), SHARES, DRAWS)
    assert found == {
        "shares": SHARES,
        "base": {},
        "trained": {},
        "differences": {},
        "reason": "no example has the gold label NA, whose share is 0.1",
    }
