"""Rows of data files: read one by one, and when one cannot be used, say where and why."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from candor.errors import DataError
from candor.recipe.data import OnBadRow
from candor.types import Label

MAX_LINE_BYTES = 16 * 2**20
"""A longer line is no row of claims: it would be a binary or a one-line dump, and is refused before it fills memory."""


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


def json_lines(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Yield line number and JSON value (or a :class:`RowError`) of each line that is not blank."""
    for line, data in _lines(stream):
        if isinstance(data, RowError):
            yield line, data
        elif data.strip():
            yield line, _decode_json(data)


def json_list(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Yield position (from 1) and value of each item of a JSON list, or of the list ``results`` of an object."""
    values = _decode_json(stream.read())
    if isinstance(values, dict) and isinstance(values.get("results"), list):
        values = values["results"]
    if isinstance(values, RowError):
        yield 1, values
    elif not isinstance(values, list):
        yield 1, RowError(f"a JSON list of rows was expected, not {kind_of(values)}")
    else:
        yield from enumerate(values, start=1)


def delimited(stream: BinaryIO, delimiter: str) -> Iterator[tuple[int, Any]]:
    """Yield line number and ``{column: cell}`` (or a :class:`RowError`) of each row after the header."""
    reader = csv.reader(_text_lines(stream), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, RowError(f"not a row of a delimited table ({error})")
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            repeated = {name for name in header if header.count(name) > 1}
            if repeated:
                yield reader.line_num, RowError(f"the header repeats {', '.join(sorted(repeated))}")
                return
        elif any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
            yield reader.line_num, RowError("not UTF-8")
        elif len(cells) != len(header):
            yield reader.line_num, RowError(f"{len(cells)} cells, but the header has {len(header)}")
        else:
            yield reader.line_num, dict(zip(header, cells, strict=True))


def _text_lines(stream: BinaryIO) -> Iterator[str]:
    for _, data in _lines(stream):
        # A line too long is cut short here; the reader then refuses it as a cell over its limit.
        raw = b"x" * (csv.field_size_limit() + 1) if isinstance(data, RowError) else data
        yield raw.decode("utf-8", errors="surrogateescape")


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | RowError]]:
    """Lines with their numbers from 1, without a byte-order mark; never more than ``MAX_LINE_BYTES`` in memory."""
    number = 0
    while data := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        if len(data) > MAX_LINE_BYTES:
            while data and not data.endswith(b"\n"):
                data = stream.readline(MAX_LINE_BYTES)
            yield number, RowError(f"line longer than {MAX_LINE_BYTES:,} bytes")
        else:
            yield number, data


def _decode_json(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return RowError(f"not UTF-8 (byte {error.start})")
    except RecursionError:
        return RowError("JSON nested too deeply")
    except ValueError as error:
        return RowError(f"not JSON ({error})")


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
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(f"{key!r} holds half of a surrogate pair, which is no text") from error
    return value


def identifier(row: Mapping[str, Any], key: str) -> str:
    """The id at ``key``: text, or a whole number written as text."""
    value: object = field(row, key)
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
