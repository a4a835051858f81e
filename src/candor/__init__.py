"""candor: teach a language model to say "I don't know", and prove that it worked."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from candor.verifier import Verdict, Verifier

try:
    __version__ = version("candor-llm")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["Verdict", "Verifier", "__version__"]


def __getattr__(name: str) -> Any:
    """Load what needs a model's libraries only once it is asked for: ``import candor`` stays quick."""
    if name in ("Verdict", "Verifier"):
        return getattr(importlib.import_module("candor.verifier"), name)
    raise AttributeError(f"module 'candor' has no attribute {name!r}")
