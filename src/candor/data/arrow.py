"""Rows of Parquet and Arrow files, and of folders that the library ``datasets`` saves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from candor.data.rows import RowError
from candor.errors import DataError, install_line
from candor.files import read_json

_BATCH: Final = 1000
_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


def parquet_rows(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Yield position (from 1) and row of each row of a Parquet file."""
    parquet = _pyarrow("parquet")
    place = 0
    try:
        file = parquet.ParquetFile(stream)
        for place, row in _named(file.iter_batches(_BATCH), _class_names(file.schema_arrow)):
            yield place, row
    except _arrow_error() as error:
        yield place + 1, RowError(f"not Parquet, or damaged ({_first_line(error)})")


def arrow_rows(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Yield position (from 1) and row of each row of an Arrow file, streamed or with a footer."""
    ipc = _pyarrow("ipc")
    mark = stream.read(6)
    stream.seek(0)
    place = 0
    try:
        if mark == b"ARROW1":
            file = ipc.open_file(stream)
            batches = (file.get_batch(at) for at in range(file.num_record_batches))
        else:
            file = ipc.open_stream(stream)
            batches = iter(file)
        for place, row in _named(batches, _class_names(file.schema)):
            yield place, row
    except _arrow_error() as error:
        yield place + 1, RowError(f"not an Arrow file, or damaged ({_first_line(error)})")


def is_dataset_folder(path: Path) -> bool:
    """Whether a folder is one that ``datasets`` saved, one split or a dictionary of splits, or holds Parquet files."""
    return path.is_dir() and ((path / _SPLITS).is_file() or (path / _STATE).is_file() or any(path.glob("*.parquet")))


def dataset_files(folder: Path) -> list[Path]:
    """Files of a saved dataset in the order of its rows; of a dictionary of splits those of all splits.

    Raises:
        DataError: a file that the folder names is missing, or it names none.
    """
    if (folder / _SPLITS).is_file():
        splits = read_json(folder / _SPLITS)
        names = splits.get("splits") if isinstance(splits, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError("names no splits", file=folder / _SPLITS)
        return [file for name in names for file in dataset_files(_inside(folder, name))]
    if (folder / _STATE).is_file():
        state = read_json(folder / _STATE)
        files = state.get("_data_files") if isinstance(state, dict) else None
        if not isinstance(files, list) or not files:
            raise DataError("names no data files", file=folder / _STATE)
        return [_data_file(folder, item) for item in files]
    found = sorted(folder.glob("*.parquet"))
    if not found:
        raise DataError(f"no saved dataset: neither {_STATE} nor Parquet files are in it", file=folder)
    return found


def _data_file(folder: Path, item: Any) -> Path:
    name = item.get("filename") if isinstance(item, Mapping) else None
    if not isinstance(name, str):
        raise DataError("names a data file without its name", file=folder / _STATE)
    return _inside(folder, name)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"names {name!r}, which lies outside of the folder", file=folder)
    if not path.exists():
        raise DataError(f"names {name!r}, which is missing", file=folder)
    return path


def _named(batches: Any, names: Mapping[str, list[str]]) -> Iterator[tuple[int, Any]]:
    """Rows of record batches; classes that the file knows by number have their names."""
    place = 0
    for batch in batches:
        columns = batch.schema.names
        if repeated := sorted({name for name in columns if columns.count(name) > 1}):
            yield 1, RowError(f"the table repeats the column {', '.join(repeated)}")
            return
        for row in batch.to_pylist():
            place += 1
            for column, classes in names.items():
                code = row[column]
                if isinstance(code, int) and 0 <= code < len(classes):
                    row[column] = classes[code]
            yield place, row


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Names of the classes of each column that ``datasets`` wrote as class numbers."""
    written = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(written)["info"]["features"] if written else {}
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and column in schema.names
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # another program's note; numbers stay numbers, and a label that is one is an error


def _pyarrow(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"pyarrow.{module}")
    except ModuleNotFoundError as error:
        raise DataError(f"Parquet and Arrow files need pyarrow; install it with: {install_line('arrow')}") from error


def _arrow_error() -> Any:
    import pyarrow

    return pyarrow.ArrowException, OSError, EOFError


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
