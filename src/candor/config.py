"""The base of every pydantic model that people write by hand, and what is wrong with their values, in words."""

from __future__ import annotations

import difflib
import re
import types
import typing
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What a name is made of that becomes part of a file's or a folder's: it leads nowhere else."""


class Config(BaseModel):
    """A part of a recipe: unknown keys and implicit conversions are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Put pydantic's findings into words: each with its key, what is wrong and what would be right."""
    findings = []
    for item in error.errors():
        parts, place = _walk(item["loc"], model)
        key = ".".join(parts) or "recipe"
        if item["type"] == "extra_forbidden":
            findings.append(f"unknown key {key}{_nearest_key(parts[-1], place)}")
        elif item["type"] == "missing":
            findings.append(f"{key} is missing")
        elif item["type"] == "value_error":
            findings.append(f"{key}: {item['ctx']['error']}")
        else:
            message = item["msg"][0].lower() + item["msg"][1:]
            findings.append(f"{key}: {message}, not {item['input']!r}")
    return "; ".join(findings)


def _walk(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[list[str], Any]:
    """Keys as a person wrote them on the way to an error, and the type that holds the last one.

    Where the members of a union are told apart, pydantic puts the name of the one it took into the place of the error;
    nobody wrote that.
    """
    parts: list[str] = []
    holder: Any = None
    place: Any = model
    for part in map(str, loc):
        if (member := _member(place, part)) is not None:
            place = member
            continue
        holder, place = place, _inside(place, part)
        parts.append(part)
    return parts, holder


def _nearest_key(key: str, holder: Any) -> str:
    models = [member for member in map(_bare, typing.get_args(holder) or (holder,)) if _is_model(member)]
    if len(models) != 1:  # none, or several that nothing tells apart
        return ""
    (holder,) = models
    near = difflib.get_close_matches(key, holder.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(holder.model_fields)}"


def _bare(kind: Any) -> Any:
    return _bare(typing.get_args(kind)[0]) if typing.get_origin(kind) is typing.Annotated else kind


def _member(kind: Any, tag: str) -> Any:
    """The member of a union of models that goes by a tag; ``None`` where there is no such union or member."""
    kind = _bare(kind)
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return None
    for member in map(_bare, typing.get_args(kind)):
        if not _is_model(member):
            found = _member(member, tag)
        elif tag == member.__name__ or any(tag in typing.get_args(f.annotation) for f in member.model_fields.values()):
            found = member
        else:
            continue
        if found is not None:
            return found
    return None


def _inside(kind: Any, part: str) -> Any:
    """Type of what lies under a key in a value of some type; ``None`` where that cannot be told."""
    kind = _bare(kind)
    if _is_model(kind):
        return kind.model_fields[part].annotation if part in kind.model_fields else None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict:
        return arguments[1]
    if origin in (typing.Union, types.UnionType):
        inside = [found for member in arguments if (found := _inside(member, part)) is not None]
        return inside[0] if inside else None
    return None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
