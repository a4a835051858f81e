"""Rows as a pandas table, and tables as HTML for a notebook."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from candor.errors import CandorError, install_line

if TYPE_CHECKING:
    import pandas as pd


def to_frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Rows as a pandas table.

    Args:
        columns: C names.
        rows: N rows of C values; ``None`` becomes what pandas shows for a missing value.

    Raises:
        CandorError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise CandorError(
            f"to_frame() needs pandas, which is not installed; install it with: {install_line('notebook')}"
        ) from error
    frame: pd.DataFrame = pandas.DataFrame.from_records(list(rows), columns=list(columns))
    return frame


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """A table as HTML, with whatever stands in its cells as text.

    >>> html_table(["a"], [["<b>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
