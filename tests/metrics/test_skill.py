"""Skill over the base rate: by hand, at its fixed points, and how often its interval holds the truth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_view import make_view

from candor.metrics.skill import skill_scores
from candor.metrics.views import View


def answers(confidence: Any, right: Any, group: Any = None) -> View:
    right_N = np.array(right, dtype=bool)
    groups = np.arange(right_N.size) if group is None else np.array(group)
    return View(np.zeros(right_N.size, dtype=np.int64), np.where(right_N, 0, 1), np.array(confidence, float), groups)


def test_by_hand() -> None:
    found = skill_scores(answers([0.9, 0.8, 0.6, 0.3], [1, 1, 0, 0]))
    squares = (0.01 + 0.04 + 0.36 + 0.09) / 4
    assert found["brier"]["value"] == pytest.approx(1 - squares / 0.25)
    logs = (math.log(0.9) + math.log(0.8) + math.log(0.4) + math.log(0.7)) / 4
    assert found["log"]["value"] == pytest.approx(1 - logs / math.log(0.5))
    assert found["brier"]["n"] == 4


def test_the_base_rate_has_no_skill_and_certainty_that_is_right_has_all() -> None:
    right = [1, 1, 1, 0]
    for name in ("brier", "log"):
        assert skill_scores(answers([0.75] * 4, right))[name]["value"] == pytest.approx(0)  # type: ignore[index]
    sure = skill_scores(answers(right, right))
    assert sure["brier"]["value"] == 1
    assert sure["log"]["value"] == pytest.approx(1 - math.log(0.995) / (0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert skill_scores(answers([0.1] * 4, right))["brier"]["value"] < 0  # type: ignore[operator]


def test_what_cannot_be_had_says_why() -> None:
    view = answers([math.nan, math.nan], [1, 0])
    assert skill_scores(view)["log"] == {
        "value": None,
        "interval": None,
        "n": 0,
        "reason": "no answer has a confidence",
    }
    assert "every answer with a confidence is right" in str(skill_scores(answers([0.5], [1]))["brier"]["reason"])
    one_group = skill_scores(answers([0.9, 0.2], [1, 0], [7, 7]))["brier"]
    assert one_group["interval"] is None
    assert "fewer than two groups" in str(one_group["reason"])


def test_rows_that_stand_twice_in_a_group_say_nothing_new() -> None:
    view = make_view(3, 120)
    twice = view.take(np.repeat(np.arange(120), 2))
    once, doubled = skill_scores(view), skill_scores(twice)
    for name in ("brier", "log"):
        assert doubled[name]["interval"] == pytest.approx(once[name]["interval"])  # type: ignore[index]
    apart = skill_scores(replace(twice, group_N=np.arange(240)))["brier"]["interval"]
    assert apart is not None
    whole = doubled["brier"]["interval"]
    assert whole is not None
    assert apart[1] - apart[0] < 0.8 * (whole[1] - whole[0])


@pytest.mark.parametrize("size", [1, 4])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(size: int) -> None:
    """Confidences .1 to .9, each right as often as stated; groups of ``size`` share their outcome and confidence."""
    generator, held = np.random.default_rng(size), {"brier": 0, "log": 0}
    levels = np.linspace(0.1, 0.9, 9)
    truth = {
        "brier": 1 - (levels * (1 - levels)).mean() / 0.25,
        "log": 1 - (levels * np.log(levels) + (1 - levels) * np.log(1 - levels)).mean() / math.log(0.5),
    }
    for _ in range(400):
        confidence_G = generator.choice(levels, 200)
        right_G = generator.random(200) < confidence_G
        rows = np.repeat(np.arange(200), size)
        found = skill_scores(answers(confidence_G[rows], right_G[rows], rows))
        for name, true in truth.items():
            interval = found[name]["interval"]  # type: ignore[index]
            held[name] += interval[0] <= true <= interval[1]
    assert min(held.values()) >= 0.92 * 400
    assert max(held.values()) <= 0.98 * 400
