"""The warm start's part of a recipe: trained or ready, on examples of its own, and on nothing that is to be unseen."""

from __future__ import annotations

import pytest

from candor.errors import RecipeError
from candor.recipe.recipe import Recipe, dump, recipe_from
from candor.recipe.warm_start import ReadyWarmStart, TrainedWarmStart


def recipe(*overrides: str, **parts: object) -> Recipe:
    values = {
        "name": "r",
        "model": {"name": "sandbox"},
        "data": {
            "sources": {"wiki": {"kind": "sandbox"}, "climate": {"kind": "sandbox"}},
            "train": {"wiki": 8},
            "warm_start": {"wiki": 5},
        },
        "warm_start": {},
    }
    return recipe_from(values | parts, overrides)


def test_it_is_shown_the_form_and_no_confidence_in_particular_unless_told() -> None:
    made = recipe()
    assert isinstance(made.warm_start, TrainedWarmStart)
    assert made.warm_start.objective.kind == "supervised"
    assert made.warm_start.objective.taught_confidence == "drawn"
    constant = recipe("warm_start.objective={preset: sft, constant_confidence: 0.6}").warm_start
    assert isinstance(constant, TrainedWarmStart)
    assert constant.objective.model_dump()["constant_confidence"] == 0.6
    assert recipe_from(dump(made)) == made


def test_an_adapter_that_is_there_needs_no_examples() -> None:
    ready = recipe("data.warm_start={wiki: 0}", warm_start={"adapter": "some/folder"})
    assert ready.warm_start == ReadyWarmStart(adapter="some/folder")
    assert recipe_from(dump(ready)) == ready


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("warm_start.objective.preset=candor", r"warm_start\.objective: a warm start is shown its answers"),
        ("warm_start.objective={preset: sft, taught_confidence: cross_fitted}", "constant or drawn"),
        ("warm_start.train.validate_every=2", r"warm_start: train\.validate_every: no effect on a warm start"),
        ("warm_start.train.sources=[wiki]", r"train\.sources: no effect on a warm start"),
        ("warm_start.train.stps=3", r"unknown key warm_start\.train\.stps; did you mean steps"),
        ("data.warm_start={wiki: 0}", "nothing to train it on; give counts under data.warm_start"),
        ("data.warm_start={climate: 3}", "climate: not trained on, and a domain that the warm start has seen"),
        ("warm_start={adapter: there, train: {}}", r"unknown key warm_start\.train"),
        ("engine.kind=tinker", "warm_start: a service begins with a fresh adapter"),
    ],
)
def test_what_cannot_be_is_refused(override: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        recipe(override)


def test_examples_for_it_are_refused_where_it_is_not_trained() -> None:
    with pytest.raises(RecipeError, match="no effect without a warm_start that is trained"):
        recipe(warm_start={"adapter": "there"})
    with pytest.raises(RecipeError, match="no effect without a warm_start that is trained"):
        recipe(warm_start=None)
