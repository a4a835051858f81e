"""What loading a source gives: examples, and what is worth keeping about where they came from."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from candor.data.layouts import read_rows
from candor.data.official.files import DataPath
from candor.data.rows import BadRows, SkippedRow
from candor.errors import DataError
from candor.files import sha256
from candor.types import LABELS, Example

T = TypeVar("T")

MAX_LISTED = 1000
"""Skipped rows listed one by one in notes; beyond that they are only counted."""

Completion: TypeAlias = tuple[list[Example], list[tuple[str, SkippedRow]]]
"""Examples with their evidence, and for those that cannot have any their id and why."""


class Completer(Protocol):
    """Fills in evidence that is too expensive to look up for examples that nobody asked for."""

    def complete(self, examples: Sequence[Example]) -> Completion:
        """Look up the evidence of some examples."""
        ...

    def notes(self) -> dict[str, Any]:
        """JSON values worth recording about it."""
        ...


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that was read: its path (``archive!member``), hash on disk, and rows, bad ones included."""

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class LoadedSource:
    """Examples of one source.

    Attributes:
        name: the source's name, and the ``dataset`` of its examples.
        examples: all of them, in file order.
        skipped: bad rows that were left out.
        files: what was read.
        seconds: time spent reading.
        settings: choices and counts worth recording.
        completer: where set, the examples have no evidence yet, and this fills it in.
    """

    name: str
    examples: tuple[Example, ...]
    skipped: tuple[SkippedRow, ...] = ()
    files: tuple[DataFile, ...] = ()
    seconds: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    completer: Completer | None = None

    @property
    def rows_per_second(self) -> float:
        """Rows read per second, hashing the files included."""
        return sum(file.rows for file in self.files) / self.seconds if self.seconds else 0.0

    def skipped_in_words(self) -> str:
        """How many bad rows were left out, and the first of them."""
        rows = "1 bad row is" if len(self.skipped) == 1 else f"{len(self.skipped):,} bad rows are"
        return f"{self.name}: {rows} left out, first: {self.skipped[0]}"

    def notes(self) -> dict[str, Any]:
        """Everything but the examples, as JSON values."""
        labels = Counter(example.label for example in self.examples)
        return {
            **self.settings,
            "examples": len(self.examples),
            "labels": {label.value: labels[label] for label in LABELS},
            "files": [{"path": file.path, "sha256": file.sha256, "rows": file.rows} for file in self.files],
            "skipped_rows": len(self.skipped),
            "skipped": [
                {"file": row.file, "line": row.line, "reason": row.reason} for row in self.skipped[:MAX_LISTED]
            ],
        }


class Loading:
    """Reads the files of one source, and keeps count, time and bad rows."""

    def __init__(self, name: str, bad_rows: BadRows) -> None:
        self.name = name
        self.bad_rows = bad_rows
        self._files: list[DataFile] = []
        self._places: dict[str, tuple[str, int]] = {}
        self._started = time.perf_counter()

    def read(
        self, path: DataPath, parse: Callable[[Any], Example | None], layout: str = "jsonl", *, hint: str = ""
    ) -> Iterator[Example]:
        """Yield the examples of a file; ``parse`` gives ``None`` for rows that the recipe leaves out by choice.

        Args:
            path: the file.
            parse: from a row to an example.
            layout: see :func:`candor.data.layouts.read_rows`.
            hint: how to go on where an id occurs twice.

        Raises:
            DataError: the file cannot be read, has changed since it was fetched, holds no row, or holds a bad one.
        """

        def parse_one(row: Any) -> Sequence[Example]:
            example = parse(row)
            return () if example is None else (example,)

        return self.read_many(path, parse_one, layout, hint=hint)

    def read_many(
        self, path: DataPath, parse: Callable[[Any], Sequence[Example]], layout: str = "jsonl", *, hint: str = ""
    ) -> Iterator[Example]:
        """Like :meth:`read`, where a row holds several examples, or none."""
        file = str(path)
        for line, examples in self._parsed(path, parse, layout):
            for example in examples:
                if example.id in self._places:
                    earlier = ":".join(map(str, self._places[example.id]))
                    self.bad_rows.reject(file, line, f"id {example.id!r} is already that of {earlier}{hint}")
                    continue
                self._places[example.id] = (file, line)
                yield example

    def rows(self, place: str, rows: Iterable[Any], parse: Callable[[Any], Example | None]) -> Iterator[Example]:
        """Yield the examples of rows that come from no file, numbered from 1.

        Args:
            place: where they come from, in messages and notes.
            rows: of whatever form ``parse`` takes.
            parse: from a row to an example, or ``None`` for rows that the recipe leaves out by choice.

        Raises:
            DataError: there is no row, or a bad one.
        """
        count = 0
        told = hashlib.sha256()

        def counted() -> Iterator[tuple[int, Any]]:
            nonlocal count
            for count, row in enumerate(rows, start=1):
                told.update(repr(sorted(row.items()) if isinstance(row, dict) else row).encode())
                yield count, row

        for number, example in self.bad_rows.parse(place, counted(), parse):
            if example is None:
                continue
            if example.id in self._places:
                earlier = ":".join(map(str, self._places[example.id]))
                self.bad_rows.reject(place, number, f"id {example.id!r} is already that of {earlier}")
                continue
            self._places[example.id] = (place, number)
            yield example
        if count == 0:
            raise DataError("holds no row", file=place)
        self._files.append(DataFile(place, told.hexdigest(), count))

    def lookup(self, path: DataPath, parse: Callable[[Any], tuple[str, T]], layout: str = "jsonl") -> dict[str, T]:
        """What a file beside the examples holds, by the names that ``parse`` gives; raises as :meth:`read` does."""
        return dict(pair for _, pair in self._parsed(path, parse, layout))

    def _parsed(self, path: DataPath, parse: Callable[[Any], T], layout: str) -> Iterator[tuple[int, T]]:
        """Line and ``parse(row)`` of each row of a file, which is then among those that were read."""
        file = str(path)
        digest = checked_sha256(path.path)
        rows = 0

        def counted(lines: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
            nonlocal rows
            for rows, item in enumerate(lines, start=1):  # noqa: B007 - the count is what is wanted
                yield item

        with path.open() as stream:
            yield from self.bad_rows.parse(file, counted(read_rows(stream, layout)), parse)
        self._files.append(DataFile(file, digest, rows))
        if rows == 0:
            raise DataError("holds no row", file=file)

    def place(self, example_id: str) -> tuple[str, int]:
        """File and line of an example that was read."""
        return self._places[example_id]

    def done(
        self,
        examples: Sequence[Example],
        settings: Mapping[str, Any],
        completer: Completer | None = None,
    ) -> LoadedSource:
        """The loaded source.

        Raises:
            DataError: no example is left.
        """
        if not examples:
            first = [f"; first: line {row.line}: {row.reason}" for row in self.bad_rows.skipped[:1]]
            why = first[0] if first else ": all are left out by their label"
            raise DataError(
                f"no usable row for source {self.name!r}{why}",
                file=", ".join(file.path for file in self._files),
            )
        return LoadedSource(
            name=self.name,
            examples=tuple(examples),
            skipped=tuple(self.bad_rows.skipped),
            files=tuple(self._files),
            seconds=time.perf_counter() - self._started,
            settings=settings,
            completer=completer,
        )


def checked_sha256(path: Path) -> str:
    """SHA-256 of a file, compared with the one kept beside it when it was fetched.

    Raises:
        DataError: the file is missing, or is not what was fetched.
    """
    try:
        actual = sha256(path)
    except FileNotFoundError as error:
        raise DataError("no such file", file=path) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error})", file=path) from error
    kept = kept_sha256(path)
    if kept is not None and kept != actual:
        raise DataError(
            f"has changed since it was fetched (SHA-256 {actual}, kept {kept}); "
            f"delete it and fetch it again, or delete {checksum_path(path).name} to use it as it is",
            file=path,
        )
    return actual


def checksum_path(path: Path) -> Path:
    """Where the checksum of a fetched file is kept."""
    return path.with_name(f"{path.name}.sha256")


def kept_sha256(path: Path) -> str | None:
    """The checksum kept beside a fetched file, as ``sha256sum`` writes it, if there is one.

    Raises:
        DataError: what lies there holds none.
    """
    kept = checksum_path(path)
    if not kept.is_file():
        return None
    found = re.findall(rb"(?<![0-9A-Za-z])[0-9a-fA-F]{64}(?![0-9A-Za-z])", kept.read_bytes())
    if len(found) != 1:
        raise DataError(f"holds no SHA-256 of {path.name}, or several; delete it to use the file as it is", file=kept)
    return str(found[0], "ascii").lower()
