"""Recipes by name or file, as the command line finds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from candor.recipe import recipe as recipes
from candor.recipe.recipe import Recipe


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name: a YAML file, or the name of a recipe that comes with candor, such as ``demo``.
        overrides: ``key=value`` with dots between keys, value as YAML: ``["train.steps=20", "seeds=[0, 1]"]``.

    Raises:
        RecipeError: there is no such recipe, or it holds something that a recipe does not; names the key.

    >>> load_recipe("demo", ["train.steps=20"]).train.steps
    20
    """
    return recipes.load_recipe(recipes.find_recipe(str(name)), overrides)
