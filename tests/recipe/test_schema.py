from __future__ import annotations

import json
from typing import Any

import pytest
from places import ROOT

from candor.config import Config
from candor.recipe.recipe import find_recipe, known_recipes
from candor.recipe.schema import recipe_schema, reference_page, schema_text
from candor.recipe.yaml_text import load_yaml

jsonschema = pytest.importorskip("jsonschema_rs")


def test_the_committed_schema_is_up_to_date() -> None:
    assert (ROOT / "recipes" / "recipe.schema.json").read_text() == schema_text(), (
        "run: candor recipes schema > recipes/recipe.schema.json"
    )


def test_the_committed_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "recipe.md").read_text() == reference_page(), (
        "run: candor recipes reference > docs/recipe.md"
    )


@pytest.mark.parametrize("name", known_recipes())
def test_recipes_as_they_are_written_keep_to_the_schema(name: str) -> None:
    jsonschema.validate(recipe_schema(), load_yaml(find_recipe(name).read_text()))


@pytest.mark.parametrize(
    "change",
    [
        {"train": {"stepps": 3}},
        {"train": {"steps": -1}},
        {"objective": {"kind": "sampeld"}},
        {"data": {"sources": {"x": {"kind": "no such kind"}}}},
    ],
)
def test_mistakes_do_not_keep_to_the_schema(change: dict[str, Any]) -> None:
    written = load_yaml(find_recipe("demo").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(recipe_schema(), written | change)


def test_every_key_is_described() -> None:
    schema = recipe_schema()
    missing = [
        f"{name}.{key}"
        for name, kind in {"recipe": schema, **schema["$defs"]}.items()
        for key, described in kind.get("properties", {}).items()
        if key != "kind" and not described.get("description")
    ]
    assert not missing


def test_every_kind_of_the_package_is_in_the_page() -> None:
    page = reference_page()
    for kind in Config.__subclasses__():
        if kind.__module__ == "candor.recipe.data" and "kind" in kind.model_fields:
            (value,) = kind.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]
            assert f"of kind {value}" in page
    assert "| `steps` | integer ≥ 0 | `160` |" in page


def test_the_schema_is_json() -> None:
    assert json.loads(schema_text())["title"] == "candor recipe"
