"""Examples as JSONL: how a run folder keeps its splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from candor.data.json_rows import json_lines
from candor.data.official.files import DataPath
from candor.data.rows import BadRows, RowError, clean, field, kind_of, label, record, text
from candor.files import write_jsonl
from candor.types import LABELS, Example

_LABELS = {label.value.casefold(): label for label in LABELS}


def write_examples(path: Path | str, examples: Iterable[Example]) -> None:
    """Write one example per line, whole or not at all. Fields that are not known are left out."""
    write_jsonl(
        path,
        (
            {key: value for key, value in dataclasses.asdict(example).items() if value is not None}
            for example in examples
        ),
    )


def read_examples(path: Path | str) -> list[Example]:
    """Read what :func:`write_examples` wrote.

    Raises:
        DataError: the file is missing, or a line is no example; names file and line.
    """
    source = DataPath(Path(path))
    with source.open() as stream:
        return [example for _, example in BadRows("error").parse(str(source), json_lines(stream), parse_example)]


def parse_example(value: Any) -> Example:
    """An example from its JSON object.

    Raises:
        RowError: a field is missing or of the wrong type.
    """
    row = record(value)
    evidence = field(row, "evidence")
    if not isinstance(evidence, list):
        raise RowError(f"'evidence' must be a list, not {kind_of(evidence)}")
    return Example(
        id=text(row, "id"),
        dataset=text(row, "dataset"),
        claim=text(row, "claim"),
        evidence=tuple(clean(sentence, "evidence") for sentence in evidence),
        label=label(field(row, "label"), _LABELS, "label"),
        group=text(row, "group"),
        evidence_source=clean(row.get("evidence_source", "annotated"), "evidence_source"),
        posterior=_posterior(row.get("posterior")),
    )


def _posterior(value: Any) -> tuple[float, float, float] | None:
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(isinstance(p, int | float) and not isinstance(p, bool) and 0 <= p <= 1 for p in value)
        or abs(sum(value) - 1) > 1e-3
    ):
        raise RowError("'posterior' must be three numbers from 0 to 1 that sum to 1: p(PASS), p(FAIL), p(NA)")
    return float(value[0]), float(value[1]), float(value[2])
