"""Tables: what stands in which cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fake_run import results

from candor.report import tables
from candor.report.arms import arms_of
from candor.report.runs import SavedRun
from candor.report.tables import Cell, Row, Table


def run(name: str, values: dict[str, Any]) -> SavedRun:
    return SavedRun(name=name, folder=Path(), results=values)


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


def test_a_bound_on_one_side_is_no_interval() -> None:
    found = {"value": 0.4, "interval": None, "n": 90, "reason": "picked on the same answers", "at_least": 0.25}
    assert tables.figure_cell("coverage_at_10", found) == Cell("40.0", "at least 25.0")
    assert tables.figure_cell("coverage_at_10", found | {"at_least": 0.0}).note == "at least 0.0"


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


def test_seeds_give_mean_lowest_highest_and_in_how_many_it_is_significant() -> None:
    second = results(shift=0.1)
    second["comparisons"][0]["differences"]["na_recall"]["p_holm"] = 0.5
    arms = arms_of([run("one/seed-0", results()), run("one/seed-1", second)])
    assert [arm.name for arm in arms] == ["one"]
    cell = row(tables.arms_table(arms), "NA recall, %").cells[1]
    assert cell.text == "79.0"
    assert cell.note.splitlines() == ["74.0 to 84.0", "+40.0 to base", "significant in 1 of 2"]
    assert not cell.strong


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


def test_confusion_is_counted_by_gold_and_answer() -> None:
    item = results()["comparisons"][0]
    table = tables.confusion_tables([item])[0]
    assert table.columns[:5] == ("Gold", "base: PASS", "base: FAIL", "base: NA", "base: no label")
    assert [int(cell.text) for cell in row(table, "gold NA").cells[:4]] == item["confusion"]["base"][2]


def test_a_metric_of_a_later_version_is_shown_by_its_name() -> None:
    item = json.loads(json.dumps(results()["comparisons"][0]))
    item["metrics"]["base"]["new_score"] = {"value": 0.5, "interval": None, "n": 3, "reason": None}
    assert row(tables.all_figures_table([item]), "new score").cells[0].text == "0.500"


def test_a_p_that_is_not_significant_says_what_would_have_been_seen() -> None:
    item = results()["comparisons"][0]
    item["differences"]["accuracy"] |= {"p_holm": 0.4, "standard_error": 0.01}
    item["settings"] |= {"significance": 0.01, "tested": ["accuracy"]}
    (group,) = tables.comparison_table([item], ["accuracy"]).groups
    # (2.576 + 0.842) standard errors.
    assert group.rows[0].cells[3] == Cell("0.400", "sees 3.4")
    item["differences"]["accuracy"] |= {"p_holm": 0.001}
    (group,) = tables.comparison_table([item], ["accuracy"]).groups
    assert group.rows[0].cells[3].note == ""
    # Results of an older version do not know the error.
    item["differences"]["accuracy"] |= {"p_holm": 0.4, "standard_error": None}
    (group,) = tables.comparison_table([item], ["accuracy"]).groups
    assert group.rows[0].cells[3].note == ""
