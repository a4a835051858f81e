"""Answers as they come, kept in a file that a killed process goes on with, until they are a prediction file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from candor.data.inputs import stream_examples
from candor.errors import DataError
from candor.files import Journal
from candor.predictions.file import Header
from candor.predictions.spooled import SpooledExamples
from candor.recipe.data import TableForm
from candor.shards import Shard
from candor.types import Example

Line = dict[str, Any]
"""An answer as a journal keeps it: ``index`` of its example, ``text``, ``stopped``, ``label_probs`` and more."""


class Answers:
    """Answers by the index of their example, each once; in memory alone, or in a journal.

    Of what is in a journal this keeps the place alone, so that memory does not grow with the answers.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        made_from: Mapping[str, Any] | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        """Take over what an earlier start was answered.

        Args:
            journal: where answers are kept.
            made_from: what they are answers to and whose, as :func:`made_from` says it.
            elsewhere: another process keeps them, and this one knows alone which there are.

        Raises:
            DataError: the journal belongs to other work.
        """
        self._journal = journal
        self._lines: dict[int, Line] = {}
        self._starts: dict[int, int] = {}
        self._elsewhere: set[int] | None = set() if elsewhere else None
        if journal is not None:
            journal.resume(made_from or {}, self._keep)

    def __contains__(self, index: int) -> bool:
        """Whether an example is answered, here or elsewhere."""
        return index in self._indices()

    def __len__(self) -> int:
        """How many examples are answered."""
        return len(self._indices())

    def __getitem__(self, index: int) -> Line:
        """The answer to an example."""
        if self._journal is None:
            return self._lines[index]
        line: Line = self._journal.at(self._starts[index])
        return line

    def append(self, lines: Sequence[Line]) -> None:
        """Keep more answers; a journal has them on disk before this returns."""
        if self._elsewhere is not None:
            self._elsewhere.update(line["index"] for line in lines)
            return
        starts = range(len(lines)) if self._journal is None else self._journal.append(lines, sync=True)
        for line, start in zip(lines, starts, strict=True):
            self._keep(line, start)

    def indices(self) -> list[int]:
        """Examples that are answered."""
        return list(self._indices())

    def know(self, indices: Iterable[int]) -> None:
        """These are answered, where another process has the answers."""
        if self._elsewhere is not None:
            self._elsewhere.update(indices)

    def _indices(self) -> Collection[int]:
        if self._elsewhere is not None:
            return self._elsewhere
        return self._lines if self._journal is None else self._starts

    def _keep(self, line: Line, start: int) -> None:
        if self._journal is None:
            self._lines[line["index"]] = line
        else:
            self._starts[line["index"]] = start


def made_from(header: Header, examples: Iterable[Example], **asked: Any) -> dict[str, Any]:
    """What a journal's answers are made from: two starts that differ in it must not share one.

    Args:
        header: of the predictions.
        examples: what is asked.
        asked: whatever else an answer depends on; what is ``None`` is left out.
    """
    first = {**header.as_json(), "claims_sha256": _content(examples)}
    first.pop("created_by")
    if header.chat is None:  # parts of before do not tell
        first.pop("chat")
    return first | {name: value for name, value in asked.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Claims:
    """What is asked.

    Attributes:
        examples: those of the file, or of a shard of it.
        dataset: the name that all examples of the file share; ``None`` where they have several.
        shard: what a header says of the shard, if it is one: which, how many rows the file has, and a hash of all.
    """

    examples: SpooledExamples
    dataset: str | None
    shard: dict[str, Any] | None


@contextmanager
def claims_of(data: Path, form: TableForm | None, shard: Shard | None) -> Iterator[Claims]:
    """Read the examples of a file, or those of a shard of it; they lie on disk while the block runs.

    Raises:
        DataError: the file cannot be read, holds no claims or fewer than there are shards, or an id occurs twice:
            predictions could not be written, and that is known before anything is paid for.
    """
    with SpooledExamples.made() as own:
        content, names, rows = _Content(), set(), 0
        for example in _without_twins(stream_examples(str(data), form=form), data):
            if shard is None or shard.has(rows):
                own.append(example)
            if shard is not None:
                content.add(example)
            names.add(example.dataset)
            rows += 1
        if not rows:
            raise DataError("no claims in it", file=data)
        dataset = names.pop() if len(names) == 1 else None
        if shard is None:
            yield Claims(own, dataset, None)
            return
        if not own:
            raise DataError(f"has {rows} claims, so shard {shard} would be empty; take fewer shards", file=data)
        yield Claims(own, dataset, shard.described(rows) | {"claims_sha256": content.sha256()})


class _Content:
    """The hash of a list of examples, as JSON has it, one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"[")
        self._between = b""

    def add(self, example: Example) -> None:
        self._hash.update(self._between + json.dumps(asdict(example)).encode())
        self._between = b", "

    def sha256(self) -> str:
        whole = self._hash.copy()
        whole.update(b"]")
        return whole.hexdigest()


def _content(examples: Iterable[Example]) -> str:
    found = _Content()
    for example in examples:
        found.add(example)
    return found.sha256()


def _without_twins(examples: Iterable[Example], data: Path) -> Iterator[Example]:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DataError(f"id {example.id!r} occurs twice; ids must be unique within a file", file=data)
        seen.add(example.id)
        yield example
