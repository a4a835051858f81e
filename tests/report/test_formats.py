"""How tables read in a terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from fake_run import results
from rich.console import Console

from candor.report import formats, tables
from candor.report.arms import Arm, arms_of
from candor.report.runs import SavedRun
from candor.report.tables import Cell, Group, Row, Table


def run(name: str, values: dict[str, Any]) -> SavedRun:
    return SavedRun(name=name, folder=Path(), results=values)


def shown(renderable: Any, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


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


def test_arms_in_the_terminal_are_starred_where_significant_whatever_their_names() -> None:
    other = results()
    other["comparisons"][0]["differences"]["na_recall"]["p_holm"] = 0.5
    table = tables.arms_table(arms_of([run("paper", results()), run("plain", other)]), ["na_recall"])
    line = next(line for line in shown(formats.TerminalTable(table), 80).splitlines() if line.startswith("NA recall"))
    assert line.split()[3:] == ["39.0", "74.0*", "74.0", "85.0"]


@pytest.mark.parametrize("name", ["[/b]", "a[/b]", "[red]x", "[link=x]", "x\\\\[/]"])
def test_names_are_no_markup_in_the_terminal(name: str) -> None:
    values = results()
    for item in values["comparisons"]:
        item["dataset"] = name
    assert name in shown(formats.terminal_table(values), 140)
    table = tables.arms_table(arms_of([run(f"{name}1", results()), run(f"{name}2", results(shift=0.1))]))
    assert f"{name}1" in shown(formats.TerminalTable(table), 140)


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
