"""Files and folders appear whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from candor import files
from candor.errors import DataError, RunError
from candor.files import (
    LOCK,
    PART,
    Journal,
    atomic_folder,
    atomic_path,
    journal_of,
    locked,
    read_json,
    read_jsonl,
    sha256,
    write_json,
    write_jsonl,
    write_text,
)

LINE_ENDS = "a\u2028b\u2029c\x85d\x0be"
"""What ends a line for ``str.splitlines`` and may stand in a JSON string as it is."""


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_json_nested_too_deeply_is_an_error_that_names_the_place(text: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(f"{{}}\n{text}\n")
    with pytest.raises(DataError, match=r"x:2: not JSON .nested too deeply"):
        read_jsonl(tmp_path / "x")
    (tmp_path / "x").write_text(text)
    with pytest.raises(DataError, match=r"x: not JSON .nested too deeply"):
        read_json(tmp_path / "x")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe{}", b'{"a": "\xc3"}', b"1" * 5_000, b"\x00"])
def test_what_is_no_json_is_an_error_that_names_the_place(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"{}\n" + data + b"\n")
    with pytest.raises(DataError, match="x:2: not JSON"):
        read_jsonl(tmp_path / "x")
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DataError, match="x: not JSON"):
        read_json(tmp_path / "x")


def test_round_trips(tmp_path: Path) -> None:
    rows = [{"a": f"é\n{LINE_ENDS}"}, [1, None], "x"]
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


HEADER = {"made": "here", "from": ("x", 1)}


def taken(journal: Journal, header: dict[str, Any] = HEADER) -> list[Any]:
    """What a journal hands over on going on with it."""
    found: list[tuple[Any, int]] = []
    journal.resume(header, lambda row, start: found.append((row, start)))
    assert [journal.at(start) for _, start in found] == [row for row, _ in found]
    return [row for row, _ in found]


def test_a_journal_begins_with_its_header_and_goes_on_with_its_rows(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "rows.part")
    assert taken(journal) == []
    starts = journal.append([{"text": LINE_ENDS}, [1]], sync=True)
    assert journal.append([], sync=False) == []
    starts += journal.append(["é"], sync=False)
    assert [journal.at(start) for start in starts] == [{"text": LINE_ENDS}, [1], "é"]
    journal.sync()
    assert taken(journal) == [{"text": LINE_ENDS}, [1], "é"]
    lines = [{"made": "here", "from": ["x", 1]}, {"text": LINE_ENDS}, [1], "é"]
    assert journal.path.read_text() == "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def test_no_json_lines_are_split_by_what_splits_at_more_than_a_line_feed() -> None:
    source = Path(files.__file__).parent
    users = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if "splitlines" in path.read_text(encoding="utf-8")
    }
    # These show lines of an error, a note, a log or a finding to a person.
    shown = {"engines/foreign.py", "engines/named.py", "engines/packages.py", "data/arrow.py"}
    shown |= {"report/formats.py", "report/rendering.py", "report/sections.py", "runs/workers.py", "verifier/hub.py"}
    # This splits bytes, where line feeds and carriage returns alone count.
    assert users <= shown | {"data/lines.py"}


@pytest.mark.parametrize("cut_off", range(1, 12))
def test_a_line_that_a_kill_left_half_is_cut_wherever_it_ends(tmp_path: Path, cut_off: int) -> None:
    journal = Journal(tmp_path / "rows.part")
    taken(journal)
    journal.append(["first"], sync=False)
    whole = journal.path.read_bytes()
    journal.append([{"a": "é✓"}], sync=False)
    journal.path.write_bytes(journal.path.read_bytes()[:-cut_off])
    assert taken(journal) == ["first"]
    assert journal.path.read_bytes() == whole


def test_a_half_header_is_begun_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rows.part")
    taken(journal)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-3])
    assert taken(journal) == []
    assert journal.path.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"made": "there", "from": ["x", 1]}\n[1]\n', "differs in made"),
        ('{"made": "here"}\n', "differs in from"),
        ('{"made": "here", "from": ["x", 1], "more": 0}\n', "differs in its keys"),
        ("[]\n", "differs in made, from"),
        ('{"made": "here", "from": ["x", 1]}\n{"a"\n[1]\n', r"rows\.part:2: not JSON .*remove it"),
        ("\xff\n", r"rows\.part:1: not JSON"),
    ],
)
def test_a_journal_of_other_work_or_damaged_is_left_alone(tmp_path: Path, content: str, message: str) -> None:
    journal = Journal(tmp_path / "rows.part")
    before = content.encode("latin-1") + b"half"
    journal.path.write_bytes(before)
    with pytest.raises(DataError, match=message):
        taken(journal)
    assert journal.path.read_bytes() == before


def test_rows_are_added_in_one_write_and_what_cannot_be_written_adds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "rows.part")
    taken(journal)
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    before = journal.path.stat().st_size
    journal.append(["x" * 100_000, "y"], sync=True)
    assert sizes == [before + 100_003 + 4]
    with pytest.raises(ValueError):
        journal.append(["good", math.nan], sync=True)
    assert journal.path.stat().st_size == sizes[0]


def test_one_process_works_on_a_file_and_a_finished_one_stays(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.jsonl"
    lock = out.with_name(out.name + LOCK)
    with journal_of(out) as journal:
        assert journal.path == out.with_name(out.name + PART)
        with pytest.raises(DataError, match="another process is at work on it"), journal_of(out):
            pass
    assert lock.exists()
    with journal_of(out):
        out.write_text("done")
    assert not lock.exists()
    with pytest.raises(DataError, match="is there already"), journal_of(out):
        pass
    assert out.read_text() == "done"
    assert not lock.exists()


def test_a_lock_raises_the_error_it_is_given(tmp_path: Path) -> None:
    with locked(tmp_path / LOCK, error=RunError("busy")), pytest.raises(RunError, match="busy"):  # noqa: SIM117
        with locked(tmp_path / LOCK, error=RunError("busy")):
            pass
    with locked(tmp_path / LOCK, error=RunError("busy")):
        pass


def test_a_json_object_says_a_thing_once() -> None:
    with pytest.raises(files.RepeatedKeyError, match="repeats the key 'b'"):
        files.parse_json('[{"a": 1}, {"b": 1, "a": 2, "b": 3}]')
