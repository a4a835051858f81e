"""Figures of one's own, under the names of the functions that measured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from candor.report.arms import Arm, datasets_of
from candor.report.tables import Cell, Group, Row, Table
from candor.report.wording import NOTHING


def own_metrics_table(arms: Sequence[Arm]) -> Table | None:
    """Base and trained figures of every arm, and their difference; ``None`` where a recipe names none."""
    groups = []
    specs: dict[str, str] = {}
    for dataset in datasets_of(arms):
        found = {arm.name: [item.get("own", {}) for item in arm.on(dataset)] for arm in arms}
        names = dict.fromkeys(name for runs in found.values() for own in runs for name in own)
        specs.update({name: own[name]["spec"] for runs in found.values() for own in runs for name in own})
        rows = [
            Row(
                f"{name}: {side}",
                tuple(_cell(_of(found[arm.name], name, side), side) for arm in arms),
            )
            for name in names
            for side in ("base", "trained", "difference")
        ]
        if rows:
            groups.append(Group(dataset, tuple(rows)))
    if not groups:
        return None
    caption = (
        f"Figures of one's own, with percentile intervals over resampled groups: {', '.join(specs.values())}. candor "
        "draws no finding from them and corrects no p for them."
    )
    return Table("own-metrics", caption, ("Metric", *(arm.name for arm in arms)), tuple(groups))


def _of(runs: Sequence[Mapping[str, Any]], name: str, side: str) -> list[Mapping[str, Any]]:
    return [own[name][side] for own in runs if name in own]


def _cell(figures: Sequence[Mapping[str, Any]], side: str) -> Cell:
    """The mean over the seeds; with one seed its interval below."""
    values = [figure["value"] for figure in figures if figure["value"] is not None]
    if not values:
        return Cell(NOTHING)
    sign = "+" if side == "difference" else ""
    text = format(sum(values) / len(values), f"{sign}.3f").replace("-", "\N{MINUS SIGN}")
    ends = figures[0]["interval"] if len(figures) == 1 else [min(values), max(values)]
    note = "" if ends is None else " to ".join(format(end, f"{sign}.3f").replace("-", "\N{MINUS SIGN}") for end in ends)
    return Cell(text, note)
