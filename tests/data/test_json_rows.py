"""JSON, one value a line or as a document."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from candor.data import lines
from candor.data.json_rows import json_document, json_lines
from candor.data.rows import RowError

ROWS = [{"claim": "A", "evidence": ["x", "y"], "label": "PASS"}, {"claim": "B", "evidence": [], "label": "NA"}]


def lines_of(content: bytes) -> list[tuple[int, Any]]:
    """What a file of JSON lines gives, errors as their words."""
    found = json_lines(io.BytesIO(content))
    return [(line, str(value) if isinstance(value, RowError) else value) for line, value in found]


def document(value: Any) -> list[Any]:
    """The rows of a document, errors as their words."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    found = list(json_document(io.BytesIO(content)))
    assert [place for place, _ in found] == list(range(1, len(found) + 1))
    return [str(row) if isinstance(row, RowError) else row for _, row in found]


def test_json_lines_count_blank_lines_and_go_on_after_bad_ones() -> None:
    found = lines_of(b'{"a": 1}\n\n?\n\xff\n2')
    assert [line for line, _ in found] == [1, 3, 4, 5]
    assert (found[0][1], found[3][1]) == ({"a": 1}, 2)
    assert found[1][1].startswith("not JSON (")
    assert found[2][1].startswith("not UTF-8 (byte 0)")


def test_a_line_of_exactly_the_limit_is_read_and_a_longer_one_skipped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 6)
    assert lines_of(b'"abc"\n"abcd"\n' + b"x" * 20 + b"\n7\n") == [
        (1, "abc"),
        (2, "line longer than 6 bytes"),
        (3, "line longer than 6 bytes"),
        (4, 7),
    ]


@pytest.mark.parametrize("content", [b"[5, 6]", b'{"results": [5, 6], "more": 1}'])
def test_json_lists_stand_alone_or_under_results(content: bytes) -> None:
    assert list(json_document(io.BytesIO(content))) == [(1, 5), (2, 6)]


SHAPES = {
    "list": ROWS,
    "results": {"model": "m", "results": ROWS},
    "data": {"data": ROWS},
    "examples": {"version": 1, "examples": ROWS},
    "pandas split": {"columns": list(ROWS[0]), "index": [0, 1], "data": [list(row.values()) for row in ROWS]},
    "pandas columns": {key: {str(at): row[key] for at, row in enumerate(ROWS)} for key in ROWS[0]},
    "pandas index": {str(at): row for at, row in enumerate(ROWS)},
    "columns as lists": {key: [row[key] for row in ROWS] for key in ROWS[0]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_documents_in_the_shapes_that_programs_write(shape: str, indent: int | None, encoding: str) -> None:
    assert document(json.dumps(SHAPES[shape], indent=indent).encode(encoding)) == ROWS


def test_lines_in_a_document_and_a_document_in_lines() -> None:
    as_lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    assert document(as_lines) == ROWS
    for indent in (None, 1):
        assert [row for _, row in lines_of(b"\n" + json.dumps(ROWS, indent=indent).encode())] == ROWS


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ROWS[0], "a JSON list of rows was expected, not an object"),
        ({"claim": "A", "results": [1]}, "a JSON list of rows was expected, not an object"),
        ({"a": [1], "b": [1, 2]}, "a JSON list of rows was expected, not an object"),
        ({}, "a JSON list of rows was expected, not an object"),
        (3, "a JSON list of rows was expected, not a number"),
        (b"[1, 2", "not JSON ("),
        (b"[1] [2]", "not JSON (Extra data"),
        (b"\xff", "not UTF-8 (byte 0)"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (b'[{"claim": "A", "claim": "B"}]', "a JSON object repeats the key 'claim'"),
        (b"[" + b"9" * 5000 + b"]", "not JSON ("),
    ],
)
def test_what_is_no_document_of_rows(value: Any, words: str) -> None:
    (found,) = document(value)
    assert found.startswith(words)


def test_a_row_of_another_length_than_its_columns() -> None:
    assert document({"columns": ["a", "b"], "data": [[1, 2], [1]]}) == [
        {"a": 1, "b": 2},
        "1 cells, but there are 2 columns",
    ]


def test_an_object_over_several_lines_says_what_is_expected() -> None:
    found = lines_of(json.dumps(ROWS[0], indent=1).encode())
    assert found[0][1].endswith("one JSON object a line is expected, and a document in a file named .json")
    assert lines_of(b'{"a": 1, "a": 2}\n') == [(1, "a JSON object repeats the key 'a'")]


def test_a_list_with_a_line_that_is_too_long_loses_no_row_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 60)
    content = b'[\n{"claim": "A"},\n{"claim": "' + b"x" * 80 + b'"},\n{"claim": "C"}\n]'
    ((place, error),) = lines_of(content)
    assert place == 3
    assert "longer than 60 bytes; give the file, which is one list, a name that ends in .json" in error
    assert [row["claim"] for row in document(json.loads(content))][::2] == ["A", "C"]


def test_columns_that_are_repeated() -> None:
    (row,) = document({"columns": ["claim", "label", "label"], "data": [["A", "PASS", "FAIL"]]})
    assert row == "'columns' repeats label"


def test_a_column_called_claims_is_no_list_of_rows() -> None:
    columns = {"claims": ["A", "B"], "evidence": [["e"], ["f"]], "label": ["PASS", "NA"]}
    assert document(columns)[1] == {"claims": "B", "evidence": ["f"], "label": "NA"}
