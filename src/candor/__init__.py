"""candor: teach a language model to say "I don't know", and prove that it worked.

Importing this loads nothing of a model or of a table: each name below is loaded when it is asked for.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from candor.api.compare import compare
    from candor.api.endpoint import ask_endpoint
    from candor.api.predictions import Predictions, read_predictions
    from candor.api.recipe import load_recipe
    from candor.api.results import Results
    from candor.api.run import Run, open_run, run
    from candor.errors import CandorError
    from candor.recipe.recipe import Recipe
    from candor.serve.client import Client
    from candor.verifier import Verdict, Verifier

try:
    __version__ = version("candor-llm")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_PLACES: Final = {
    "CandorError": "candor.errors",
    "Client": "candor.serve.client",
    "Predictions": "candor.api.predictions",
    "Recipe": "candor.recipe.recipe",
    "Results": "candor.api.results",
    "Run": "candor.api.run",
    "Verdict": "candor.verifier",
    "Verifier": "candor.verifier",
    "ask_endpoint": "candor.api.endpoint",
    "compare": "candor.api.compare",
    "load_recipe": "candor.api.recipe",
    "open_run": "candor.api.run",
    "read_predictions": "candor.api.predictions",
    "run": "candor.api.run",
}
"""Where each name that candor hands out is defined."""

__all__ = [
    "CandorError",
    "Client",
    "Predictions",
    "Recipe",
    "Results",
    "Run",
    "Verdict",
    "Verifier",
    "__version__",
    "ask_endpoint",
    "compare",
    "load_recipe",
    "open_run",
    "read_predictions",
    "run",
]


def __getattr__(name: str) -> Any:
    """Load what needs a model's libraries only once it is asked for: ``import candor`` stays quick."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'candor' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    """Names that are handed out, loaded or not."""
    return list(__all__)
