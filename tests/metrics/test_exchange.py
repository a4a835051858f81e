"""The exchange test: against every swap there is, and how often it is small without an effect."""

from __future__ import annotations

from itertools import product

import made_view
import numpy as np
import pytest

from candor.metrics import exchange
from candor.metrics.exchange import exchange_p
from candor.metrics.figures import exact_figures
from candor.metrics.views import View


def swapped(first: View, second: View, groups: list[int]) -> float:
    """Difference of macro-F1 with the answers to some groups swapped."""
    rows_N = np.isin(first.group_N, groups)
    sides = [
        View(one.gold_N, np.where(rows_N, other.label_N, one.label_N), np.full(rows_N.size, 0.5), one.group_N)
        for one, other in ((first, second), (second, first))
    ]
    return exact_figures(sides[1], None)["macro_f1"] - exact_figures(sides[0], None)["macro_f1"]


def test_p_is_the_share_of_all_swaps_that_make_so_large_a_difference() -> None:
    first = made_view.make_view(1, rows=24, skill=0.2, groups=7, invalid=0.1)
    second = made_view.make_view(2, rows=24, skill=0.9, groups=7)
    codes = np.unique(first.group_N).tolist()
    chosen = [[code for code, bit in zip(codes, bits, strict=True) if bit] for bits in product((0, 1), repeat=7)]
    every = np.array([swapped(first, second, groups) for groups in chosen])
    expected = float((np.abs(every) >= abs(every[0]) - 1e-12).mean())
    found = exchange_p(first, second, "macro_f1", resamples=4_000, seed=0)
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4_000) ** 0.5)


def test_models_that_are_alike_do_not_differ() -> None:
    view = made_view.make_view(1)
    assert exchange_p(view, view, "macro_f1", resamples=50, seed=0) == 1.0


def test_very_many_groups_are_swapped_in_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (made_view.make_view(seed, rows=900, skill=skill) for seed, skill in ((1, 0.5), (2, 0.55)))
    whole = exchange_p(first, second, "macro_f1", resamples=2_000, seed=0)
    monkeypatch.setattr(exchange, "MOST_BUNDLES", 100)
    assert exchange_p(first, second, "macro_f1", resamples=2_000, seed=0) == pytest.approx(whole, abs=0.1)


@pytest.mark.parametrize("na", [2, 10])
def test_without_an_effect_p_is_seldom_small(na: int) -> None:
    draw, small = np.random.default_rng(na), 0
    for number in range(300):
        gold = np.where(np.arange(60) < na, 2, np.arange(60) % 2)
        views = [
            View(gold, np.where(draw.random(60) < 0.7, gold, draw.integers(0, 3, 60)), np.full(60, 0.5), np.arange(60))
            for _ in range(2)
        ]
        small += exchange_p(*views, "macro_f1", resamples=99, seed=number) <= 0.05
    assert small <= 0.05 * 300 + 2 * (0.05 * 0.95 * 300) ** 0.5
