"""Where things lie in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

Side = Literal["base", "trained"]

RECIPE: Final = "recipe.yaml"
MANIFEST: Final = "manifest.json"
ENGINE: Final = "engine.json"
AUDIT: Final = "audit.json"
RESULTS: Final = "results.json"
ADAPTER: Final = "adapter"


def examples_path(folder: Path, split: str) -> Path:
    """Examples of all sources in a split."""
    return folder / "data" / f"{split}.jsonl"


def prediction_path(folder: Path, side: Side, split: str, source: str) -> Path:
    """Predictions: of test sets directly under the side's folder, of other splits one folder below."""
    place = folder / "predictions" / side
    return (place if split == "test" else place / split) / f"{source}.jsonl"
