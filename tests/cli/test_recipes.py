from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from candor.cli.main import app
from candor.errors import RecipeError
from candor.recipe.recipe import find_recipe, known_recipes, load_recipe


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["recipes", *arguments])
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_all_recipes_are_listed_with_their_models() -> None:
    listed = run()
    for name in known_recipes():
        assert name in listed
    assert "smollm2-135m" in listed


def test_a_recipe_is_shown_as_it_is_written() -> None:
    assert run("show", "demo") == find_recipe("demo").read_text()


def test_a_resolved_recipe_is_the_same_recipe(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(run("show", "demo", "--resolved"))
    assert load_recipe(path) == load_recipe(find_recipe("demo"))
    assert "patience: 0" in path.read_text()


def test_an_unknown_recipe_names_those_there_are() -> None:
    error = CliRunner().invoke(app, ["recipes", "show", "dmo"]).exception
    assert isinstance(error, RecipeError)
    assert "demo" in str(error)


def test_schema_and_reference_are_printed() -> None:
    assert json.loads(run("schema"))["title"] == "candor recipe"
    assert run("reference").startswith("# Every key of a recipe")
