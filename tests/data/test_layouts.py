"""Layouts by file name, and a reader for each."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.data.layouts import layout_of, read_rows
from candor.data.rows import BadRows
from candor.data.sources.table import row_parser
from candor.errors import DataError
from candor.recipe.data import TableForm


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


pieces = st.sampled_from(
    [b"claim,evidence,label\n", b"claim\tevidence\tlabel\n", b'"', b",", b"\t", b"\n", b"\r", b"{", b"[", b"\xff"]
)
contents = st.one_of(
    st.binary(max_size=60), st.lists(st.one_of(pieces, st.binary(max_size=4)), max_size=20).map(b"".join)
)


@pytest.mark.parametrize("layout", [*CONTENTS, "parquet", "arrow"])
@given(content=contents)
def test_whatever_a_file_holds_is_rows_or_bad_rows(layout: str, content: bytes) -> None:
    if layout in ("parquet", "arrow"):
        pytest.importorskip("pyarrow")
    bad, parse = BadRows("skip"), row_parser("d", TableForm(), group_prefix="f")
    for _, example in bad.parse("f", read_rows(io.BytesIO(content), layout), parse):
        assert example is not None
        assert example.claim.strip()
    assert all(row.reason for row in bad.skipped)
