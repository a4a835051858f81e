"""The tables of a report: built once as plain cells, then shown as a terminal table, page or file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from candor.metrics.names import METRICS
from candor.report import wording
from candor.report.arms import (
    Arm,
    Comparison,
    Spread,
    datasets_of,
    difference,
    figure,
    is_significant,
    least_seen,
    overall,
    start_of,
    tested_p,
)
from candor.report.style import role_of

HEADLINE = (
    "na_recall",
    "na_precision",
    "false_na_rate",
    "accuracy",
    "macro_f1",
    "pass_recall",
    "fail_recall",
    "auroc",
    "brier",
    "rms_calibration_error",
    "augrc",
    "confidence_std",
    "invalid_rate",
)
"""Metrics of the main table; every other stands in the table of all figures."""
LEAST_SEEN = (
    'Where one is not, "sees" names the least true difference that would have been significant four times of five.'
)
"""Ends the caption of a table that has room for it."""
TRANSFER = ("na_recall", "accuracy", "auroc", "brier")
"""Metrics with a transfer matrix."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: the number.
        note: what stands under it, smaller (its interval).
        tone: ``better``, ``worse`` or nothing.
        strong: whether it is emphasised (significant).
        value: the number itself, by which a table is sorted.
    """

    text: str
    note: str = ""
    tone: str = ""
    strong: bool = False
    value: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a model stands between 0 and 1, to be drawn beside its row.

    Attributes:
        role: its colour.
        value: the figure, in [0, 1].
        ends: of its interval, or the lowest and the highest of the seeds.
    """

    role: str
    value: float
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A header and as many cells as the table has columns after the first.

    Attributes:
        header: the row's name.
        cells: its cells.
        marks: where the models stand between 0 and 1; may be empty.
    """

    header: str
    cells: tuple[Cell, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a common header; an empty title has none."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: ``columns`` names all of them, the row header's first."""

    name: str
    caption: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]


def comparison_table(items: Sequence[Comparison], metrics: Sequence[str] = HEADLINE) -> Table:
    """Base, trained, difference, corrected p and, where known, Bayes: one group per dataset.

    Where training went on from a warm start, that is what is compared with; the base model before it stands first.
    """
    has_bayes, has_raw = (any(item.get("metrics", {}).get(side) for item in items) for side in ("bayes", "untaught"))
    groups = []
    for item in items:
        rows = [
            _comparison_row(item, metric, has_bayes=has_bayes, has_raw=has_raw)
            for metric in metrics
            if figure(item, "base", metric) or figure(item, "trained", metric)
        ]
        groups.append(Group(dataset_title(item), tuple(rows)))
    p_title = "p" if any(item.get("conventions") == "paper" for item in items) else "p (Holm)"
    before = ("Base", "Warm start") if has_raw else ("Base",)
    columns = ("Metric", *before, "Trained", "Difference", p_title, *(["Bayes"] if has_bayes else []))
    return Table("results", _caption(items), columns, tuple(groups))


def arms_table(arms: Sequence[Arm], metrics: Sequence[str] = HEADLINE) -> Table:
    """Base, every arm and, where known, Bayes side by side: one group per dataset, means over seeds."""
    datasets = datasets_of(arms)
    sides = {side for arm in arms for name in datasets for item in arm.on(name) for side in _filled(item)}
    has_bayes, has_raw = "bayes" in sides, "untaught" in sides
    start = start_of(item for arm in arms for name in datasets for item in arm.on(name))
    before = ("untaught", "base") if has_raw else ("base",)
    groups = []
    for dataset in datasets:
        rows = []
        for metric in metrics:
            base = overall(arms, dataset, "base", metric)
            trained = [_arm_cell(arm, dataset, metric, start) for arm in arms]
            if base is None and all(cell.text == wording.NOTHING for cell in trained):
                continue
            bayes = overall(arms, dataset, "bayes", metric)
            shared = {side: _shared_cell(arms, dataset, side, metric) for side in (*before, "bayes")}
            cells = [*(shared[side] for side in before), *trained, *([shared["bayes"]] if has_bayes else [])]
            marks = [_mark("base", base, [item for arm in arms for item in arm.on(dataset)], "base", metric)]
            for place, arm in enumerate(arms):
                spread = arm.spread(dataset, "trained", metric)
                marks.append(_mark(role_of(place), spread, arm.on(dataset), "trained", metric))
            marks.append(_mark("bayes", bayes, (), "bayes", metric))
            rows.append(Row(wording.title(metric), tuple(cells), _marks(marks)))
        groups.append(Group(dataset, tuple(rows)))
    titles = ("Base", "Warm start") if has_raw else ("Base",)
    columns = ("Metric", *titles, *(arm.name for arm in arms), *(["Bayes"] if has_bayes else []))
    many = any(len(arm.runs) > 1 for arm in arms)
    caption = (
        f"With each mean over seeds the lowest and the highest; then the mean difference to the {start}, and in how "
        "many of the seeds it is significant after Holm's correction."
        if many
        else f"With each figure its interval; then the difference to the {start} with its interval, and whether it "
        "is significant after Holm's correction."
    )
    return Table("results", caption, columns, tuple(groups))


def transfer_table(arms: Sequence[Arm], metric: str) -> Table:
    """What was trained on (rows) by what was evaluated on (columns): mean and spread over seeds of one metric."""
    datasets = datasets_of(arms)
    start = start_of(item for arm in arms for name in datasets for item in arm.on(name))
    rows = [Row(f"nothing ({start})", tuple(spread_cell(metric, overall(arms, d, "base", metric)) for d in datasets))]
    for arm in arms:
        cells = []
        for dataset in datasets:
            cell = spread_cell(metric, arm.spread(dataset, "trained", metric))
            cells.append(Cell(cell.text, cell.note, strong=dataset in arm.trained_on))
        rows.append(Row(_arm_title(arm, named=len(arms) > 1), tuple(cells)))
    bayes = [overall(arms, dataset, "bayes", metric) for dataset in datasets]
    if any(bayes):
        rows.append(Row("Bayes limit", tuple(spread_cell(metric, spread) for spread in bayes)))
    return Table(
        f"transfer-{wording.slug(metric)}",
        wording.title(metric),
        ("Trained on", *datasets),
        (Group("", tuple(rows)),),
    )


def all_figures_table(items: Sequence[Comparison]) -> Table:
    """Every figure of the results, headline metrics too."""
    present = {name for item in items for side in item.get("metrics", {}).values() for name in side}
    known = [name for name in METRICS if name in present]
    unknown = sorted(present - set(known))
    table = comparison_table(items, (*known, *unknown))
    return Table("all-figures", table.caption, table.columns, table.groups)


def confusion_tables(items: Sequence[Comparison]) -> list[Table]:
    """Gold label by answer, base beside trained (and Bayes where known)."""
    tables = []
    for number, item in enumerate(items):
        sides = [side for side in ("base", "trained", "bayes") if item.get("confusion", {}).get(side)]
        rows = [
            Row(f"gold {gold}", tuple(Cell(str(count)) for side in sides for count in item["confusion"][side][place]))
            for place, gold in enumerate(("PASS", "FAIL", "NA"))
        ]
        columns = ("Gold", *(f"{side}: {answer}" for side in sides for answer in ("PASS", "FAIL", "NA", "no label")))
        if sides:
            tables.append(
                Table(f"confusion-{number}", f"{dataset_title(item)}: answers", columns, (Group("", tuple(rows)),))
            )
    return tables


def tests_table(items: Sequence[Comparison]) -> Table | None:
    """The classical tests."""
    groups = []
    for item in items:
        rows = [
            Row(
                name.replace("_", " "),
                (
                    Cell(str(test.get("method", ""))),
                    Cell("paired" if test.get("paired") else "unpaired"),
                    Cell(wording.NOTHING if test.get("statistic") is None else f"{test['statistic']:.4g}"),
                    Cell(wording.p_value(test.get("p")), test.get("reason") or ""),
                ),
            )
            for name, test in item.get("tests", {}).items()
        ]
        if rows:
            groups.append(Group(dataset_title(item), tuple(rows)))
    columns = ("Test", "Method", "Samples", "Statistic", "p")
    return Table("tests", "Not corrected for multiple tests.", columns, tuple(groups)) if groups else None


def dataset_title(item: Comparison) -> str:
    """The dataset's name, with whether it was trained on."""
    role = {"in_domain": " (trained on)", "out_of_domain": " (not trained on)"}.get(item.get("role") or "", "")
    return f"{item['dataset']}{role}"


def spread_cell(metric: str, spread: Spread | None) -> Cell:
    """Mean over seeds; lowest to highest below where they differ."""
    if spread is None:
        return Cell(wording.NOTHING)
    low, high = wording.number(metric, spread.low), wording.number(metric, spread.high)
    return Cell(wording.number(metric, spread.mean), "" if low == high else f"{low} to {high}", value=spread.mean)


def figure_cell(metric: str, found: Mapping[str, Any]) -> Cell:
    value = found.get("value")
    note = wording.interval(metric, found.get("interval")) or (found.get("reason") or "" if value is None else "")
    if found.get("at_least") is not None:
        note = f"at least {wording.number(metric, found['at_least'])}"
    return Cell(wording.number(metric, value), note, value=value)


def _filled(item: Comparison) -> list[str]:
    """Sides of a comparison that have figures."""
    return [side for side, figures in item.get("metrics", {}).items() if figures]


def _comparison_row(item: Comparison, metric: str, *, has_bayes: bool, has_raw: bool) -> Row:
    change = difference(item, metric)
    significant = bool(is_significant(item, metric))
    cells = [
        *([figure_cell(metric, figure(item, "untaught", metric))] if has_raw else []),
        figure_cell(metric, figure(item, "base", metric)),
        figure_cell(metric, figure(item, "trained", metric)),
        Cell(
            wording.signed(metric, change.get("value")),
            wording.interval(metric, change.get("interval"), sign=True),
            tone=wording.tone(metric, change.get("value")) if significant else "",
            strong=significant,
            value=change.get("value"),
        ),
        Cell(
            wording.p_value(tested_p(item, metric)),
            _least(item, metric),
            strong=significant,
            value=tested_p(item, metric),
        ),
    ]
    if has_bayes:
        bayes = figure(item, "bayes", metric).get("value")
        cells.append(Cell(wording.number(metric, bayes), value=bayes))
    roles = {"base": "base", "trained": role_of(0), "bayes": "bayes"}
    spreads = {side: Spread.of([figure(item, side, metric).get("value")]) for side in roles}
    marks = [_mark(role, spreads[side], [item], side, metric) for side, role in roles.items()]
    return Row(wording.title(metric), tuple(cells), _marks(marks))


def _least(item: Comparison, metric: str) -> str:
    """The least difference that would have been seen, where one was looked for in vain."""
    found = least_seen(item, metric)
    return "" if found is None else f"sees {wording.number(metric, found)}"


def _mark(role: str, spread: Spread | None, items: Sequence[Comparison], side: str, metric: str) -> Mark | None:
    """A model's mark: with its interval where there is one run, else from the lowest to the highest of the seeds."""
    if spread is None:
        return None
    found = figure(items[0], side, metric).get("interval") if items and spread.low == spread.high else None
    ends = (spread.low, spread.high) if spread.low < spread.high else None if found is None else (found[0], found[1])
    return Mark(role, spread.mean, None if role == "bayes" else ends)


def _marks(marks: Sequence[Mark | None]) -> tuple[Mark, ...]:
    known = [mark for mark in marks if mark is not None]
    return tuple(known) if all(0 <= mark.value <= 1 for mark in known) else ()


def _shared_cell(arms: Sequence[Arm], dataset: str, side: str, metric: str) -> Cell:
    """Base or Bayes, which arms share: with its interval where all runs agree, else with its spread."""
    spread = overall(arms, dataset, side, metric)
    found = [figure(item, side, metric) for arm in arms for item in arm.on(dataset)]
    return figure_cell(metric, found[0]) if spread and spread.low == spread.high else spread_cell(metric, spread)


def _arm_cell(arm: Arm, dataset: str, metric: str, start: str) -> Cell:
    items = arm.on(dataset)
    change = Spread.of([difference(item, metric).get("value") for item in items])
    if len(items) == 1:
        cell = figure_cell(metric, figure(items[0], "trained", metric))
        ends = wording.interval(metric, difference(items[0], metric).get("interval"), sign=True)
    else:
        cell, ends = spread_cell(metric, arm.spread(dataset, "trained", metric)), ""
    if change is None:
        return cell
    tested = [is_significant(item, metric) for item in items]
    hits, of = sum(map(bool, tested)), sum(value is not None for value in tested)
    notes = [cell.note, " ".join(filter(None, (wording.signed(metric, change.mean), ends or f"to {start}")))]
    if of:
        notes.append(_one_verdict(items, metric) if of == 1 else f"significant in {hits} of {of}")
    always = of > 0 and hits == of
    tone = wording.tone(metric, change.mean) if always else ""
    return Cell(cell.text, "\n".join(filter(None, notes)), tone=tone, strong=always, value=cell.value)


def _one_verdict(items: Sequence[Comparison], metric: str) -> str:
    """Whether the one comparison that was tested is significant; if not, what it would have seen."""
    (item,) = (one for one in items if is_significant(one, metric) is not None)
    return (
        "significant"
        if is_significant(item, metric)
        else ", ".join(filter(None, ("not significant", _least(item, metric))))
    )


def _arm_title(arm: Arm, *, named: bool) -> str:
    names = wording.listed(arm.trained_on)
    return f"{names} ({arm.name})" if names and named and names != arm.name else names or arm.name


def _caption(items: Sequence[Comparison]) -> str:
    if not items:
        return "No results yet."
    settings = items[0]["settings"]
    start = start_of(items)
    corrected = (
        "by the study's uncorrected test" if items[0].get("conventions") == "paper" else "after Holm's correction"
    )
    return (
        f"In brackets or below, the {settings['level']:.0%} interval. Differences are trained minus {start} on the "
        f"same examples ({settings['resamples']:,} paired resamples); those significant at "
        f"{settings['significance']:g} {corrected} are bold. {LEAST_SEEN}"
    )
