"""The page: one HTML file that needs no network, from one run or several; and everything else a report writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from candor.errors import RunError
from candor.files import write_text
from candor.report import against, confidence_tables, formats, sections, tables, tiles
from candor.report.arms import Arm, arms_of, comparisons, datasets_of, start_of
from candor.report.class_shares import class_shares_table
from candor.report.figures import ARMS_A_PANEL, Figures, training_warnings
from candor.report.own_metrics import own_metrics_table
from candor.report.predictions import browsable, predictions_note, script_json
from candor.report.rendering import dot, environment, frame
from candor.report.runs import SavedRun, find_runs
from candor.report.seeds import seeds_table
from candor.report.style import inline_svg, role_of, save
from candor.run_folder import RunFolder

MAX_BYTES = 3_000_000
"""Of a page; predictions are left out to keep it, words, tables and figures of very many runs are not."""
MAX_FIGURE_BYTES = 1_800_000
"""Of all figures on a page; what is above it and can be done without is left to the files."""
FORM_BYTES = 10_000
"""Set aside for what predictions are browsed with."""

FILTERS = (
    ("differ", "Answers differ"),
    ("all", "All"),
    ("became_right", "Became right"),
    ("became_wrong", "Became wrong"),
    ("confidently_wrong", "Confidently wrong"),
    ("newly_na", "Newly NA"),
    ("unreadable", "No label"),
)


def report_run(run_dir: Path | str, runs: Sequence[Path | str] = ()) -> Path:
    """Write ``report.html``, ``tables/`` and ``figures/`` into a run's or an experiment's own folder.

    Args:
        run_dir: a run folder, or a folder with run folders (arms, seeds) below it.
        runs: the run folders below it in the order of the page; if not given, all of them by path.

    Returns:
        The page's path.

    Raises:
        RunError: nothing to report in it.
        DataError: a file of the run cannot be read.
    """
    folder = RunFolder(Path(run_dir))
    found = find_runs(*(runs or [folder.path]))
    drawn = Figures.of(arms_of(found))
    write_tables(found, folder.tables)
    for drawing in drawn.drawings:
        save(drawing, folder.figures)
    write_text(folder.report, render_page(found, drawn, title=_title(found)))
    return folder.report


def build_page(runs: Sequence[Path | str], out: Path | str, title: str | None = None) -> Path:
    """Write one page of one or many runs.

    Args:
        runs: run folders, or folders with run folders below; their order is the order of the arms.
        out: the file to write.
        title: the page's heading; made from the runs' names if not given.

    Returns:
        ``out``.

    Raises:
        RunError: no folder was given, or one holds nothing to report.
    """
    if not runs:
        raise RunError("no run folder to report; give at least one")
    found = find_runs(*runs)
    return write_page(found, out, title=title or _title(found))


def write_page(runs: Sequence[SavedRun], out: Path | str, *, title: str) -> Path:
    """Write the page of runs that are already in memory (a comparison of two files has no folder)."""
    write_text(out, render_page(runs, Figures.of(arms_of(runs)), title=title))
    return Path(out)


def write_tables(runs: Sequence[SavedRun], folder: Path | str) -> list[Path]:
    """Write ``figures.csv`` (every figure, unrounded) and each table of the page as Markdown and LaTeX."""
    folder = Path(folder)
    arms = arms_of(runs)
    if not any(comparisons(run) for run in runs):
        return []
    paths = [folder / "figures.csv"]
    write_text(paths[0], formats.csv_text(arms))
    further = [table for table in (seeds_table(arms), own_metrics_table(arms)) if table is not None]
    for table in [_results(arms), *further, *_transfer(arms)]:
        for ending, text in (("md", formats.markdown(table)), ("tex", formats.latex(table))):
            paths.append(folder / f"{table.name}.{ending}")
            write_text(paths[-1], text)
    return paths


def render_page(runs: Sequence[SavedRun], drawn: Figures, *, title: str) -> str:
    """The page's text, with the figures ``drawn`` from the same runs. Everything that comes from a run is escaped."""
    arms = arms_of(runs)
    items = [item for run in runs for item in comparisons(run)]
    single = len(runs) == 1
    drawn = drawn.within(MAX_FIGURE_BYTES)
    inlined = {drawing.name: Markup(inline_svg(drawing)) for drawing in drawn.drawings}
    level = f"{items[0]['settings']['level']:.0%}" if items else ""
    many_seeds = any(len(arm.runs) > 1 for arm in arms)
    results = _results(arms) if items else None
    between, not_compared = against.arms_against_each_other(arms)
    context: dict[str, Any] = {
        **frame(title, sections.facts(runs, arms)),
        "single": single,
        "many_seeds": many_seeds,
        "tiles": tiles.tiles(arms) if items else [],
        "tiles_note": tiles.where(arms),
        "against": between,
        "against_notes": not_compared,
        "findings": sections.hypotheses(arms),
        "warnings": sections.warnings(runs),
        "inlined": inlined,
        "results_title": _start(arms).capitalize()
        + (" against trained" if len(arms) == 1 else " and arms side by side"),
        "results": results,
        "key": _key(arms, results) if results else [],
        "seeds": seeds_table(arms),
        "class_shares": class_shares_table(
            [("" if single else run.name, one) for run in runs for one in comparisons(run)]
        ),
        "own_metrics": own_metrics_table(arms),
        "all_figures": tables.all_figures_table(items) if single else None,
        "tests": tables.tests_table(items) if single else None,
        "confusion": tables.confusion_tables(items) if single else [],
        "transfer": _transfer(arms),
        "faint": len(arms) <= ARMS_A_PANEL,
        "calibration": drawn.calibration,
        "calibration_table": confidence_tables.calibration_table(items) if single else None,
        "recalibration": confidence_tables.recalibration_table(items) if single else None,
        "threshold": confidence_tables.threshold_table(items) if single else None,
        "effects": drawn.effects,
        "effect_interval": "lowest to highest of the seeds" if many_seeds else f"{level} intervals",
        "training": drawn.training,
        "collapses": training_warnings(runs),
        "durations": sections.durations(runs),
        "audit_tables": sections.audit_tables(runs),
        "prompt_lengths": sections.prompt_lengths(runs),
        "audit_rest": sections.audit_rest(runs),
        "filters": FILTERS,
        "provenance": sections.provenance(runs),
    }
    context["sections"] = _sections(context)
    template = environment().get_template("page.html.j2")

    def page(predictions: Mapping[str, Any]) -> str:
        shown = {
            "predictions": predictions,
            "predictions_note": predictions_note(
                predictions, "those where training changed the answer or left it confidently wrong, or arms differ"
            ),
            "predictions_json": Markup(script_json(predictions)),
            "prediction_datasets": list(dict.fromkeys(item["dataset"] for item in predictions["examples"])),
        }
        return template.render(context | shown) + "\n"

    bare = page(browsable(runs, max_bytes=0))
    return page(browsable(runs, max_bytes=MAX_BYTES - FORM_BYTES - len(bare.encode())))


def _key(arms: Sequence[Arm], table: tables.Table) -> list[tuple[str, Markup]]:
    """Names of the marks beside the rows of the main table."""
    roles = {mark.role for group in table.groups for row in group.rows for mark in row.marks}
    names = {"base": _start(arms)} | {
        role_of(place): arm.name if len(arms) > 1 else "trained" for place, arm in enumerate(arms)
    }
    return [(name, dot(role)) for role, name in (names | {"bayes": "Bayes limit"}).items() if role in roles]


def _start(arms: Sequence[Arm]) -> str:
    return start_of(item for arm in arms for run in arm.runs for item in comparisons(run))


def _results(arms: Sequence[Arm]) -> tables.Table:
    if len(arms) == 1 and len(arms[0].runs) == 1:
        return tables.comparison_table(comparisons(arms[0].runs[0]))
    return tables.arms_table(arms)


def _transfer(arms: Sequence[Arm]) -> list[tables.Table]:
    metrics = tables.TRANSFER if len(datasets_of(arms)) > 1 else ()
    return [tables.transfer_table(arms, metric) for metric in metrics]


def _sections(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    evaluated = bool(context["results"])
    sections_ = [
        ("findings", "What happened", True),
        ("results", "Results", True),
        ("transfer", "Transfer", bool(context["transfer"])),
        ("confidence", "Confidence", evaluated),
        ("effects", "Effects", evaluated),
        ("training", "Training", True),
        ("audit", "Data audit", True),
        ("predictions", "Predictions", True),
        ("provenance", "How it was made", True),
        ("glossary", "Words", True),
    ]
    return [(name, title) for name, title, shown in sections_ if shown]


def _title(runs: Sequence[SavedRun]) -> str:
    """The run's own name, or that of the folder that all runs have in common."""
    if len(runs) == 1:
        return str(runs[0].results.get("run", {}).get("name") or runs[0].name)
    return Path(os.path.commonpath([run.folder.resolve() for run in runs])).name
