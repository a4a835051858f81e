"""Examples on disk, read one by one: what is asked of a file of any length does not have to fit into memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import IO, Self

from candor.files import json_line, parse_json
from candor.types import Example, Label


class SpooledExamples:
    """Examples by index, each a line of a temporary file, of which the place alone is kept: eight bytes for each."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Take a file to write to and read from."""
        self._stream = stream
        self._starts = array("Q")
        self._end = 0

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Self]:
        """None at first; the file is gone when the block ends, however it ends."""
        with TemporaryFile(prefix="candor-") as stream:
            yield cls(stream)

    def append(self, example: Example) -> None:
        """Put one more behind the others."""
        line = json_line(asdict(example)).encode()
        self._stream.seek(self._end)
        self._stream.write(line)
        self._starts.append(self._end)
        self._end += len(line)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._starts)

    def __getitem__(self, index: int) -> Example:
        """The example that was put there as the ``index``-th."""
        self._stream.seek(self._starts[index])
        row = parse_json(self._stream.readline())
        # As it was, whatever it holds: it was judged when it was read.
        posterior = None if row["posterior"] is None else tuple(row["posterior"])
        return Example(
            **{**row, "evidence": tuple(row["evidence"]), "label": Label(row["label"]), "posterior": posterior}
        )

    def __iter__(self) -> Iterator[Example]:
        """All, in order."""
        return (self[index] for index in range(len(self)))
