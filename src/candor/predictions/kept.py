"""Answers as they come, kept in a file that a killed process goes on with, until they are a prediction file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from candor.data.inputs import read_splits
from candor.errors import DataError
from candor.files import Journal
from candor.predictions.file import Header
from candor.recipe.data import TableForm
from candor.shards import Shard
from candor.types import Example

Line = dict[str, Any]
"""An answer as a journal keeps it: ``index`` of its example, ``text``, ``stopped``, ``label_probs`` and more."""


class Answers:
    """Answers by the index of their example, each once; in memory alone, or in a journal as well.

    Attributes:
        lines: what is there, by index.
    """

    def __init__(self, journal: Journal | None = None, made_from: Mapping[str, Any] | None = None) -> None:
        """Take over what an earlier start was answered.

        Args:
            journal: where answers are kept.
            made_from: what they are answers to and whose, as :func:`made_from` says it.

        Raises:
            DataError: the journal belongs to other work.
        """
        self.lines: dict[int, Line] = {}
        self._journal = journal
        if journal is not None:
            journal.resume(made_from or {}, self._keep)

    def append(self, lines: Sequence[Line]) -> None:
        """Keep more answers; a journal has them on disk before this returns."""
        if self._journal is not None:
            self._journal.append(lines, sync=True)
        self.take(lines)

    def take(self, lines: Iterable[Line]) -> None:
        """Know answers that are kept elsewhere."""
        for line in lines:
            self._keep(line)

    def _keep(self, line: Line) -> None:
        self.lines[line["index"]] = line


def made_from(header: Header, examples: Sequence[Example], **asked: Any) -> dict[str, Any]:
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

    examples: list[Example]
    dataset: str | None
    shard: dict[str, Any] | None


def claims_of(data: Path, form: TableForm | None, shard: Shard | None) -> Claims:
    """Read the examples of a file, or those of a shard of it.

    Raises:
        DataError: the file cannot be read, holds no claims or fewer than there are shards, or an id occurs twice:
            predictions could not be written, and that is known before anything is paid for.
    """
    splits = read_splits(str(data), data_dir=None, form=form)
    examples = [example for split in splits.values() for group in split.values() for example in group]
    if not examples:
        raise DataError("no claims in it", file=data)
    _check_ids(examples, data)
    names = {example.dataset for example in examples}
    dataset = names.pop() if len(names) == 1 else None
    if shard is None:
        return Claims(examples, dataset, None)
    if not (own := list(shard.rows(examples))):
        raise DataError(f"has {len(examples)} claims, so shard {shard} would be empty; take fewer shards", file=data)
    return Claims(own, dataset, shard.described(len(examples)) | {"claims_sha256": _content(examples)})


def _content(examples: Sequence[Example]) -> str:
    return hashlib.sha256(json.dumps([asdict(example) for example in examples]).encode()).hexdigest()


def _check_ids(examples: Sequence[Example], data: Path) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DataError(f"id {example.id!r} occurs twice; ids must be unique within a file", file=data)
        seen.add(example.id)
