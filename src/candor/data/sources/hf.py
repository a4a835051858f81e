"""Datasets of the Hugging Face hub, and folders that ``datasets`` saved, through that package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from candor.data.loaded import LoadedSource, Loading
from candor.data.rows import BadRows
from candor.data.sources.table import row_parser
from candor.errors import DataError
from candor.recipe.data import HfSource


def load(name: str, config: HfSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load the rows of all parts, or of those that are named.

    Raises:
        DataError: ``datasets`` is not installed, there is no such dataset or part, or a row cannot be used.
    """
    parts = _parts(config, data_dir)
    unknown = [part for part in config.parts or () if part not in parts]
    if unknown:
        raise DataError(f"parts: no {unknown[0]!r} in it; there are: {', '.join(parts)}", file=config.path)
    chosen = {part: parts[part] for part in config.parts or parts}
    loading = Loading(name, bad_rows)
    parse = row_parser(name, config, group_prefix=config.groups or config.path)
    examples = [
        example
        for part, rows in chosen.items()
        for example in loading.rows(f"{config.path} ({part})", _named(rows, config.columns.label), parse)
    ]
    fingerprints = {part: getattr(rows, "_fingerprint", None) for part, rows in chosen.items()}
    settings = {"kind": config.kind, "path": config.path, "revision": config.revision, "fingerprints": fingerprints}
    return loading.done(examples, settings)


def _parts(config: HfSource, data_dir: Path) -> dict[str, Any]:
    try:
        import datasets
    except ImportError as error:
        raise DataError("kind: hf needs the package datasets: pip install datasets", file=config.path) from error
    folders = [folder for folder in (Path(config.path), data_dir / config.path) if folder.is_dir()]
    try:
        saved = folders and any((folders[0] / mark).is_file() for mark in ("dataset_dict.json", "state.json"))
        if saved:
            found = datasets.load_from_disk(str(folders[0]))
        else:
            place = str(folders[0]) if folders else config.path
            found = datasets.load_dataset(place, config.name, revision=config.revision)
    except Exception as error:  # of many kinds: offline, no such dataset, gated, a script that is not run any more
        raise DataError(
            f"datasets cannot load it ({' '.join(str(error).split())[:200]}); without a network fetch it elsewhere, "
            "save_to_disk it, and give the folder as path",
            file=config.path,
        ) from error
    return dict(found) if isinstance(found, dict) else {"all": found}


def _named(rows: Any, column: str) -> Iterable[dict[str, Any]]:
    """Rows with the names of labels where the dataset keeps numbers for them."""
    feature = (getattr(rows, "features", None) or {}).get(column)
    names = getattr(feature, "names", None)
    if not names:
        return (row for row in rows)

    def named() -> Iterator[dict[str, Any]]:
        for row in rows:
            value = row[column]
            known = isinstance(value, int) and 0 <= value < len(names)
            yield {**row, column: names[value] if known else None}

    return named()
