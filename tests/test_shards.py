"""Shards of a file, and what became of them joined."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from candor.errors import DataError
from candor.files import read_jsonl
from candor.shards import Shard, join


@pytest.mark.parametrize("words", ["3/16", " 1/1 ", "16/16"])
def test_a_shard_is_read_as_it_is_written(words: str) -> None:
    assert str(Shard.parse(words)) == words.strip()


@pytest.mark.parametrize("words", ["0/4", "5/4", "1", "1/0", "a/b", "1/2/3", "-1/2", "1.0/2", ""])
def test_what_is_no_shard_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="the third of sixteen is 3/16"):
        Shard.parse(words)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7, 8, 9])
def test_every_row_is_in_one_shard(rows: int) -> None:
    shards = [Shard(number, 4) for number in range(1, 5)]
    taken = [list(shard.rows(range(rows))) for shard in shards]
    assert sorted(row for part in taken for row in part) == list(range(rows))
    assert [len(part) for part in taken] == [shard.size(rows) for shard in shards]


def write(folder: Path, rows: int, of: int, kind: str = "predictions", **header: Any) -> list[Path]:
    """What became of each shard of so many rows."""
    paths = []
    for number in range(1, of + 1):
        first = {"candor": kind, "model": "m", **header, "shard": Shard(number, of).described(rows)}
        lines = [
            first,
            *({"line": row + 2, "id": str(row), "text": "é\u2028"} for row in Shard(number, of).rows(range(rows))),
        ]
        path = folder / f"{kind}-{number}.jsonl"
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        paths.append(path)
    return paths


@pytest.mark.parametrize("rows", [4, 5, 7, 12])
@pytest.mark.parametrize("kind", ["predictions", "verdicts"])
def test_joined_they_stand_in_the_order_of_the_file(tmp_path: Path, rows: int, kind: str) -> None:
    paths = write(tmp_path, rows, 4, kind)
    out = tmp_path / "out.jsonl"
    assert join([paths[2], paths[0], paths[3], paths[1]], out) == rows
    found = read_jsonl(out)
    if kind == "predictions":  # verdicts have no first line of their own
        assert found.pop(0) == {"candor": "predictions", "model": "m"}
    assert [row["id"] for row in found] == [str(row) for row in range(rows)]


def test_verdicts_that_are_not_in_the_order_of_the_claims_are_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path, 6, 2, "verdicts")
    lines = second.read_bytes().splitlines(keepends=True)
    for wrong in ([lines[0], lines[2], lines[1], lines[3]], [*lines[:3], b'{"id": "5"}\n']):
        second.write_bytes(b"".join(wrong))
        with pytest.raises(DataError, match=r"verdicts-2\.jsonl: its rows are not in the order of the claims"):
            join([first, second], tmp_path / "out.jsonl")
        assert not (tmp_path / "out.jsonl").exists()


def test_what_does_not_fit_together_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    paths = write(tmp_path, 10, 3)
    (tmp_path / "other").mkdir()
    (theirs, *_) = write(tmp_path / "other", 10, 3, model="n")
    whole = tmp_path / "whole.jsonl"
    whole.write_text('{"candor": "predictions", "model": "m"}\n')
    text = tmp_path / "text.jsonl"
    text.write_bytes(b"\xff\xfe")
    packed = tmp_path / "packed.jsonl"
    packed.write_bytes(gzip.compress(paths[0].read_bytes()))
    short, cut, twice, more, odd = (tmp_path / f"{name}.jsonl" for name in ("short", "cut", "twice", "more", "odd"))
    lines = paths[0].read_text(encoding="utf-8").split("\n")
    short.write_text("\n".join([*lines[:-2], ""]), encoding="utf-8")
    cut.write_text("\n".join(lines)[:-3], encoding="utf-8")
    twice.write_text("\n".join([lines[0], lines[1], lines[1], *lines[3:]]), encoding="utf-8")
    more.write_text("\n".join([*lines[:-1], lines[1].replace("0", "x"), ""]), encoding="utf-8")
    odd.write_text("\n".join([lines[0].replace('"number": 1', '"number": 4'), *lines[1:]]), encoding="utf-8")
    for shards, words in (
        (paths[:2], r"not all shards are there; missing: 3/3"),
        ([*paths, paths[1]], "is shard 2/3, and so is"),
        ([theirs, *paths[1:]], "is of other work than .*differs in model"),
        ([whole, *paths[1:]], "whole.jsonl.*is no shard"),
        ([text], "text.jsonl.*is no shard"),
        ([packed, *paths[1:]], "packed.jsonl.*is gzipped"),
        ([tmp_path / "none", *paths], "none.*no such file"),
        ([short, *paths[1:]], "short.jsonl.*has fewer rows than its first line says"),
        ([cut, *paths[1:]], "cut.jsonl.*or half of one"),
        ([more, *paths[1:]], "more.jsonl.*has more rows"),
        ([odd, *paths[1:]], "odd.jsonl.*names no shard"),
        ([twice, *paths[1:]], "twice.jsonl.*'0' occurs twice"),
        ([], "no shards to join"),
    ):
        with pytest.raises(DataError, match=words):
            join(shards, tmp_path / "out.jsonl")
        assert not (tmp_path / "out.jsonl").exists()
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        join(paths, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "mine"


def test_shards_of_different_numbers_are_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, 10, 3)
    (tmp_path / "four").mkdir()
    with pytest.raises(DataError, match="differs in of"):
        join([paths[0], *write(tmp_path / "four", 10, 4)[1:]], tmp_path / "out.jsonl")
