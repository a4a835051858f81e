"""Parts of a recipe whose values a named preset fills in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from candor.config import Config


class WithPreset(Config):
    """A part with a field ``preset``: what is not given is taken from there, and a resolved recipe spells it all out.

    Attributes:
        presets: from a preset's name to its values.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        chosen = values.get("preset", cls.model_fields["preset"].default)
        return {**cls.presets.get(chosen, {}), **values}
