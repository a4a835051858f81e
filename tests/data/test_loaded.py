from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from claim_files import climate, climate_row, jsonl

from candor.data.inputs import load_named
from candor.data.loaded import MAX_LISTED, DataFile, LoadedSource, Loading, checked_sha256, checksum_path, kept_sha256
from candor.data.official.files import DataPath
from candor.data.rows import BadRows, SkippedRow
from candor.errors import DataError
from candor.types import Example, Label


def test_a_file_that_changed_since_it_was_fetched(tmp_path: Path) -> None:
    climate(tmp_path, jsonl(climate_row()))
    (tmp_path / "climate-fever.jsonl.sha256").write_text("0" * 64 + "  climate-fever.jsonl\n")
    with pytest.raises(DataError, match="has changed since it was fetched"):
        load_named("climatefever", data_dir=tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_empty_files(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="holds no row"):
        climate(tmp_path, content)


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no usable row .* line 1: not JSON"):
        climate(tmp_path, b"?\n", "skip")


def example(number: int, label: Label = Label.PASS) -> Example:
    return Example(str(number), "d", f"Claim {number}", ("E",), label, f"g{number}")


def test_notes_count_labels_and_list_no_more_skipped_rows_than_told() -> None:
    skipped = tuple(SkippedRow("f.jsonl", line, "broken") for line in range(1, MAX_LISTED + 3))
    loaded = LoadedSource(
        "d",
        (example(0), example(1), example(2, Label.NA)),
        skipped=skipped,
        files=(DataFile("f.jsonl", "ab", 9),),
        seconds=3.0,
        settings={"kind": "table"},
    )
    notes = loaded.notes()
    assert (notes["kind"], notes["examples"], notes["labels"]) == ("table", 3, {"PASS": 2, "FAIL": 0, "NA": 1})
    assert notes["files"] == [{"path": "f.jsonl", "sha256": "ab", "rows": 9}]
    assert notes["skipped_rows"] == MAX_LISTED + 2
    assert len(notes["skipped"]) == MAX_LISTED
    assert notes["skipped"][0] == {"file": "f.jsonl", "line": 1, "reason": "broken"}
    assert loaded.rows_per_second == 3.0
    assert dataclasses.replace(loaded, seconds=0.0).rows_per_second == 0.0


@pytest.mark.parametrize(("count", "words"), [(1, "1 bad row is"), (1200, "1,200 bad rows are")])
def test_skipped_rows_in_words(count: int, words: str) -> None:
    skipped = tuple(SkippedRow("f", line, "broken") for line in range(1, count + 1))
    loaded = LoadedSource("d", (example(0),), skipped=skipped)
    assert loaded.skipped_in_words() == f"d: {words} left out, first: f:1: broken"


def test_reading_keeps_rows_places_and_hash_and_refuses_an_id_seen_in_another_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_bytes(b"0\n\n1\n2\n")
    two.write_bytes(b"1\n3\n")
    loading = Loading("d", BadRows("skip"))
    # Rows that the recipe leaves out are counted, and are neither examples nor bad.
    read = [list(loading.read(DataPath(path), lambda n: None if n == 2 else example(n))) for path in (one, two)]
    assert [[found.id for found in part] for part in read] == [["0", "1"], ["3"]]
    assert loading.place("1") == (str(one), 3)
    loaded = loading.done([found for part in read for found in part], {})
    assert [(file.path, file.rows) for file in loaded.files] == [(str(one), 3), (str(two), 2)]
    assert loaded.files[0].sha256 == hashlib.sha256(one.read_bytes()).hexdigest()
    assert [str(row) for row in loaded.skipped] == [f"{two}:1: id '1' is already that of {one}:3"]


def test_checksums_beside_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"text")
    digest = hashlib.sha256(b"text").hexdigest()
    assert checksum_path(path) == tmp_path / "a.jsonl.sha256"
    assert kept_sha256(path) is None
    assert checked_sha256(path) == digest
    checksum_path(path).write_text(f"{digest}  a.jsonl\n")
    assert kept_sha256(path) == checked_sha256(path) == digest
    path.write_bytes(b"other")
    with pytest.raises(DataError, match=rf"kept {digest}\); delete it and .* or delete a.jsonl.sha256 to use it"):
        checked_sha256(path)
    with pytest.raises(DataError, match="no such file"):
        checked_sha256(tmp_path / "b.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        checked_sha256(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n", "a".encode("utf-16") * 9, b"0" * 63])
def test_what_holds_no_checksum_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}")
    checksum_path(path).write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jsonl\.sha256: holds no SHA-256 of a\.jsonl"):
        checked_sha256(path)


@pytest.mark.parametrize("form", ["{}  a.jsonl\n", "{}\n", "SHA256 (a.jsonl) = {}\n"])
def test_checksums_as_programs_write_them(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}")
    actual = hashlib.sha256(b"{}").hexdigest()
    checksum_path(path).write_text(form.format(actual.upper()))
    assert checked_sha256(path) == actual
