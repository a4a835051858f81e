from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from own_module import write_module

from candor.comparison.own_metrics import own_metrics, value_of
from candor.comparison.stages import Both
from candor.errors import RecipeError
from candor.extensions import load_extension
from candor.metrics.views import View

SOURCE = """
def na_share(label):
    return (label == 2).mean()


def nothing(label):
    return None


def endless(label):
    return float("inf")


def fails(label, confidence):
    raise KeyError("x")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return write_module(SOURCE, "figures", tmp_path, monkeypatch)


def view(labels: list[int]) -> View:
    label = np.array(labels)
    return View(np.zeros(label.size, int), label, np.full(label.size, 0.5), np.arange(label.size))


def test_both_sides_and_their_difference_have_intervals(module: str) -> None:
    paired = Both(view([2] * 20 + [0] * 80), view([2] * 60 + [0] * 40))
    found = own_metrics([f"{module}:na_share"], paired, resamples=400, seed=0)["na_share"]
    assert (found["base"]["value"], found["trained"]["value"]) == (0.2, 0.6)
    assert found["difference"]["value"] == pytest.approx(0.4)
    assert found["spec"] == f"{module}:na_share"
    assert len(found["sha256"] or "") == 64
    for side in ("base", "trained", "difference"):
        figure = found[side]  # type: ignore[literal-required]
        low, high = figure["interval"]
        # Binomial standard errors are .04, .05 and .05; the interval is four of them wide, give or take.
        assert low < figure["value"] < high
        assert 0.1 < high - low < 0.3
    assert own_metrics([f"{module}:na_share"], paired, resamples=400, seed=0)["na_share"] == found


def test_groups_are_resampled_whole(module: str) -> None:
    spread = Both(view([2, 0] * 50), view([2, 0] * 50))
    lumped = Both(*(View(one.gold_N, np.sort(one.label_N), one.confidence_N, np.arange(100) // 25) for one in spread))
    widths = []
    for paired in (spread, lumped):
        low, high = own_metrics([f"{module}:na_share"], paired, resamples=400, seed=0)["na_share"]["base"][
            "interval"
        ] or (0, 0)
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_what_is_undefined_has_no_value(module: str) -> None:
    paired = Both(view([0, 1]), view([0, 1]))
    assert own_metrics([f"{module}:nothing"], paired, resamples=10, seed=0)["nothing"]["base"] == {
        "value": None,
        "interval": None,
    }
    assert math.isnan(value_of(load_extension("metric", f"{module}:nothing"), paired.base))


def test_what_fails_is_named(module: str) -> None:
    paired = Both(view([0, 1]), view([0, 1]))
    with pytest.raises(RecipeError, match=r"evaluation.metrics: .*:fails failed: KeyError.*candor check"):
        own_metrics([f"{module}:fails"], paired, resamples=10, seed=0)
    with pytest.raises(RecipeError, match=r":endless returned inf; where undefined return None"):
        own_metrics([f"{module}:endless"], paired, resamples=10, seed=0)
