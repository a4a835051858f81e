"""Tables: what stands in which cell, and how they read in a terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fake_run import results
from rich.console import Console

from candor.report import formats, tables
from candor.report.arms import Arm, arms_of
from candor.report.runs import Run
from candor.report.tables import Cell, Group, Row, Table


def run(name: str, values: dict[str, Any]) -> Run:
    return Run(name=name, folder=Path(), results=values)


def shown(renderable: Any, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


def row(table: Table, header: str, group: int = 0) -> Row:
    return next(one for one in table.groups[group].rows if one.header == header)


def test_base_trained_difference_p_and_bayes_stand_in_a_row() -> None:
    table = tables.comparison_table(results()["comparisons"])
    assert table.columns == ("Metric", "Base", "Trained", "Difference", "p (Holm)", "Bayes")
    assert [group.title for group in table.groups] == [
        "wiki (trained on)",
        "revision (not trained on)",
        "climate (not trained on)",
    ]
    cells = row(table, "NA recall, %").cells
    assert [cell.text for cell in cells] == ["39.0", "74.0", "+35.0", "0.002", "85.0"]
    assert [cell.note for cell in cells] == ["[36.0, 42.0]", "[71.0, 77.0]", "[+31.0, +39.0]", "", ""]
    assert cells[2] == Cell("+35.0", "[+31.0, +39.0]", tone="better", strong=True)
    assert row(table, "PASS recall, %").cells[2].tone == "worse"
    assert row(table, "Brier score").cells[2].tone == "better"
    assert row(table, "Spread of confidence").cells[2].tone == ""


def test_what_is_not_significant_is_neither_bold_nor_coloured() -> None:
    values = results()
    values["comparisons"][0]["differences"]["na_recall"]["p_holm"] = 0.01
    cell = row(tables.comparison_table(values["comparisons"]), "NA recall, %").cells[2]
    assert (cell.strong, cell.tone) == (False, "")


def test_the_studys_conventions_show_its_uncorrected_p() -> None:
    item = results()["comparisons"][0]
    item["conventions"] = "paper"
    for change in item["differences"].values():
        change["p_holm"] = None
    item["differences"]["na_recall"]["p"] = 0.0
    table = tables.comparison_table([item])
    assert table.columns[4] == "p"
    assert row(table, "NA recall, %").cells[3] == Cell("<0.0001", strong=True)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_terminal_table_fits_its_width(width: int) -> None:
    text = shown(formats.terminal_table(results()), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    line = next(line for line in text.splitlines() if line.startswith("NA recall"))
    assert line.split()[3:] == (
        ["39.0", "74.0", "+35.0", "[+31.0,", "+39.0]", "0.002*", "85.0"]
        if width < formats.WIDE
        else ["39.0", "[36.0,", "42.0]", "74.0", "[71.0,", "77.0]", "+35.0", "[+31.0,", "+39.0]", "0.002*", "85.0"]
    )


def test_the_terminal_table_works_without_bayes_and_intervals() -> None:
    item = results()["comparisons"][0]
    item["metrics"]["bayes"] = {}
    for found in [*item["metrics"]["base"].values(), *item["metrics"]["trained"].values()]:
        found["interval"] = None
    for change in item["differences"].values():
        change |= {"interval": None, "p": None, "p_holm": None}
    text = shown(formats.terminal_table(item, ["accuracy"]), 80)
    assert "Bayes" not in text
    assert next(line for line in text.splitlines() if "Accuracy" in line).split()[2:] == ["66.0", "78.0", "+12.0", "–"]


def test_seeds_give_mean_lowest_highest_and_in_how_many_it_is_significant() -> None:
    second = results(shift=0.1)
    second["comparisons"][0]["differences"]["na_recall"]["p_holm"] = 0.5
    arms = arms_of([run("one/seed-0", results()), run("one/seed-1", second)])
    assert [arm.name for arm in arms] == ["one"]
    cell = row(tables.arms_table(arms), "NA recall, %").cells[1]
    assert cell.text == "79.0"
    assert cell.note.splitlines() == ["74.0 to 84.0", "+40.0 to base", "significant in 1 of 2"]
    assert not cell.strong


def test_arms_in_the_terminal_are_starred_where_significant_whatever_their_names() -> None:
    other = results()
    other["comparisons"][0]["differences"]["na_recall"]["p_holm"] = 0.5
    table = tables.arms_table(arms_of([run("paper", results()), run("plain", other)]), ["na_recall"])
    line = next(line for line in shown(formats.TerminalTable(table), 80).splitlines() if line.startswith("NA recall"))
    assert line.split()[3:] == ["39.0", "74.0*", "74.0", "85.0"]


def test_the_transfer_matrix_has_base_every_arm_and_bayes() -> None:
    arms = arms_of(
        [
            run("a", results(role_of={"wiki": "in_domain"})),
            run("b", results(role_of={"climate": "in_domain"}, shift=0.1)),
        ]
    )
    table = tables.transfer_table(arms, "na_recall")
    assert table.columns == ("Trained on", "wiki", "revision", "climate")
    assert [one.header for one in table.groups[0].rows] == ["nothing (base)", "wiki (a)", "climate (b)", "Bayes limit"]
    assert [cell.text for cell in row(table, "climate (b)").cells] == ["84.0", "84.0", "84.0"]
    assert [cell.strong for cell in row(table, "climate (b)").cells] == [False, False, True]


@pytest.mark.parametrize(
    ("names", "arms"),
    [
        (["a/seed-0", "a/seed-1", "b/seed-0"], ["a", "b"]),
        (["seed-0", "seed-1"], ["trained"]),
        (["0", "1"], ["trained"]),
        (["fever-s1", "fever-s2", "mixed"], ["fever", "mixed"]),
        (["gpt-2"], ["gpt-2"]),
        (["recipe2", "recipe3"], ["recipe2", "recipe3"]),
    ],
)
def test_runs_that_differ_in_their_seed_alone_are_one_arm(names: list[str], arms: list[str]) -> None:
    assert [arm.name for arm in arms_of([run(name, {}) for name in names])] == arms


def test_csv_holds_every_figure_unrounded() -> None:
    values = results()
    rows = list(csv.DictReader(io.StringIO(formats.csv_text([Arm("x", (run("x", values),))]))))
    assert len(rows) == sum(len(item["metrics"]["trained"]) for item in values["comparisons"])
    found = next(one for one in rows if one["dataset"] == "climate" and one["metric"] == "brier")
    expected = values["comparisons"][2]
    assert float(found["base"]) == expected["metrics"]["base"]["brier"]["value"]
    assert float(found["difference_low"]) == expected["differences"]["brier"]["interval"][0]
    assert float(found["p"]) == expected["differences"]["brier"]["p"]
    assert int(found["n"]) == expected["metrics"]["trained"]["brier"]["n"]


def test_csv_disarms_names_that_a_spreadsheet_would_run() -> None:
    assert "'=1+1" in formats.csv_text([Arm("=1+1", (run("x", results()),))])


HARD = Table(
    "t",
    "50 % of a_b",
    ("Name", "<b>", "p (x)"),
    (Group("g|h", (Row(r"a\b & c", (Cell("<0.001", "[−1, +2]", strong=True), Cell("x_y", "{z}"))),)),),
)


def test_markdown_escapes_what_would_end_a_cell_or_become_markup() -> None:
    assert formats.markdown(HARD).splitlines() == [
        r"| Name | \<b\> | p (x) |",
        "| --- | ---: | ---: |",
        r"| **g\|h** | | |",
        r"| a\\b & c | **\<0.001** [−1, +2] | x\_y {z} |",
        "",
        r"50 % of a\_b",
    ]


def test_latex_escapes_its_special_characters() -> None:
    assert formats.latex(HARD).splitlines() == [
        "% 50 % of a_b",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"Name & <b> & p (x) \\",
        r"\midrule",
        r"\multicolumn{3}{l}{\textbf{g|h}} \\",
        r"a\textbackslash{}b \& c & \textbf{$<$0.001} {\small [$-$1, +2]} & x\_y {\small \{z\}} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_recalibration_and_threshold_are_tables_only_where_there_was_a_validation_split() -> None:
    items = results()["comparisons"]
    fits = tables.recalibration_table(items)
    assert fits is not None
    assert [one.header for one in fits.groups[0].rows] == [
        "base, as stated",
        "base, temperature",
        "base, Platt",
        "base, isotonic",
        "trained",
    ]
    threshold = tables.threshold_table(items)
    assert threshold is not None
    assert [cell.text for cell in row(threshold, "trained").cells] == ["0.83", "47.0", "6.0"]
    assert row(threshold, "base").cells[0].text == "none reaches it"
    for item in items:
        item |= {"recalibration": [], "threshold": None}
    assert tables.recalibration_table(items) is None
    assert tables.threshold_table(items) is None


def test_confusion_is_counted_by_gold_and_answer() -> None:
    item = results()["comparisons"][0]
    table = tables.confusion_tables([item])[0]
    assert table.columns[:5] == ("Gold", "base: PASS", "base: FAIL", "base: NA", "base: no label")
    assert [int(cell.text) for cell in row(table, "gold NA").cells[:4]] == item["confusion"]["base"][2]


def test_a_metric_of_a_later_version_is_shown_by_its_name() -> None:
    item = json.loads(json.dumps(results()["comparisons"][0]))
    item["metrics"]["base"]["new_score"] = {"value": 0.5, "interval": None, "n": 3, "reason": None}
    assert row(tables.all_figures_table([item]), "new score").cells[0].text == "0.500"
