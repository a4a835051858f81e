"""Where things lie in a run folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from filelock import FileLock, Timeout

from candor.errors import RunError

Side = Literal["base", "trained"]

RECIPE: Final = "recipe.yaml"
MANIFEST: Final = "manifest.json"
ENGINE: Final = "engine.json"
AUDIT: Final = "audit.json"
RESULTS: Final = "results.json"
ADAPTER: Final = "adapter"
LOCK: Final = ".lock"


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Keep others out of a run folder meanwhile; a process that dies lets go of it.

    Raises:
        RunError: another process is at work there.
    """
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise RunError(
            f"{folder}: another process is at work in this run folder; wait for it, stop it, or choose another --out"
        ) from None


def examples_path(folder: Path, split: str) -> Path:
    """Examples of all sources in a split."""
    return folder / "data" / f"{split}.jsonl"


def prediction_path(folder: Path, side: Side, split: str, source: str) -> Path:
    """Predictions: of test sets directly under the side's folder, of other splits one folder below."""
    place = folder / "predictions" / side
    return (place if split == "test" else place / split) / f"{source}.jsonl"
