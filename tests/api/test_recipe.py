"""Recipes by name or file, from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import candor
from candor.errors import RecipeError


def test_a_recipe_by_its_name_and_by_its_file(tmp_path: Path) -> None:
    demo = candor.load_recipe("demo", ["train.steps=20", "seeds=[0, 1]"])
    assert (demo.name, demo.train.steps, demo.seeds) == ("demo", 20, [0, 1])
    from candor.recipe.recipe import to_yaml

    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(demo), encoding="utf-8")
    assert candor.load_recipe(path) == candor.load_recipe(str(path)) == demo


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(RecipeError, match="no such recipe file"):
        candor.load_recipe("nothing")
    with pytest.raises(RecipeError, match=r"train\.step"):
        candor.load_recipe("demo", ["train.step=20"])
