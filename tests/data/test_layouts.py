"""Layouts by file name, and a reader for each."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from candor.data.layouts import layout_of, read_rows
from candor.errors import DataError


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        *(("a.jsonl", "jsonl"), ("a.ndjson", "jsonl"), ("a.json", "json"), ("a.csv", "csv"), ("a.TSV", "tsv")),
        *(("a.parquet", "parquet"), ("a.arrow", "arrow"), ("a.csv.gz", "csv"), ("a.b.JSON.GZ", "json")),
    ],
)
def test_layouts_by_name(name: str, layout: str) -> None:
    assert layout_of(Path(name)) == layout


@pytest.mark.parametrize("name", ["a.txt", "a", "a.gz", "csv"])
def test_names_that_tell_no_layout(name: str) -> None:
    with pytest.raises(DataError, match=r"set format: jsonl, json, csv, tsv, parquet, arrow, or name the file so$"):
        layout_of(Path(name))
    with pytest.raises(DataError, match="save a workbook as CSV"):
        layout_of(Path("claims.xlsx"))


CONTENTS = {
    "jsonl": b'{"a": "1"}\n{"a": "2"}\n',
    "json": b'[{"a": "1"}, {"a": "2"}]',
    "csv": b"a,b\n1,\n2,\n",
    "tsv": b"a\tb\n1\t\n2\t\n",
}


@pytest.mark.parametrize("layout", CONTENTS)
def test_each_layout_gives_its_rows(layout: str) -> None:
    rows = [row["a"] for _, row in read_rows(io.BytesIO(CONTENTS[layout]), layout)]
    assert rows == ["1", "2"]
