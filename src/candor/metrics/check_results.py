"""Holding results to their documented shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from candor.errors import PredictionError
from candor.metrics import schema, seeds_schema

_KINDS: Final[dict[str, Any]] = {
    "comparison": schema.Comparison,
    "run": schema.RunResults,
    "arms": schema.ArmsResults,
    "seeds": seeds_schema.SeedResults,
}


def check_results(results: object) -> None:
    """Refuse results that do not have the documented shape; keys that are not documented are let through.

    Raises:
        PredictionError: names the first key that is missing or of the wrong type.
    """
    # Here, because reading figures should not cost the import.
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(results, Mapping):
        raise PredictionError(f"not results: a JSON object is needed, this is {type(results).__name__}")
    kind = results.get("kind")
    if results.get("schema") != schema.SCHEMA or kind not in _KINDS:
        raise PredictionError(
            f"not results of schema {schema.SCHEMA}: schema is {results.get('schema')!r}, kind is {kind!r} "
            f"(known kinds: {', '.join(_KINDS)}); write them again with this version of candor"
        )
    try:
        TypeAdapter(_KINDS[str(kind)]).validate_python(dict(results))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PredictionError(f"results: {place}: {first['msg']}") from error
