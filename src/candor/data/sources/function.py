"""Claims that a function of one's own returns. A dataset in a form of its own needs ten lines and no fork."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from candor.data.loaded import LoadedSource, Loading
from candor.data.rows import BadRows
from candor.data.sources.table import row_parser
from candor.errors import DataError, RecipeError
from candor.extensions import load_extension
from candor.recipe.data import FunctionSource


def load(name: str, config: FunctionSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load what the function returns; it is given ``options``, and ``data_dir`` where it takes that.

    Raises:
        RecipeError: there is no such function, or it does not take these options.
        DataError: it fails, or returns anything but mappings.
    """
    found = load_extension("dataset", config.load)
    options: dict[str, Any] = dict(config.options)
    if "data_dir" in found.takes:
        options.setdefault("data_dir", data_dir)
    try:
        inspect.signature(found.function).bind(**options)
    except TypeError as error:
        raise RecipeError(f"data.sources.{name}.options: {config.load}: {error}") from error
    loading = Loading(name, bad_rows)
    parse = row_parser(name, config, group_prefix=config.groups or found.name)
    rows = loading.rows(config.load, _rows(found.function, options, config.load), parse)
    settings = {"kind": config.kind, "load": config.load, "file": found.file, "sha256": found.sha256}
    return loading.done(list(rows), settings)


def _rows(function: Any, options: Mapping[str, Any], spec: str) -> Iterable[Any]:
    """What it returns, row by row, with its own errors put into words."""
    try:
        yield from function(**options)
    except Exception as error:  # whatever somebody else's function raises
        raise DataError(f"failed: {error!r}; try it with `candor check {spec}`", file=spec) from error
