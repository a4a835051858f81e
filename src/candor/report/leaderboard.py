"""A page of several models from their prediction files alone, in words that favour none of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from candor.comparison.leaderboard import DatasetBoard
from candor.files import write_text
from candor.metrics.curves import curves
from candor.metrics.power import SIGNIFICANCE
from candor.metrics.views import stated_view
from candor.report import plots, wording
from candor.report.against import pairs_table
from candor.report.figures import ARMS_A_PANEL, FigureGroup, reliability_points, risk_coverage_points
from candor.report.plots import LEGEND_CHARACTERS, Series
from candor.report.predictions import browsable, predictions_note, script_json
from candor.report.rendering import environment, frame
from candor.report.runs import SavedRun
from candor.report.style import Drawing, inline_svg, role_of
from candor.report.tables import Cell, Group, Row, Table, figure_cell

FIGURES: Final = ("accuracy", "na_recall", "false_na_rate", "macro_f1", "auroc", "brier", "rms_calibration_error")
"""Columns of the leaderboard."""

FILTERS: Final = (
    ("differ", "Answers differ"),
    ("all", "All"),
    ("wrong", "Wrong"),
    ("confidently_wrong", "Confidently wrong"),
    ("unreadable", "No label"),
)


def write_leaderboard(boards: Sequence[DatasetBoard], out: Path | str, *, title: str) -> Path:
    """Write the page of what :func:`candor.comparison.leaderboard.compare_model_files` returned."""
    write_text(out, render_leaderboard(boards, title=title))
    return Path(out)


def leaderboard_table(boards: Sequence[DatasetBoard]) -> Table:
    """A row for every model, best accuracy first, a group for every dataset.

    Bold is the best of a column, with all models that no test can tell from it.
    """
    groups = []
    for board in boards:
        best = {metric: _best(board, metric) for metric in FIGURES}
        names = sorted(board.models, key=lambda name: -_value(board, name, "accuracy"))
        rows = tuple(
            Row(name, tuple(_cell(board, name, metric, name in best[metric]) for metric in FIGURES)) for name in names
        )
        groups.append(Group(f"{board.dataset}, {board.n:,} claims", rows))
    caption = (
        "Every figure with its 95 % interval, on the claims that all models answered. Bold: the best of a column, with "
        f"those that no paired test can tell from it at {SIGNIFICANCE:g} (Holm)."
    )
    return Table("leaderboard", caption, ("Model", *map(wording.title, FIGURES)), tuple(groups))


def models_table(boards: Sequence[DatasetBoard]) -> Table:
    """The same the other way round, a column for every model in the order given, for a terminal."""
    groups = []
    for board in boards:
        rows = []
        for metric in FIGURES:
            best = _best(board, metric)
            cells = tuple(_cell(board, name, metric, name in best) for name in board.models)
            rows.append(Row(wording.title(metric), cells))
        groups.append(Group(f"{board.dataset}, {board.n:,} claims", tuple(rows)))
    caption = f"*: the best, and those that no paired test can tell from it at {SIGNIFICANCE:g} (Holm)."
    return Table("models", caption, ("Figure", *boards[0].models), tuple(groups))


def differences_table(boards: Sequence[DatasetBoard]) -> Table:
    """The same pairs as :func:`~candor.report.against.pairs_table`, a row for every figure, for a terminal."""
    groups = [
        Group(
            f"{pair.second} minus {pair.first} on {board.dataset}",
            tuple(
                Row(
                    wording.title(name),
                    (
                        Cell(wording.signed(name, one.value), wording.interval(name, one.interval, sign=True)),
                        Cell(wording.p_value(one.p_holm), strong=one.p_holm is not None and one.p_holm < SIGNIFICANCE),
                    ),
                )
                for name, one in pair.differences.items()
            ),
        )
        for board in boards
        for pair in board.pairs
    ]
    return Table(
        "differences", "Corrected over all tests of a dataset.", ("Figure", "Difference", "p (Holm)"), tuple(groups)
    )


def render_leaderboard(boards: Sequence[DatasetBoard], *, title: str) -> str:
    """The page's text; everything that comes from a file or a name is escaped."""
    drawn = [_drawn(board) for board in boards]
    names = list(boards[0].models)
    runs = [
        SavedRun(
            name=name,
            folder=Path(),
            results={},
            predictions={"trained": {board.dataset: board.models[name].predictions for board in boards}},
        )
        for name in names
    ]
    predictions = browsable(runs, alone=True)
    context: dict[str, Any] = {
        **frame(title, [("Models", str(len(names))), ("Claims", _claims(boards))]),
        "sections": [
            ("findings", "Leaderboard"),
            ("against", "Against each other"),
            ("confidence", "Confidence"),
            ("predictions", "Predictions"),
            ("provenance", "Files"),
            ("glossary", "Words"),
        ],
        "board": leaderboard_table(boards),
        "against": pairs_table({board.dataset: board.pairs for board in boards}),
        "warnings": _warnings(boards),
        "drawn": drawn,
        "inlined": {one.name: Markup(inline_svg(one)) for group in drawn for one in group.drawings},
        "files": {f"{name} on {board.dataset}": one.file for board in boards for name, one in board.models.items()},
        "filters": FILTERS,
        "predictions": predictions,
        "predictions_note": predictions_note(predictions, "those on which models differ or are confidently wrong"),
        "predictions_json": Markup(script_json(predictions)),
        "prediction_datasets": [board.dataset for board in boards],
    }
    return environment().get_template("leaderboard.html.j2").render(context) + "\n"


def _claims(boards: Sequence[DatasetBoard]) -> str:
    return ", ".join(f"{board.n:,} on {board.dataset}" for board in boards)


def _warnings(boards: Sequence[DatasetBoard]) -> list[str]:
    texts = [
        f"{board.dataset}: {text}"
        for board in boards
        for text in (*board.warnings, *(note for one in board.models.values() for note in one.notes))
    ]
    return list(dict.fromkeys(texts))


def _value(board: DatasetBoard, name: str, metric: str) -> float:
    """For ordering; what is undefined comes last."""
    value = board.models[name].figures[metric].as_json()["value"]
    return float("-inf") if value is None else value


def _best(board: DatasetBoard, metric: str) -> set[str]:
    """The best model by a figure and those that its tests cannot tell from it; none where it is not tested."""
    sign = 1 if wording.info(metric).better == "up" else -1
    known = {name: one.figures[metric].as_json()["value"] for name, one in board.models.items()}
    values = {name: sign * value for name, value in known.items() if value is not None}
    if not values or not any(metric in pair.differences for pair in board.pairs):
        return set()
    best = max(values, key=lambda name: values[name])
    told_apart = {
        name
        for pair in board.pairs
        if best in (pair.first, pair.second)
        and (one := pair.differences.get(metric)) is not None
        and one.p_holm is not None
        and one.p_holm < SIGNIFICANCE
        for name in (pair.first, pair.second)
    }
    return {best} | (set(values) - told_apart)


def _cell(board: DatasetBoard, name: str, metric: str, strong: bool) -> Cell:
    found = figure_cell(metric, board.models[name].figures[metric].as_json())
    return Cell(found.text, found.note, strong=strong, value=found.value)


def _short(name: str) -> str:
    return name if len(name) <= LEGEND_CHARACTERS // 2 else f"{name[: LEGEND_CHARACTERS // 2 - 1]}…"


def _drawn(board: DatasetBoard) -> FigureGroup:
    """Reliability, and risk against coverage, of so many models as can be told apart in a panel."""
    found = {name: curves(stated_view(one.predictions)) for name, one in board.models.items()}
    drawings: list[Drawing] = []
    slug = wording.slug(board.dataset)
    for kind, points, draw in (
        ("Reliability", reliability_points, plots.reliability),
        ("Risk and coverage", risk_coverage_points, plots.risk_coverage),
    ):
        series = [
            Series(_short(name), role_of(place), x, y, low, high, counts)
            for place, (name, one) in enumerate(found.items())
            for x, y, low, high, counts in [points(one)]
            if x
        ]
        for number, first in enumerate(range(0, len(series), ARMS_A_PANEL)):
            suffix = f"-{number + 1}" if len(series) > ARMS_A_PANEL else ""
            part = series[first : first + ARMS_A_PANEL]
            drawings.append(draw(f"{wording.slug(kind)}-{slug}{suffix}", f"{kind} on {board.dataset}", part))
    missing = () if drawings else (f"{board.dataset}: no answers with a confidence, so nothing to draw.",)
    return FigureGroup(board.dataset, tuple(drawings), missing)
