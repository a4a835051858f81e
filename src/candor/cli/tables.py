"""Options that say how a table is read, for every command that reads one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from candor.recipe.data import TableForm

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="Column of a table, e.g. claim=text; of claim, evidence (repeatable), label, id, group. id= makes ids.",
    ),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label", help="What a label of a table stands for, e.g. yes=PASS; with nothing behind = rows are left out."
    ),
]


def table_form(columns: Sequence[str] | None, labels: Sequence[str] | None) -> TableForm | None:
    """How a table is read, from the options; ``None`` where none is given.

    Raises:
        BadParameter: an option has no ``=``, an unknown name before or behind it, or is given twice.
    """
    from candor.recipe.data import Columns, TableForm
    from candor.types import LABELS

    if not columns and not labels:
        return None
    named: dict[str, Any] = {}
    for name, column in (_pair(one, "--column") for one in columns or ()):
        if name not in Columns.model_fields:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(Columns.model_fields)}", param_hint="--column")
        if not column and name not in ("id", "group"):
            raise typer.BadParameter(f"{name}= names no column", param_hint="--column")
        if name == "evidence":
            named.setdefault(name, []).append(column)
        elif name in named:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--column")
        else:
            named[name] = column or None
    mapped: dict[str, Any] = {}
    for text, label in (_pair(one, "--label", last=True) for one in labels or ()):
        if label.upper() not in ("", *LABELS):
            raise typer.BadParameter(f"{label!r} is none of {', '.join(LABELS)}", param_hint="--label")
        if text in mapped:
            raise typer.BadParameter(f"{text!r} is given twice", param_hint="--label")
        mapped[text] = label or None
    return TableForm.model_validate({"columns": named, "labels": mapped})


def _pair(option: str, hint: str, *, last: bool = False) -> tuple[str, str]:
    """Both sides of an option's equals sign: the first, or the last, since a label's text may hold one."""
    if "=" not in option:
        raise typer.BadParameter(f"{option!r} has no =", param_hint=hint)
    before, _, behind = option.rpartition("=") if last else option.partition("=")
    return before.strip(), behind.strip()
