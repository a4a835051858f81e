"""SciTab (Lu et al., 2023, arXiv:2305.13186): claims about tables of computer science papers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from candor.data.labels import known_label
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import require
from candor.data.rows import BadRows, RowError, field, identifier, kind_of, record, text
from candor.recipe.data import ScitabSource
from candor.types import Example

_MARKS: Final = re.compile(r"\[(?:BOLD|ITALIC|EMPTY|URL)\]")
"""What the files write for type and for empty cells; it says nothing about a claim."""


def load(name: str, config: ScitabSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load ``sci_tab.json``. Evidence is the table: caption, column names, rows; the group is its paper."""
    loading = Loading(name, bad_rows)

    def parse(value: Any) -> Example:
        row = record(value)
        return Example(
            id=identifier(row, "id"),
            dataset=name,
            claim=text(row, "claim"),
            evidence=_table(row),
            label=known_label(field(row, "label"), "label"),
            group=f"paper:{identifier(row, 'paper_id')}",
        )

    examples = list(loading.read(require(data_dir, "scitab", "sci_tab.json"), parse, "json"))
    return loading.done(examples, {"kind": config.kind})


def _table(row: dict[str, Any]) -> tuple[str, ...]:
    content = field(row, "table_content_values")
    if not isinstance(content, list):
        raise RowError(f"'table_content_values' must be a list of rows, not {kind_of(content)}")
    lines = [text(row, "table_caption"), _line(field(row, "table_column_names"), "table_column_names")]
    lines += [_line(cells, "table_content_values") for cells in content]
    return tuple(line for line in lines if line.strip(" |"))


def _line(cells: Any, key: str) -> str:
    if not isinstance(cells, Sequence) or isinstance(cells, str):
        raise RowError(f"{key!r} must hold lists of cells, not {kind_of(cells)}")
    return " | ".join(" ".join(_MARKS.sub(" ", str(cell)).split()) for cell in cells)
