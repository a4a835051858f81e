"""What people write is taken literally, and what is wrong with it is said in their words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from candor.config import Config, explain


class Leaf(Config):
    size: int = 1
    colour: str = "red"

    @model_validator(mode="after")
    def _even(self) -> Leaf:
        if self.size == 13:
            raise ValueError("size: 13 brings bad luck")
        return self


class Round(Config):
    kind: Literal["round"]
    radius: float


class Square(Config):
    kind: Literal["square"]
    edge: float


class Tree(Config):
    leaf: Leaf = Leaf()
    named: dict[str, Leaf] = Field(default_factory=dict)
    shapes: dict[str, Annotated[Round | Square, Field(discriminator="kind")]] = Field(default_factory=dict)
    height: float = 1.0


def said(values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Tree.model_validate(values)
    return explain(caught.value, Tree)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"laef": {}}, "unknown key laef; did you mean leaf?"),
        ({"leaf": {"siez": 1}}, "unknown key leaf.siez; did you mean size?"),
        ({"leaf": {"zzz": 1}}, "unknown key leaf.zzz; known here: size, colour"),
        ({"named": {"a": {"color": 1}}}, "unknown key named.a.color; did you mean colour?"),
        ({"leaf": {"size": 13}}, "leaf: size: 13 brings bad luck"),
        ({"leaf": {"size": "1"}}, "leaf.size: input should be a valid integer, not '1'"),
        ({"height": None}, "height: input should be a valid number, not None"),
    ],
)
def test_findings_in_words(values: Any, text: str) -> None:
    assert said(values) == text


def test_of_several_kinds_the_keys_of_the_chosen_one_are_known() -> None:
    assert said({"shapes": {"a": {"kind": "square", "edge": 1.0, "qqqq": 1.0}}}) == (
        "unknown key shapes.a.qqqq; known here: kind, edge"
    )
    assert "did you mean radius?" in said({"shapes": {"a": {"kind": "round", "radius": 1.0, "radious": 1.0}}})
    assert said({"shapes": {"a": {"kind": "round"}}}) == "shapes.a.radius is missing"


def test_several_findings_stand_in_one_line() -> None:
    assert said({"leaf": {"size": 1.5}, "x": 1}).count("; ") >= 1
    assert "\n" not in said({"leaf": {"size": 1.5}, "x": 1})


def test_the_whole_is_called_a_recipe() -> None:
    assert said(5).startswith("recipe: ")


@pytest.mark.parametrize("height", [float("nan"), float("inf"), "1.0", True])
def test_nothing_is_converted_and_everything_is_finite(height: object) -> None:
    with pytest.raises(ValidationError):
        Tree.model_validate({"height": height})


def test_values_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Leaf().size = 2  # type: ignore[misc]
