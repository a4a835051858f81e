"""Verdicts on a file of claims: read as a stream, written as it goes, and gone on with after a kill.

While it works, ``verdicts.jsonl`` grows as ``verdicts.jsonl.part``, whose first line says what it is made from; it
takes its name once it is complete. Every row of claims gives one line, in order, so the lines that are there say where
to go on. A row that cannot be used gives a line with ``error`` in place of a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from candor.data.layouts import DELIMITED, layout_of, read_rows
from candor.data.official.files import DataPath
from candor.data.rows import RowError, record
from candor.data.sources.table import claim_of, evidence_of, id_of, refuse_swallowed_rows
from candor.errors import CandorError, DataError
from candor.files import Journal, atomic_path, journal_of, sha256
from candor.prompts.encoding import EncodedPrompt
from candor.recipe.data import Columns
from candor.shards import Shard
from candor.verifier.calibration_claims import Resemblance, answer_traits, text_traits
from candor.verifier.verifier import Verifier

_USUAL: Final = Columns()

MOST_COMPARED: Final = 20_000
"""Claims of a file that are compared with the calibration claims, from its beginning; more would show no more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a file gave: rows in all, those that an earlier start had done, and those that could not be used.

    ``resemblance`` compares the claims with those that the threshold was chosen on; ``None`` where nothing is known of
    these, or no row could be used.
    """

    rows: int
    resumed: int
    bad: int
    resemblance: Resemblance | None


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: where it stands, its id if it has one, and its prompt or what is wrong."""

    line: int
    id: str | None
    prompt: EncodedPrompt | str


def verify_file(
    claims: Path,
    out: Path,
    verifier: Verifier,
    *,
    batch_size: int,
    columns: Columns = _USUAL,
    shard: Shard | None = None,
    on_total: Callable[[int, int], None] = lambda total, done: None,
    on_batch: Callable[[int], None] = lambda rows: None,
    on_bad_row: Callable[[str], None] = lambda words: None,
) -> Outcome:
    """Judge every claim of a table with columns ``claim``, ``evidence`` and perhaps ``id``.

    Args:
        claims: the file.
        out: where to write, one JSON object per line.
        verifier: the model.
        batch_size: rows judged, and written, together.
        columns: which hold claim, evidence and id, where they are not the usual ones.
        shard: judge these rows alone; the first line of ``out`` then says so.
        on_total: told of the rows in the file and of those done before.
        on_batch: told of rows as they are done.
        on_bad_row: told of each row that cannot be used, with its place.

    Raises:
        DataError: ``claims`` cannot be read or has no row of the shard, ``out`` is there already or another process is
            at work on it, or its part belongs to other claims or another model.
    """
    if not claims.is_file():
        raise DataError("no such file", file=claims)
    layout = layout_of(claims)
    done = bad = 0

    def count(line: dict[str, Any], _: int = 0) -> None:
        nonlocal done, bad
        done += 1
        bad += "error" in line

    with journal_of(out) as journal:
        in_all = sum(1 for _ in _rows(claims, layout, None))
        if not in_all:
            raise DataError("holds no row", file=claims)
        if shard is not None and not shard.size(in_all):
            raise DataError(f"has {in_all} rows, so shard {shard} would be empty; take fewer shards", file=claims)
        made_from = {"candor": "verdicts", "claims_sha256": sha256(claims), "verifier": verifier.describe()}
        if columns != _USUAL:
            made_from["columns"] = columns.model_dump()
        if shard is not None:
            made_from["shard"] = shard.described(in_all)
        journal.resume(made_from, count)
        resumed = done
        on_total(in_all if shard is None else shard.size(in_all), done)
        rows = islice(_rows(claims, layout, shard), done, None)
        while batch := list(islice(rows, batch_size)):
            lines = _judged([_read(line, row, columns, verifier, layout) for line, row in batch], verifier)
            for line in lines:
                if "error" in line:
                    on_bad_row(f"{claims}:{line['line']}: {line['error']}")
                count(line)
            journal.append(lines, sync=True)
            on_batch(len(lines))
        resemblance = _resemblance(claims, layout, shard, columns, journal, verifier)
        _finish(journal, out, with_header=shard is not None)
    return Outcome(done, resumed, bad, resemblance)


def _rows(claims: Path, layout: str, shard: Shard | None) -> Iterator[tuple[int, Any]]:
    with DataPath(claims).open() as stream:
        rows = read_rows(stream, layout)
        yield from rows if shard is None else shard.rows(rows)


def _resemblance(
    claims: Path, layout: str, shard: Shard | None, columns: Columns, journal: Journal, verifier: Verifier
) -> Resemblance | None:
    """Compare the claims with those that the threshold was chosen on, by what was written of each."""
    if verifier.calibration is None:
        return None
    written = islice((value for value, _ in journal.lines()), 1, None)
    traits = (
        (*text_traits(*_asked(record(row), columns)), *answer_traits(said["label_probs"].values(), said["confidence"]))
        for (_, row), said in zip(_rows(claims, layout, shard), written, strict=True)
        if "error" not in said
    )
    compared = list(islice(traits, MOST_COMPARED))
    return verifier.calibration.resemblance(np.array(compared)) if compared else None


def _asked(row: Mapping[str, Any], columns: Columns) -> tuple[str, tuple[str, ...]]:
    """Claim and evidence of a row.

    Raises:
        RowError: it lacks one, or it is no text.
    """
    return claim_of(row, columns), evidence_of(row, columns)


def _read(line: int, value: Any, columns: Columns, verifier: Verifier, layout: str) -> _Row:
    """A row's prompt, or what is wrong with the row."""
    row_id = None
    try:
        if isinstance(value, RowError):
            raise value
        row = record(value)
        row_id = id_of(row, columns)
        if layout in DELIMITED:
            refuse_swallowed_rows(row, columns, {})
        return _Row(line, row_id, verifier.encode(*_asked(row, columns)))
    except (RowError, CandorError) as error:
        return _Row(line, row_id, str(error))


def _judged(rows: list[_Row], verifier: Verifier) -> list[dict[str, Any]]:
    verdicts = iter(verifier.judge([row.prompt for row in rows if isinstance(row.prompt, EncodedPrompt)]))
    lines = []
    for row in rows:
        place: dict[str, Any] = {"line": row.line} if row.id is None else {"line": row.line, "id": row.id}
        said = {"error": row.prompt} if isinstance(row.prompt, str) else next(verdicts).as_json()
        lines.append(place | said)
    return lines


def _finish(journal: Journal, out: Path, *, with_header: bool) -> None:
    """Give the verdicts their name, without the header where they are those of the whole file."""
    with atomic_path(out) as temporary, journal.path.open("rb") as source, temporary.open("wb") as target:
        if not with_header:
            source.readline()
        while block := source.read(1 << 20):
            target.write(block)
    journal.path.unlink()
