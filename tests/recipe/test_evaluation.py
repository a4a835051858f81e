"""The evaluation's part of a recipe."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from candor.errors import RecipeError
from candor.recipe.evaluation import EvaluationConfig
from candor.recipe.recipe import recipe_from


def test_resamples_that_could_show_nothing_and_shares_of_no_label_are_refused() -> None:
    assert EvaluationConfig().every_label is False
    with pytest.raises(ValidationError, match="resamples"):
        EvaluationConfig(resamples=10)
    with pytest.raises(ValidationError, match="class_shares"):
        EvaluationConfig(class_shares={"PASS": 1.0, "MAYBE": 0.0})


def test_every_label_needs_a_verdict_right_behind_the_prompt() -> None:
    values = {
        "name": "r",
        "model": {"name": "sandbox"},
        "prompt": {"template": "verdict-reasoned"},
        "objective": {"preset": "paper"},
        "data": {"sources": {"wiki": {"kind": "sandbox"}}},
        "evaluation": {"every_label": True},
    }
    with pytest.raises(RecipeError, match=r"evaluation\.every_label: prompt\.template verdict-reasoned asks"):
        recipe_from(values)
    assert recipe_from(values | {"prompt": {"template": "verdict"}}).evaluation.every_label
