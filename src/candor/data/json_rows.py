"""Rows in JSON: one value a line, or one document, in the shapes that programs write tables in."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from candor.data.lines import BLANK, decoded, lines_of, not_utf8
from candor.data.rows import RowError, kind_of
from candor.files import RepeatedKeyError, object_of

_BLANK_BYTES: Final = BLANK.encode()
_ROWS_KEYS: Final = ("results", "data", "examples", "rows", "claims", "records")
"""Keys of a document under which its list of rows may stand."""


def json_lines(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Yield line number and JSON value (or a :class:`RowError`) of each line that is not blank.

    A file that begins with a list is read as a document; it may not have lines that are too long for a row.
    """
    lines = lines_of(stream)
    first = True
    for number, data in lines:
        if isinstance(data, RowError):
            yield number, data
        elif not data.strip(_BLANK_BYTES):
            continue
        elif first and data.lstrip().startswith(b"["):
            text = [data]
            for place, line in lines:
                if isinstance(line, RowError):
                    yield place, RowError(f"{line}; give the file, which is one list, a name that ends in .json")
                    return
                text.append(line)
            yield from _document(b"".join(text))
            return
        else:
            value = _value(data)
            if first and isinstance(value, RowError) and data.strip() in (b"{", b"[{"):
                value = RowError(f"{value}; one JSON object a line is expected, and a document in a file named .json")
            yield number, value
        first = False


def json_document(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Yield position (from 1) and row of each item of a JSON document.

    A document is a list of rows; an object with such a list under ``results``, ``data`` or the like; an object of
    columns, as lists or with an index, or ``columns`` and ``data``, as pandas writes them. One JSON value a line is
    read as lines.
    """
    yield from _document(stream.read())


def _document(data: bytes) -> Iterator[tuple[int, Any]]:
    try:
        value = _loads(decoded(data))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and not data.lstrip(_BLANK_BYTES).startswith(b"["):
            yield from json_lines(io.BytesIO(data))
        else:
            yield 1, RowError(f"not JSON ({error})")
        return
    except RowError as error:
        yield 1, error
        return
    rows = value if isinstance(value, list) else _rows(value) if isinstance(value, dict) else None
    if rows is None:
        yield 1, RowError(f"a JSON list of rows was expected, not {kind_of(value)}")
    else:
        yield from enumerate(rows, start=1)


def _rows(document: dict[str, Any]) -> list[Any] | None:
    """The rows of a document that is an object; ``None`` where it is none of the known shapes."""
    columns, data = document.get("columns"), document.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [_named(columns, row) for row in data]
    values = list(document.values())
    are_columns = len(values) > 1 and all(isinstance(v, list) and len(v) == len(values[0]) for v in values)
    lists = [document[key] for key in _ROWS_KEYS if isinstance(document.get(key), list)]
    if len(lists) == 1 and "claim" not in document and not (are_columns and all(isinstance(t, str) for t in lists[0])):
        return list(lists[0])
    if are_columns:
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    if values and all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        if all(key.isdecimal() for key in document):
            return values
        if all(key.isdecimal() for key in values[0]):
            return [{name: column[at] for name, column in document.items()} for at in values[0]]
    return None


def _named(columns: list[Any], row: list[Any]) -> Any:
    if len(row) != len(columns):
        return RowError(f"{len(row)} cells, but there are {len(columns)} columns")
    names = list(map(str, columns))
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        return RowError(f"'columns' repeats {', '.join(repeated)}")
    return dict(zip(names, row, strict=True))


def _value(data: bytes) -> Any:
    try:
        return _loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RowError(not_utf8(f" (byte {error.start})"))
    except json.JSONDecodeError as error:
        return RowError(f"not JSON ({error})")
    except RowError as error:
        return error


def _loads(text: str) -> Any:
    """The JSON value of a text.

    Raises:
        JSONDecodeError: it is none.
        RowError: it is nested too deeply, holds a number of too many digits or an object that repeats a key.
    """
    try:
        return json.loads(text.rstrip(BLANK), object_pairs_hook=object_of)
    except RecursionError:
        raise RowError("JSON nested too deeply") from None
    except RepeatedKeyError as error:
        raise RowError(str(error)) from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise RowError(f"not JSON ({error})") from None
