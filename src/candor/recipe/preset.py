"""Values that a named preset fills in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DEFAULT_PRESET: Final = "candor"


def fill_from_preset(values: Any, presets: Mapping[str, Mapping[str, Any]]) -> Any:
    """Put the values of ``values["preset"]`` under those that are given; what is no mapping stays as it is."""
    if not isinstance(values, Mapping):
        return values
    return {**presets.get(values.get("preset", DEFAULT_PRESET), {}), **values}
