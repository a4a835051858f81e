"""Rows of data files: read one by one, and when one cannot be used, say where and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from candor.errors import DataError
from candor.recipe.data import OnBadRow
from candor.types import Label


class RowError(ValueError):
    """What is wrong with a row; whoever reads the file adds the place."""


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that was left out: file (``archive!member`` inside a zip), line counted from 1, and why."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class BadRows:
    """Stops at the first bad row, or keeps a list of them, as the recipe asks."""

    def __init__(self, on_bad_row: OnBadRow) -> None:
        self.on_bad_row = on_bad_row
        self.skipped: list[SkippedRow] = []

    def reject(self, file: str, line: int, reason: str) -> None:
        """Record a bad row.

        Raises:
            DataError: bad rows are errors; names file, line, what is wrong and how to go on without the row.
        """
        if self.on_bad_row == "error":
            raise DataError(f"{reason} (on_bad_row: skip leaves such rows out)", file=file, line=line)
        self.skipped.append(SkippedRow(file, line, reason))

    def parse(
        self, file: str, rows: Iterator[tuple[int, Any]], parse: Callable[[Any], Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield line and ``parse(row)`` of each row, rejecting those that it or ``rows`` calls wrong."""
        for line, row in rows:
            try:
                if isinstance(row, RowError):
                    raise row
                yield line, parse(row)
            except RowError as error:
                self.reject(file, line, str(error))


def record(row: Any) -> dict[str, Any]:
    """The row itself, which must be a JSON object."""
    if not isinstance(row, dict):
        raise RowError(f"a JSON object was expected, not {kind_of(row)}")
    return row


def field(row: Mapping[str, Any], key: str) -> Any:
    """The value at ``key``, which must be there."""
    if key not in row:
        raise RowError(f"no {key!r}; the row has {', '.join(map(repr, row)) or 'nothing'}")
    return row[key]


def text(row: Mapping[str, Any], key: str) -> str:
    """The string at ``key``: present, not blank, encodable; surrounding white space removed."""
    return clean(field(row, key), key)


def clean(value: object, key: str) -> str:
    """``value`` as a string that is not blank and can be written as UTF-8; surrounding white space removed."""
    if not isinstance(value, str):
        raise RowError(f"{key!r} must be text, not {kind_of(value)}")
    value = value.strip()
    if not value:
        raise RowError(f"{key!r} is empty")
    if "\0" in value:
        raise RowError(f"{key!r} holds a NUL, which is no text")
    return writable(value, key)


def writable(value: str, key: str) -> str:
    """``value``, which can be written as UTF-8."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(f"{key!r} holds half of a surrogate pair, which is no text") from error
    return value


def identifier(row: Mapping[str, Any], key: str) -> str:
    """The id at ``key``: text, or a whole number written as text."""
    value: object = field(row, key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers with a gap is one of floats to some programs
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else clean(value, key)


def label(value: Any, names: Mapping[str, Label], key: str) -> Label:
    """The label that ``names`` (keys case folded) gives to a value of the file."""
    if isinstance(value, bool | int | float):
        value = str(value)
    name = clean(value, key)
    found = names.get(name.casefold())
    if found is None:
        raise RowError(f"{key!r} is {name[:80]!r}, no known label; known are {', '.join(map(repr, names))}")
    return found


def kind_of(value: Any) -> str:
    """JSON's word for the type of a value."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def column_of(row: Mapping[str, Any], column: str) -> str | None:
    """The row's key for a column: itself, or the one that differs in case or white space alone."""
    if column in row:
        return column
    wanted = " ".join(column.split()).casefold()
    alike = [key for key in row if isinstance(key, str) and " ".join(key.split()).casefold() == wanted]
    return alike[0] if len(alike) == 1 else None
