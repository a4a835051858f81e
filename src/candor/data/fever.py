"""FEVER (Thorne et al., 2018, arXiv:1803.05355): written claims with annotated sentences of Wikipedia pages."""

from __future__ import annotations

from pathlib import Path

from candor.data.config import FeverSource
from candor.data.loaded import LoadedSource
from candor.data.rows import BadRows
from candor.errors import DataError


def load(name: str, config: FeverSource, data_dir: Path | None, bad_rows: BadRows, seed: int) -> LoadedSource:
    """Refuse: there is no wiki index to resolve FEVER's sentences with yet."""
    raise DataError("FEVER sentences cannot be looked up yet")
