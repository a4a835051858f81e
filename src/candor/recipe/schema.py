"""What may stand in a recipe, from the fields' own descriptions: a JSON schema for editors, and a page to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from candor.recipe.recipe import Recipe

SCHEMA_URI: Final = "https://json-schema.org/draft/2020-12/schema"

_PRESET_FILLED: Final = ("RewardConfig", "ObjectiveConfig")
"""Parts whose preset fills in what is not given: nothing in them has to be written."""


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe as people write it.

    Where pydantic tells the shapes of an objective apart by values that a preset fills in, an editor cannot, so
    there they are one: all their keys, none of which is required.
    """
    found = Recipe.model_json_schema()
    kinds: dict[str, Any] = found["$defs"]
    shapes = [choice["$ref"].rpartition("/")[2] for choice in found["properties"]["objective"]["oneOf"]]
    kinds["ObjectiveConfig"] = _merged([kinds.pop(name) for name in shapes])
    for holder in (found, kinds["TrainedWarmStart"]):
        described = holder["properties"]["objective"]
        holder["properties"]["objective"] = {
            "$ref": "#/$defs/ObjectiveConfig",
            "description": described["description"],
        }
    for name in _PRESET_FILLED:
        kinds[name].pop("required", None)
    for kind in [found, *kinds.values()]:
        kind.pop("title", None)
        for described in kind.get("properties", {}).values():
            described.pop("title", None)
    return {"$schema": SCHEMA_URI, "title": "candor recipe", **found, "$defs": dict(sorted(kinds.items()))}


def schema_text() -> str:
    """The schema as ``recipes/recipe.schema.json`` holds it."""
    return json.dumps(recipe_schema(), indent=1, ensure_ascii=False) + "\n"


def _merged(shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """One object with the keys of several; where they differ in a key's one value, with all of its values."""
    properties: dict[str, Any] = {}
    for shape in shapes:
        for name, described in shape["properties"].items():
            known = properties.setdefault(name, dict(described))
            if "const" in described and described["const"] != known.get("const"):
                values = known.pop("enum", [known.pop("const", described["const"])])
                known["enum"] = list(dict.fromkeys([*values, described["const"]]))
                words = dict.fromkeys([*known["description"].split("; or "), described["description"]])
                known["description"] = "; or ".join(words)
    return {"type": "object", "additionalProperties": False, "properties": properties}


def reference_page() -> str:
    """The page ``docs/recipe.md``: every key of a recipe with what it takes, its default and what it means."""
    schema = recipe_schema()
    kinds = schema["$defs"]
    lines = [
        "# Every key of a recipe",
        "",
        "Made from the fields' own descriptions by `candor recipes reference > docs/recipe.md`; a test compares. What",
        "recipes are for: [recipes/README.md](../recipes/README.md); claims of one's own: [data.md](data.md).",
        "",
        "**In an editor.** [recipes/recipe.schema.json](../recipes/recipe.schema.json) is the same as a JSON schema:",
        "completion, hover texts and errors while writing. With the YAML language server (VS Code's YAML extension,",
        "Neovim, Emacs, Helix) write `candor recipes schema > recipe.schema.json` once and put this in the first line",
        "of a recipe: `# yaml-language-server: $schema=recipe.schema.json`. PyCharm: Settings, JSON Schema Mappings.",
        "",
        "## recipe",
        "",
        *_table(schema, schema),
    ]
    for key, part in schema["properties"].items():
        for name in _refs(part):
            if kinds[name].get("properties"):
                lines += ["", f"## {key}", "", *_words(kinds[name]), *_table(kinds[name], schema)]
                lines += _below(key, kinds[name], schema, {name})
    return "\n".join(lines) + "\n"


def _below(place: str, kind: Mapping[str, Any], schema: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    """The tables of what lies below a part; every kind once."""
    for key, described in kind["properties"].items():
        for name in _refs(described):
            inner = schema["$defs"][name]
            if name in seen or not inner.get("properties") or name in ("ObjectiveConfig", "TrainConfig"):
                continue
            seen.add(name)
            constant = inner["properties"].get("kind", {}).get("const")
            title = f"{place}.{key}" + (f" of kind {constant}" if constant else "")
            yield from ("", f"### {title}", "", *_words(inner), *_table(inner, schema))
            yield from _below(f"{place}.{key}", inner, schema, seen)


def _words(kind: Mapping[str, Any]) -> list[str]:
    words = " ".join(kind.get("description", "").replace("``", "`").split())
    return [words, ""] if words else []


def _table(kind: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | takes | default | |"
    yield "| --- | --- | --- | --- |"
    required = kind.get("required", [])
    for key, described in kind["properties"].items():
        known = f"`{json.dumps(described['default'])}`" if "default" in described else "*its own*"
        shown = "*needed*" if key in required else known
        cells = (f"`{key}`", _type(described, schema), shown, described.get("description", ""))
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _type(described: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A field's type in words."""
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        kind = schema["$defs"][name]
        return ", ".join(f"`{value}`" for value in kind["enum"]) if "enum" in kind else "mapping"
    for key in ("anyOf", "oneOf"):
        if key in described:
            return " or ".join(dict.fromkeys(_type(choice, schema) for choice in described[key]))
    if "enum" in described:
        return ", ".join(f"`{value}`" for value in described["enum"])
    if "const" in described:
        return f"`{described['const']}`"
    words = {"array": "list", "object": "mapping", "boolean": "true, false", "null": "null"}
    kind = str(described.get("type", "anything"))
    return words.get(kind, kind) + _range(described)


def _range(described: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {described[key]:g}" for key, sign in signs.items() if key in described]
    return f" {', '.join(bounds)}" if bounds else ""


def _refs(described: Any) -> list[str]:
    """Names of the kinds that a field's type mentions, in order."""
    if isinstance(described, Mapping):
        here = [described["$ref"].rpartition("/")[2]] if "$ref" in described else []
        inside = [
            name for key, value in described.items() if key not in ("default", "discriminator") for name in _refs(value)
        ]
        return list(dict.fromkeys(here + inside))
    if isinstance(described, list):
        return list(dict.fromkeys(name for value in described for name in _refs(value)))
    return []
