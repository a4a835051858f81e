"""Parquet and Arrow files, and folders that the library datasets saves."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from candor.data.arrow import arrow_rows, dataset_files, is_dataset_folder, parquet_rows
from candor.data.inputs import read_splits
from candor.data.rows import RowError
from candor.errors import DataError
from candor.types import Label

pyarrow = pytest.importorskip("pyarrow")
ipc = pytest.importorskip("pyarrow.ipc")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = [
    {"id": at, "claim": f"Claim {at}", "evidence": [f"Sentence {at}", None][: at % 3], "label": at % 3, "group": "g"}
    for at in range(5)
]
FEATURES = {
    "label": {"names": ["SUPPORTS", "REFUTES", "NOT ENOUGH INFO"], "_type": "ClassLabel"},
    "claim": {"_type": "Value"},
}
NOTE = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}


def made(rows: list[dict[str, Any]] = ROWS, note: dict[bytes, bytes] | None = NOTE) -> Any:
    return pyarrow.Table.from_pylist(rows).replace_schema_metadata(note)


def written(kind: str, table: Any) -> bytes:
    stream = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, stream)
    else:
        new = ipc.new_file if kind == "file" else ipc.new_stream
        with new(stream, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return stream.getvalue()


def rows_of(kind: str, content: bytes) -> list[Any]:
    found = list((parquet_rows if kind == "parquet" else arrow_rows)(io.BytesIO(content)))
    assert [place for place, _ in found] == list(range(1, len(found) + 1))
    return [row for _, row in found]


KINDS = ["parquet", "file", "stream"]


@pytest.mark.parametrize("kind", KINDS)
def test_classes_by_number_have_their_names(kind: str) -> None:
    names = FEATURES["label"]["names"]
    assert rows_of(kind, written(kind, made())) == [row | {"label": names[row["label"]]} for row in ROWS]
    unlabelled = [ROWS[0] | {"label": -1}, ROWS[1] | {"label": None}]
    assert [row["label"] for row in rows_of(kind, written(kind, made(unlabelled)))] == [-1, None]


@pytest.mark.parametrize("note", [None, {b"huggingface": b"{"}, {b"huggingface": b'{"info": 3}'}, {b"pandas": b"{}"}])
def test_without_names_numbers_stay_numbers(note: dict[bytes, bytes] | None) -> None:
    assert rows_of("parquet", written("parquet", made(note=note))) == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_one_bad_row(kind: str) -> None:
    whole = written(kind, made())
    for content in (b"", b"x" * 100, whole[: len(whole) // 2]):
        found = rows_of(kind, content)
        assert isinstance(found[-1], RowError)
        assert "damaged" in str(found[-1])


@pytest.mark.parametrize("name", ["mine.parquet", "mine.arrow"])
def test_a_file_is_read_like_any_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(written("parquet" if name.endswith("parquet") else "stream", made()))
    examples = read_splits(str(tmp_path / name))["all"]["mine"]
    assert [example.label for example in examples] == [Label.PASS, Label.FAIL, Label.NA, Label.PASS, Label.FAIL]
    assert [example.evidence for example in examples[:2]] == [(), ("Sentence 1",)]
    assert {example.group for example in examples} == {f"{name}:g"}


def test_what_datasets_saves(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "claim": datasets.Value("string"),
            "evidence": datasets.List(datasets.Value("string")),
            "label": datasets.ClassLabel(names=FEATURES["label"]["names"]),
        }
    )
    rows = [{"claim": row["claim"], "evidence": ["x"], "label": row["label"]} for row in ROWS]
    one = datasets.Dataset.from_list(rows, features=features)
    one.save_to_disk(str(tmp_path / "one"), num_shards=2)
    datasets.DatasetDict({"train": one.select([2, 0]), "test": one.select([4])}).save_to_disk(str(tmp_path / "two"))
    one.to_parquet(str(tmp_path / "three" / "train-00000-of-00001.parquet"))
    labels = [Label.PASS, Label.FAIL, Label.NA, Label.PASS, Label.FAIL]
    for folder, wanted in (("one", labels), ("two", [Label.NA, Label.PASS, Label.FAIL]), ("three", labels)):
        assert is_dataset_folder(tmp_path / folder)
        examples = read_splits(str(tmp_path / folder))["all"][folder]
        assert [example.label for example in examples] == wanted
    assert [example.claim for example in read_splits(str(tmp_path / "two" / "test"))["all"]["test"]] == ["Claim 4"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"dataset_dict.json": {"splits": "train"}}, "names no splits"),
        ({"dataset_dict.json": {"splits": ["train"]}}, "names 'train', which is missing"),
        ({"dataset_dict.json": {"splits": ["../.."]}}, "outside of the folder"),
        ({"state.json": {}}, "names no data files"),
        ({"state.json": {"_data_files": [{}]}}, "names a data file without its name"),
        ({"state.json": {"_data_files": [{"filename": "a.arrow"}]}}, "names 'a.arrow', which is missing"),
        ({"state.json": {"_data_files": [{"filename": "/etc/passwd"}]}}, "outside of the folder"),
        ({}, "no saved dataset"),
    ],
)
def test_folders_that_are_not_whole(tmp_path: Path, files: dict[str, Any], words: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        dataset_files(tmp_path)
    assert is_dataset_folder(tmp_path) == bool(files)


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"need pyarrow; install it with: pip install -e '\.\[arrow\]'"):
        list(parquet_rows(io.BytesIO()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_repeated_is_an_error(kind: str) -> None:
    table = pyarrow.table([["A"], ["PASS"], ["FAIL"]], names=["claim", "label", "label"])
    (row,) = rows_of(kind, written(kind, table))
    assert isinstance(row, RowError)
    assert "repeats the column label" in str(row)
