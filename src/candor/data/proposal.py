"""How a table of claims is to be read, found out from its columns and what stands in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from candor.data.cells import is_blank
from candor.data.labels import label_key, own_labels, read_label
from candor.data.layouts import layout_of, read_rows
from candor.data.official.files import DataPath
from candor.data.rows import RowError, column_of
from candor.errors import DataError
from candor.recipe.data import Columns, TableForm
from candor.types import Label

_COLUMNS: Final = {
    "claim": "claim claimtext statement assertion hypothesis sentence2 text sentence headline",
    "evidence": "evidence evidences evidencetext evidencesentences context premise passage passages document snippet "
    "snippets abstract sentence1 reference references source sourcetext",
    "label": "label labels verdict gold goldlabel claimlabel evidencelabel veracity rating class stance target answer",
    "id": "id claimid uniqueid uid exampleid index idx",
    "group": "group page article articleid docid documentid topic url title",
}
_NAMES: Final = {part: names.split() for part, names in _COLUMNS.items()}
"""Names that columns have elsewhere, in letters and digits alone, the likeliest first."""

_SCANNED: Final = 5000
_MOST_LABELS: Final = 12
_LONGEST_LABEL: Final = 40
_SHORTEST_TEXT: Final = 12
"""Texts of fewer signs on average are taken for names or numbers, not for claims or evidence."""

_LIKELY: Final = {
    Label.PASS: "true, yes, y, t, correct, mostly true",
    Label.FAIL: "false, no, n, f, incorrect, mostly false, pants on fire",
    Label.NA: "n/a, unknown, unproven, unverified, not proven, no evidence, half true, mixed, mixture, disputed, other",
}
_GUESSES: Final = {name: label for label, names in _LIKELY.items() for name in names.split(", ")}
"""What labels that could mean two things most likely stand for."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """How a table is read, and what was found out on the way.

    Attributes:
        form: columns and labels; what is as usual is left at its default.
        notes: sentences about what was concluded rather than told, for whoever looks it over.
        guessed: labels that could mean two things, with what they were taken for.
    """

    form: TableForm
    notes: tuple[str, ...]
    guessed: Mapping[str, Label]


def propose_form(path: Path, told: TableForm | None = None) -> Proposal:
    """Find out how a table is to be read.

    Args:
        path: the file.
        told: columns and labels that are known; the rest is found out.

    Raises:
        DataError: the file cannot be read, or a column or label cannot be found out; says which option tells it.
    """
    told = told or TableForm()
    rows = _rows(path)
    columns, notes = _columns(path, rows, told.columns)
    column = column_of(rows[0], columns.label)
    if column is None:
        raise DataError(
            f"no column {columns.label!r}; there are {', '.join(map(repr, rows[0]))}; say which: --column label=NAME",
            file=path,
        )
    labels, guessed = _labels(path, [row.get(column) for row in rows], column, told)
    return Proposal(TableForm(columns=columns, labels=labels), tuple(notes), guessed)


def _rows(path: Path) -> list[dict[str, Any]]:
    with DataPath(path).open() as stream:
        found = islice(read_rows(stream, layout_of(path)), _SCANNED)
        rows = [row for _, row in found if isinstance(row, dict) and not isinstance(row, RowError)]
    if not rows:
        raise DataError("holds no row that can be read", file=path)
    return rows


def _columns(path: Path, rows: Sequence[dict[str, Any]], told: Columns) -> tuple[Columns, list[str]]:
    names = list(rows[0])
    chosen: dict[str, Any] = {key: getattr(told, key) for key in told.model_fields_set}
    free = [name for name in names if name not in _flat(chosen.values())]
    notes = []
    for part in ("claim", "evidence", "label", "id", "group"):
        if part not in chosen and (found := _named(free, part, rows)) is not None:
            chosen[part] = found
            free.remove(found)
    if "label" not in chosen and (found := _by_few_values(free, rows)):
        chosen["label"] = found
        free.remove(found)
        notes.append(f"the labels are taken from the column {found!r}, which holds few different values")
    texts = sorted((n for n in free if _mean_length(n, rows) >= _SHORTEST_TEXT), key=lambda n: _mean_length(n, rows))
    for part, take in (("claim", 0), ("evidence", -1)):
        if part not in chosen and texts:
            chosen[part] = texts.pop(take)
            notes.append(f"{part} is taken from the column {chosen[part]!r}, by the length of its texts")
    for part in ("claim", "evidence", "label"):
        if part not in chosen:
            without = {
                "evidence": "; where there is none, add an empty column: then all claims are NA",
                "label": "; claims without labels are judged by `candor verify`",
            }.get(part, "")
            raise DataError(
                f"no column looks like the {part}; there are {', '.join(map(repr, names))}; say which: --column "
                f"{part}=NAME{without}",
                file=path,
            )
    return Columns.model_validate({key: value for key, value in chosen.items() if value != _USUAL[key]}), notes


_USUAL: Final = Columns().model_dump()


def _flat(values: Any) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list | tuple) else [value])]


def _named(free: Sequence[str], part: str, rows: Sequence[dict[str, Any]]) -> str | None:
    """The column whose name is the likeliest for a part."""
    keys = {"".join(sign for sign in str(name).casefold() if sign.isalnum()): name for name in reversed(free)}
    for name in _NAMES[part]:
        if name in keys:
            column = keys[name]
            values = [str(row.get(column)) for row in rows]
            if (part == "id" and len(set(values)) < len(values)) or (part == "group" and len(set(values)) < 2):
                continue
            return column
    return None


def _by_few_values(free: Sequence[str], rows: Sequence[dict[str, Any]]) -> str | None:
    """The column of few different short values that each occur again and again."""
    for name in free:
        values = Counter(str(row.get(name)) for row in rows if not is_blank(row.get(name)))
        few = 2 <= len(values) <= min(_MOST_LABELS, len(rows) // 2)
        if few and max(map(len, values)) <= _LONGEST_LABEL:
            return name
    return None


def _mean_length(name: str, rows: Sequence[dict[str, Any]]) -> float:
    return sum(len(str(row.get(name) or "")) for row in rows) / len(rows)


def _labels(
    path: Path, values: Sequence[Any], column: str, told: TableForm
) -> tuple[dict[str, Label | None], dict[str, Label]]:
    own = own_labels(told.labels)
    labels: dict[str, Label | None] = dict(told.labels)
    guessed: dict[str, Label] = {}
    unknown = []
    for value in dict.fromkeys(v for v in values if isinstance(v, str | int | float) and not is_blank(v)):
        try:
            read_label(value, column, own)
        except RowError:
            key = label_key(value)
            name = str(value).strip() if isinstance(value, str) else key
            if key in _GUESSES:
                labels[name] = guessed[name] = _GUESSES[key]
            else:
                unknown.append(name)
    if unknown:
        shown = " ".join(f'--label "{name}=PASS"' for name in unknown[:_MOST_LABELS])
        raise DataError(
            f"{column!r} holds {', '.join(map(repr, unknown[:_MOST_LABELS]))}, and nothing here says what that stands "
            f"for; say so, for each PASS, FAIL, NA, or nothing to leave such rows out: {shown}",
            file=path,
        )
    return labels, guessed


def file_name(text: str) -> str:
    """A name for a recipe and a source, out of a file's.

    >>> file_name("My claims (2).csv"), file_name("claims.jsonl.gz"), file_name(".csv")
    ('My-claims-2', 'claims', 'mine')
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", text.partition(".")[0]).strip("-._")
    return stem or "mine"
