"""The table of figures under stated class shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from candor.report import wording
from candor.report.arms import Comparison
from candor.report.tables import Cell, Group, Row, Table, dataset_title, figure_cell


def class_shares_table(named: Sequence[tuple[str, Comparison]]) -> Table | None:
    """Base, trained and their difference if gold labels came in the shares that were stated.

    Args:
        named: comparisons, each with its run's name, empty where there is one run; those without stated shares are
            left out.

    Returns:
        ``None`` where no shares were stated.
    """
    groups = tuple(
        Group(f"{name + ', ' if name else ''}{dataset_title(item)}: {_in_words(found['shares'])}", tuple(_rows(found)))
        for name, item in named
        if (found := item.get("reweighted"))
    )
    caption = (
        "Figures if gold labels came in these shares: each row counts as its label's share divided by how often the "
        "label occurs. That holds if answers to examples of one label stay as they are. Not tested; an interval is "
        "beside each."
    )
    return Table("class-shares", caption, ("Metric", "Base", "Trained", "Difference"), groups) if groups else None


def _in_words(shares: Mapping[str, float]) -> str:
    return wording.listed([f"{100 * share:.3g} % {name}" for name, share in shares.items()])


def _rows(found: Mapping[str, Any]) -> list[Row]:
    if found["reason"] is not None:
        return [Row(f"none: {found['reason']}", (Cell(wording.NOTHING),) * 3)]
    return [
        Row(
            wording.title(name),
            (
                figure_cell(name, found["base"][name]),
                figure_cell(name, found["trained"][name]),
                Cell(
                    wording.signed(name, change["value"]),
                    wording.interval(name, change["interval"], sign=True) or change["reason"] or "",
                ),
            ),
        )
        for name, change in found["differences"].items()
    ]
