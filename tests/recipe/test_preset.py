"""A preset fills in what is not given, and nothing else."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
from pydantic import ValidationError

from candor.recipe.preset import WithPreset


class Drink(WithPreset):
    presets: ClassVar = {"tea": {"minutes": 3, "milk": False}, "coffee": {"minutes": 5, "milk": True}}

    preset: Literal["tea", "coffee"] = "tea"
    minutes: int
    milk: bool
    cups: int = 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("tea", 3, False, 1)),
        ({"preset": "coffee"}, ("coffee", 5, True, 1)),
        ({"preset": "coffee", "milk": False, "cups": 2}, ("coffee", 5, False, 2)),
    ],
)
def test_what_is_given_wins(values: dict[str, Any], expected: tuple[object, ...]) -> None:
    drink = Drink.model_validate(values)
    assert (drink.preset, drink.minutes, drink.milk, drink.cups) == expected


def test_spelled_out_it_no_longer_depends_on_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Drink.model_validate({"preset": "coffee"}).model_dump()
    monkeypatch.setattr(Drink, "presets", {})
    assert Drink.model_validate(written).minutes == 5


@pytest.mark.parametrize("values", [5, None, ["tea"], {"preset": "water"}, {"sugar": 1}])
def test_what_is_no_part_is_refused_as_elsewhere(values: Any) -> None:
    with pytest.raises(ValidationError):
        Drink.model_validate(values)


def test_values_given_are_left_alone() -> None:
    values = {"preset": "coffee"}
    Drink.model_validate(values)
    assert values == {"preset": "coffee"}
