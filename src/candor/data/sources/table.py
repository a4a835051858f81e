"""Claims of one's own, in JSONL, JSON, CSV or TSV. A new dataset needs a few lines of a recipe and no code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import DataPath
from candor.data.rows import (
    BadRows,
    RowError,
    clean,
    field,
    identifier,
    kind_of,
    label,
    record,
    text,
)
from candor.data.text import claim_group, digest
from candor.errors import DataError
from candor.files import parse_json
from candor.recipe.data import Columns, TableSource
from candor.types import LABEL_NAMES, Example, Label

_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv"}


def load(name: str, config: TableSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load a table of claims. Rows without an ``id`` column get one made from their content."""
    loading = Loading(name, bad_rows)
    path = _resolve(config.path, data_dir)
    layout = layout_of(path) if config.format == "auto" else config.format
    labels = {**LABEL_NAMES, **{key.casefold(): value for key, value in config.labels.items()}}
    parse = row_parser(name, config.columns, labels, group_prefix=path.name, cells=layout in ("csv", "tsv"))
    examples = list(loading.read(DataPath(path), parse, layout))
    return loading.done(examples, {"kind": config.kind, "format": layout})


def row_parser(
    name: str, columns: Columns, labels: Mapping[str, Label], *, group_prefix: str, cells: bool
) -> Callable[[Any], Example]:
    """From a row to an example.

    Args:
        name: the examples' dataset.
        columns: which hold what.
        labels: by their names in the file, case folded.
        group_prefix: keeps the groups of one file apart from those of others.
        cells: whether all values are text, so that a list can only be written as JSON.
    """
    made_ids: dict[str, int] = {}

    def parse(value: Any) -> Example:
        row = record(value)
        claim = text(row, columns.claim)
        evidence = evidence_sentences(row, columns.evidence, cells=cells)
        gold = label(field(row, columns.label), labels, columns.label)
        own_group = () if columns.group is None else (identifier(row, columns.group),)
        if columns.id is not None:
            example_id = identifier(row, columns.id)
        else:
            # With the group, or else rows alike but for it would swap ids when the file is written in another order.
            example_id = digest(claim, *evidence, gold, *own_group)[:12]
            repeats = made_ids[example_id] = made_ids.get(example_id, 0) + 1
            example_id = example_id if repeats == 1 else f"{example_id}-{repeats}"
        group = f"{group_prefix}:{own_group[0]}" if own_group else claim_group(claim)
        return Example(example_id, name, claim, evidence, gold, group)

    return parse


def _resolve(path: Path, data_dir: Path) -> Path:
    candidates = [path] if path.is_absolute() else [path, data_dir / path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(f"no such file; looked for {' and '.join(map(str, candidates))}", file=path)


def layout_of(path: Path) -> str:
    """Format of a file by its name; ``.gz`` does not matter."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix.lower() not in _FORMATS:
        raise DataError("format unknown from the file's name; set format: jsonl, json, csv or tsv", file=path)
    return _FORMATS[suffix.lower()]


def evidence_sentences(row: Mapping[str, Any], columns: str | tuple[str, ...], *, cells: bool) -> tuple[str, ...]:
    """Sentences of one column or several. Empty text and null are no sentence; a missing column is an error."""
    sentences: list[str] = []
    for column in (columns,) if isinstance(columns, str) else columns:
        value = field(row, column)
        if cells and value.lstrip().startswith("["):
            value = _json_cell(value)
        items = value if isinstance(value, list) else [value]
        for item in items:
            if item is None or (isinstance(item, str) and not item.strip()):
                continue
            if not isinstance(item, str):
                raise RowError(f"{column!r} must be text or a list of texts, not {kind_of(item)}")
            sentences.append(clean(item, column))
    return tuple(sentences)


def _json_cell(cell: str) -> Any:
    """A cell's JSON list of texts; a sentence that merely begins with a bracket stays as it is."""
    try:
        value = parse_json(cell)
    except ValueError:
        return cell
    is_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if is_texts else cell
