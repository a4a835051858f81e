"""Layouts of files of rows: told by a file's name, and read row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from candor.data.arrow import arrow_rows, parquet_rows
from candor.data.delimited import delimited
from candor.data.json_rows import json_document, json_lines
from candor.errors import DataError

_SUFFIXES: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}

DELIMITED: Final = frozenset({"csv", "tsv"})
"""Layouts in which a quotation mark may be mistaken."""

_READERS: Final[Mapping[str, Callable[[BinaryIO], Iterator[tuple[int, Any]]]]] = {
    "jsonl": json_lines,
    "json": json_document,
    "csv": lambda stream: delimited(stream, ","),
    "tsv": lambda stream: delimited(stream, "\t"),
    "parquet": parquet_rows,
    "arrow": arrow_rows,
}


def layout_of(path: Path) -> str:
    """Layout of a file by its name; ``.gz`` does not matter.

    Raises:
        DataError: the name tells none.
    """
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    if suffix.lower() not in _SUFFIXES:
        layouts = ", ".join(_READERS)
        workbook = "; save a workbook as CSV" if suffix.lower() in (".xlsx", ".xls", ".ods") else ""
        raise DataError(
            f"format unknown from the file's name; set format: {layouts}, or name the file so{workbook}", file=path
        )
    return _SUFFIXES[suffix.lower()]


def read_rows(stream: BinaryIO, layout: str) -> Iterator[tuple[int, Any]]:
    """Yield place and row, or a :class:`~candor.data.rows.RowError`, of each row of an open file.

    Args:
        stream: the file.
        layout: one of those of :func:`layout_of`.

    Returns:
        The place is a line (``jsonl``, ``csv``, ``tsv``) or a position among the rows, both from 1. A row is what the
        file holds there, for a table a dictionary by columns.
    """
    return _READERS[layout](stream)
