"""A preset fills in what is not given, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from candor.recipe.preset import DEFAULT_PRESET, fill_from_preset

PRESETS = {DEFAULT_PRESET: {"minutes": 3, "milk": False}, "coffee": {"minutes": 5, "milk": True}}


@pytest.mark.parametrize(
    ("values", "filled"),
    [
        ({}, {"minutes": 3, "milk": False}),
        ({"preset": "coffee"}, {"preset": "coffee", "minutes": 5, "milk": True}),
        (
            {"preset": "coffee", "milk": False, "cups": 2},
            {"preset": "coffee", "minutes": 5, "milk": False, "cups": 2},
        ),
        # What the preset's name is worth is the recipe's to judge.
        ({"preset": "water", "cups": 2}, {"preset": "water", "cups": 2}),
    ],
)
def test_what_is_given_wins(values: dict[str, Any], filled: dict[str, Any]) -> None:
    before = dict(values)
    assert fill_from_preset(values, PRESETS) == filled
    assert values == before


def test_spelled_out_it_no_longer_depends_on_the_preset() -> None:
    written = fill_from_preset({"preset": "coffee"}, PRESETS)
    assert fill_from_preset(written, {"coffee": {"minutes": 9}}) == written


@pytest.mark.parametrize("values", [5, None, ["coffee"], "coffee"])
def test_what_is_no_part_is_left_for_the_recipe_to_refuse(values: Any) -> None:
    assert fill_from_preset(values, PRESETS) is values
