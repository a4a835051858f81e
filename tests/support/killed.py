"""What a process runs that is to be killed: importable by its child, unlike a test module."""

from __future__ import annotations

from pathlib import Path

from toy import EXAMPLES, toy_engine

from candor.recipe.recipe import Recipe
from candor.training.loop import train


def train_toy(recipe: Recipe, out: Path) -> None:
    """Train a fresh adapter on the toy model that a recipe names."""
    engine = toy_engine(Path(recipe.model.name), trained=False, path=recipe.engine.path)
    train(recipe, engine, EXAMPLES, out, seed=1)
