"""Shards of a file of claims: which rows each has, and how what became of them is put together again.

Shard k of n has every n-th row from the k-th on, so that shards of one file are alike however it is sorted. Its results
tell in their first line which shard they are of.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from candor.errors import DataError
from candor.files import atomic_path, json_line, parse_json

T = TypeVar("T")

_FORM: Final = re.compile(r"(\d{1,9})/(\d{1,9})")
_KINDS: Final = ("predictions", "verdicts")
"""What files are, as their first line has it under ``candor``; verdicts have that line in shards alone."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard ``number`` of ``of``, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, words: str) -> Shard:
        """Read ``3/16``.

        Raises:
            ValueError: it is something else.
        """
        found = _FORM.fullmatch(words.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"{words!r} is no shard; the third of sixteen is 3/16")
        return cls(int(found[1]), int(found[2]))

    def rows(self, rows: Iterable[T]) -> Iterator[T]:
        """Yield the shard's rows, in their order."""
        return islice(rows, self.number - 1, None, self.of)

    def has(self, row: int) -> bool:
        """Whether it has a row, counted from 0."""
        return row % self.of == self.number - 1

    def size(self, rows: int) -> int:
        """How many of so many rows it has."""
        return max(0, -((self.number - 1 - rows) // self.of))

    def described(self, rows: int) -> dict[str, Any]:
        """What the first line of its results says: which shard, and how many rows the file has."""
        return {"number": self.number, "of": self.of, "file_rows": rows}

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def join(shards: Sequence[Path], out: Path) -> int:
    """Put what became of all shards of a file together, in the order of its rows.

    Reads and writes line by line.

    Args:
        shards: prediction files or verdicts of every shard, in any order.
        out: the file to write.

    Returns:
        The number of rows.

    Raises:
        DataError: ``out`` is there already; a file is missing, is no shard, or is one of other work; a shard is
            missing or there twice; they do not fit together. Names the file.
    """
    if out.exists():
        raise DataError("is there already; remove it or name another with --out", file=out)
    with ExitStack() as stack:
        header, file_rows, streams = _in_order(shards, stack)
        with atomic_path(out) as temporary, temporary.open("wb") as target:
            if header["candor"] == "predictions":
                target.write(json_line(header).encode())
            seen: set[str] = set()
            places: dict[Path, int] = defaultdict(int)
            for row in range(file_rows):
                path, stream = streams[row % len(streams)]
                line = stream.readline()
                if not line.endswith(b"\n"):
                    raise DataError("has fewer rows than its first line says, or half of one", file=path)
                if header["candor"] == "predictions":
                    _check_id(line, seen, path)
                else:
                    places[path] = _place(line, places[path], path)
                target.write(line)
            for path, stream in streams:
                if stream.read(1):
                    raise DataError("has more rows than its first line says", file=path)
    return file_rows


def _in_order(shards: Sequence[Path], stack: ExitStack) -> tuple[dict[str, Any], int, list[tuple[Path, IO[bytes]]]]:
    """What all shards have in common, how many rows there are, and each shard's file behind its first line."""
    found: dict[int, tuple[Path, IO[bytes]]] = {}
    common: dict[str, Any] = {}
    for path in shards:
        if not path.is_file():
            raise DataError("no such file", file=path)
        stream = stack.enter_context(path.open("rb"))
        header, shard = _header(stream.readline(), path)
        if not found:
            common, of, first = header, shard.of, path
        if header != common:
            theirs, ours = _flat(header), _flat(common)
            differs = ", ".join(sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key)))
            raise DataError(f"is of other work than {first} (it differs in {differs})", file=path)
        if shard.number in found:
            raise DataError(f"is shard {shard}, and so is {found[shard.number][0]}", file=path)
        found[shard.number] = (path, stream)
    if not found:
        raise DataError("no shards to join")
    if missing := [str(Shard(number, of)) for number in range(1, of + 1) if number not in found]:
        raise DataError(f"not all shards are there; missing: {', '.join(missing)}", file=first)
    rows = common.pop("shard")["file_rows"]
    return common, rows, [found[number] for number in range(1, of + 1)]


def _flat(header: dict[str, Any]) -> dict[str, Any]:
    return {**header, **header["shard"]}


def _header(line: bytes, path: Path) -> tuple[dict[str, Any], Shard]:
    """What a first line says but for the shard's number, which all shards must share; and the shard."""
    if line.startswith(b"\x1f\x8b"):
        raise DataError("is gzipped; unpack it first", file=path)
    try:
        header = parse_json(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("candor") not in _KINDS or header.get("shard") is None:
        raise DataError("is no shard; predict and verify write one with --shard", file=path)
    told = header["shard"]
    number, of, rows = (told.get(key) if isinstance(told, dict) else None for key in ("number", "of", "file_rows"))
    if isinstance(number, int) and isinstance(of, int) and isinstance(rows, int) and 1 <= number <= of <= rows:
        del told["number"]
        return header, Shard(number, of)
    raise DataError("its first line names no shard", file=path, line=1)


def _place(line: bytes, before: int, path: Path) -> int:
    """The line of the file of claims that a verdict is on; it stands behind that of the verdict before."""
    try:
        found = parse_json(line)["line"]
    except (ValueError, TypeError, KeyError):
        found = None
    if not isinstance(found, int) or found <= before:
        raise DataError(f"its rows are not in the order of the claims (line {found} behind line {before})", file=path)
    return found


def _check_id(line: bytes, seen: set[str], path: Path) -> None:
    try:
        found = parse_json(line)["id"]
    except (ValueError, TypeError, KeyError):
        found = None
    if not isinstance(found, str):
        raise DataError("holds a row without an id", file=path)
    if found in seen:
        raise DataError(f"id {found!r} occurs twice; ids must be unique within a file", file=path)
    seen.add(found)
