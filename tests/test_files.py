"""Files and folders appear whole or not at all."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from candor.errors import DataError
from candor.files import atomic_folder, atomic_path, read_json, read_jsonl, sha256, write_json, write_jsonl, write_text


def test_round_trips(tmp_path: Path) -> None:
    rows = [{"a": "é\u2028\n"}, [1, None], "x"]
    write_jsonl(tmp_path / "new" / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "new" / "rows.jsonl") == rows
    write_json(tmp_path / "one.json", {"b": 1.5})
    assert read_json(tmp_path / "one.json") == {"b": 1.5}
    write_text(tmp_path / "t", "abc")
    assert sha256(tmp_path / "t") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "t", "old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "t") as path:  # noqa: PT012 - the block is the subject
        path.write_text("half")
        raise RuntimeError
    with pytest.raises(ValueError):
        write_json(tmp_path / "t", math.nan)
    assert (tmp_path / "t").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_folders(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / text).write_text(text)
        assert [path.name for path in (tmp_path / "folder").iterdir()] == [text]
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "folder") as folder:  # noqa: PT012 - as above
        (folder / "three").write_text("half")
        raise RuntimeError
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_cannot_be_read_names_its_place(tmp_path: Path) -> None:
    for read in (read_json, read_jsonl):
        with pytest.raises(DataError, match=r"none\.json: no such file"):
            read(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"a": 1}\n{"b"\n')
    with pytest.raises(DataError, match=r"bad\.json:2: not JSON"):
        read_jsonl(tmp_path / "bad.json")
    with pytest.raises(DataError, match=r"bad\.json: not JSON"):
        read_json(tmp_path / "bad.json")
