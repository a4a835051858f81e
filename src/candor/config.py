"""The base of every pydantic model that people write by hand, and what is wrong with their values, in words."""

from __future__ import annotations

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """A part of a recipe: unknown keys and implicit conversions are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Put pydantic's findings into words: each with its key, what is wrong and what would be right."""
    findings = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "recipe"
        if item["type"] == "extra_forbidden":
            findings.append(f"unknown key {key}{_nearest_key(item['loc'], model)}")
        elif item["type"] == "missing":
            findings.append(f"{key} is missing")
        elif item["type"] == "value_error":
            findings.append(f"{key}: {item['ctx']['error']}")
        else:
            message = item["msg"][0].lower() + item["msg"][1:]
            findings.append(f"{key}: {message}, not {item['input']!r}")
    return "; ".join(findings)


def _nearest_key(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    place: Any = model
    for part in loc[:-1]:
        place = _kind_inside(place, str(part))
    if not _is_model(place):
        return ""
    near = difflib.get_close_matches(str(loc[-1]), place.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(place.model_fields)}"


def _kind_inside(kind: Any, part: str) -> Any:
    """Type of what lies under a key in a value of some type; ``None`` where that cannot be told."""
    if _is_model(kind):
        return kind.model_fields[part].annotation if part in kind.model_fields else None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _kind_inside(arguments[0], part)
    if origin is dict:
        return arguments[1]
    if origin in (typing.Union, types.UnionType):
        models = [member for member in arguments if _is_model(member)]
        # Where members are told apart by a tag, pydantic puts the tag into the place of the error.
        tagged = [m for m in models if any(part in typing.get_args(f.annotation) for f in m.model_fields.values())]
        inside = [found for member in models if (found := _kind_inside(member, part)) is not None]
        return (tagged or inside or [None])[0]
    return None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
