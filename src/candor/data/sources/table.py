"""Claims of one's own, in any of the layouts that are read. A new dataset needs a few lines of a recipe and no code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from candor.data.arrow import dataset_files, is_dataset_folder
from candor.data.cells import is_blank, is_missing, is_nothing, sentences_of
from candor.data.labels import own_labels, read_label
from candor.data.layouts import DELIMITED, layout_of
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import DataPath
from candor.data.rows import BadRows, RowError, clean, column_of, identifier, record
from candor.data.text import claim_group, digest
from candor.errors import DataError
from candor.recipe.data import Columns, TableForm, TableSource
from candor.types import Example, Label

T = TypeVar("T")

_USUAL = Columns()

REPEATED_ID = "; where ids repeat, leave the column out with columns: {id: null} (--column id=)"


def load(name: str, config: TableSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load a table of claims."""
    loading = Loading(name, bad_rows)
    path = _resolve(config.path, data_dir)
    parse = row_parser(name, config, group_prefix=config.groups or path.name)
    left_out = 0

    def counted(row: Any) -> Example | None:
        nonlocal left_out
        example = parse(row)
        left_out += example is None
        return example

    examples: list[Example] = []
    layouts: set[str] = set()
    for file in dataset_files(path) if path.is_dir() else [path]:
        layout = layout_of(file) if config.format == "auto" else config.format
        layouts.add(layout)
        examples += loading.read(DataPath(file), guarded(counted, config, layout), layout, hint=REPEATED_ID)
    settings = {"kind": config.kind, "format": ", ".join(sorted(layouts)), "left_out_by_label": left_out}
    return loading.done(examples, settings)


def row_parser(name: str, form: TableForm, *, group_prefix: str) -> Callable[[Any], Example | None]:
    """From a row to an example, or to ``None`` where its label is left out.

    Args:
        name: the examples' dataset.
        form: which columns hold what, and what labels stand for.
        group_prefix: keeps the groups of one file apart from those of others.

    Raises:
        DataError: labels contradict each other.
    """
    columns, labels = form.columns, own_labels(form.labels)
    made_ids: dict[str, int] = {}

    def parse(value: Any) -> Example | None:
        row = record(value)
        claim = claim_of(row, columns)
        evidence = evidence_of(row, columns)
        gold = read_label(_cell(row, columns.label, "label"), columns.label, labels)
        if gold is None:
            return None
        own_group = _own(row, columns.group, needed=columns.group != _USUAL.group)
        example_id = id_of(row, columns)
        if example_id is None:
            # With the group, or else rows alike but for it would swap ids when the file is written in another order.
            parts = (claim, *evidence, gold) if own_group is None else (claim, *evidence, gold, own_group)
            example_id = digest(*parts)[:12]
            repeats = made_ids[example_id] = made_ids.get(example_id, 0) + 1
            example_id = example_id if repeats == 1 else f"{example_id}-{repeats}"
        group = claim_group(claim) if own_group is None else f"{group_prefix}:{own_group}"
        return Example(example_id, name, claim, evidence, gold, group)

    return parse


def claim_of(row: Mapping[str, Any], columns: Columns) -> str:
    """The claim of a row.

    Raises:
        RowError: it has none.
    """
    claim = _cell(row, columns.claim, "claim")
    if is_nothing(claim) and not is_blank(claim):
        raise RowError(f"{columns.claim!r} is {claim!r}, which stands for nothing")
    return clean(claim, columns.claim)


def evidence_of(row: Mapping[str, Any], columns: Columns) -> tuple[str, ...]:
    """Sentences of the columns of evidence; what stands for nothing is no sentence.

    Raises:
        RowError: a column is missing or holds something else.
    """
    names = (columns.evidence,) if isinstance(columns.evidence, str) else columns.evidence
    return tuple(sentence for name in names for sentence in sentences_of(_cell(row, name, "evidence"), name))


def id_of(row: Mapping[str, Any], columns: Columns) -> str | None:
    """The id of a row; ``None`` where it has none.

    Raises:
        RowError: it is no text and no whole number.
    """
    return _own(row, columns.id, needed=columns.id != _USUAL.id)


def _own(row: Mapping[str, Any], column: str | None, *, needed: bool) -> str | None:
    """The id or group of a row; ``None`` where there is none and the recipe does not name the column."""
    if column is None:
        return None
    found = column_of(row, column)
    if not needed and (found is None or is_missing(row[found])):
        return None
    value = _cell(row, column, "id or group")
    # What programs write for an empty cell would make one group of rows that have none.
    return identifier({column: None if is_missing(value) else value}, column)


def _cell(row: Mapping[str, Any], column: str, what: str) -> Any:
    found = column_of(row, column)
    if found is None:
        without = ". Claims without labels are judged by `candor verify`" if what == "label" else ""
        raise RowError(
            f"no {column!r}; the row has {', '.join(map(repr, row)) or 'nothing'}; name the column of the {what} under "
            f"columns: (--column {what.split()[0]}=NAME){without}"
        )
    return row[found]


def guarded(parse: Callable[[Any], T], form: TableForm, layout: str) -> Callable[[Any], T]:
    """``parse``, which of delimited text first refuses rows that took others into a cell."""
    if layout not in DELIMITED:
        return parse
    labels = own_labels(form.labels)

    def parse_guarded(row: Any) -> T:
        refuse_swallowed_rows(record(row), form.columns, labels)
        return parse(row)

    return parse_guarded


def refuse_swallowed_rows(row: Mapping[str, Any], columns: Columns, labels: Mapping[str, Label | None]) -> None:
    """A quotation mark that is text, taken for one that quotes, takes the rows behind it into its cell.

    Their labels give them away: a line of a cell that makes a row, together with the cells before it if it is the
    cell's first, or those behind it if it is the last, and that has a label in the right place. Prose has white space
    behind its commas, and rows have none.

    Raises:
        RowError: there is such a line.
    """
    cells = list(map(str, row.values()))
    column = column_of(row, columns.label)
    if column is None:
        return
    place = list(row).index(column)
    for at, cell in enumerate(cells):
        lines = cell.split("\n")
        for number, line in enumerate(lines if len(lines) > 1 else ()):
            before = at if number == 0 else 0
            behind = len(cells) - 1 - at if number == len(lines) - 1 else 0
            for delimiter in ",;|\t":
                parts = line.split(delimiter)
                if (
                    before + len(parts) + behind == len(cells)
                    and 0 <= place - before < len(parts)
                    and not any(part[:1].isspace() for part in parts[1:])
                    and _is_label(parts[place - before], labels)
                ):
                    raise RowError(
                        f"a cell of several lines holds what looks like a row ({line[-60:]!r}): a quotation mark that "
                        "is text was taken for one that quotes; double it and quote its cell, or save the table as "
                        "JSON lines"
                    )


def _is_label(text: str, labels: Mapping[str, Any]) -> bool:
    try:
        read_label(text, "", labels)
    except RowError:
        return False
    return True


def _resolve(path: Path, data_dir: Path) -> Path:
    candidates = [path] if path.is_absolute() else [path, data_dir / path]
    for candidate in candidates:
        if candidate.is_file() or is_dataset_folder(candidate):
            return candidate
    folder = next((candidate for candidate in candidates if candidate.is_dir()), None)
    if folder is not None:
        raise DataError("a folder, but none that datasets saved, and without Parquet files", file=folder)
    raise DataError(f"no such file; looked for {' and '.join(map(str, candidates))}", file=path)
