"""Models against each other: a row for every pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_run import predictions, results

from candor.comparison.models import ModelDifference, ModelPair
from candor.report.against import arms_against_each_other, pairs_table
from candor.report.arms import arms_of
from candor.report.runs import SavedRun
from candor.types import Label


def run(name: str, stage: str, **parts: Any) -> SavedRun:
    answers = predictions("wiki", stage=stage, count=200, hostile=False)
    values = results()
    values["comparisons"] = values["comparisons"][:1]
    return SavedRun(name=name, folder=Path(), results=values, predictions={"trained": {"wiki": answers}}, **parts)


def test_a_pair_is_a_row_with_difference_interval_and_corrected_p() -> None:
    found = {
        "accuracy": ModelDifference(0.2, (0.1, 0.3), 0.0001, 0.0008),
        "brier": ModelDifference(0.05, (-0.01, 0.11), 0.2, 0.4),
        "auroc": ModelDifference(0.0, None, float("nan"), None, "undefined"),
    }
    table = pairs_table({"wiki": [ModelPair("paper", "candor", found, 1, 1000)], "news": []})
    assert table is not None
    (group,) = table.groups
    (row,) = group.rows
    assert (group.title, row.header) == ("wiki", "candor minus paper")
    cells = dict(zip(table.columns[1:], row.cells, strict=True))
    accuracy, brier, auroc = cells["Accuracy, %"], cells["Brier score"], cells["AUROC of confidence"]
    assert (accuracy.text, accuracy.note) == ("+20.0", "[+10.0, +30.0]\np 0.0008")
    assert (accuracy.strong, accuracy.tone) == (True, "better")
    assert (brier.note.splitlines()[1], brier.strong, brier.tone) == ("p 0.400", False, "")
    assert auroc.note == "undefined"
    assert cells["NA recall, %"].text == "–"
    assert "new seeds" not in table.caption
    assert pairs_table({"wiki": []}) is None


def test_arms_are_compared_by_their_trained_models() -> None:
    table, notes = arms_against_each_other(arms_of([run("a", "base"), run("b", "trained")]))
    assert notes == []
    assert table is not None
    (row,) = table.groups[0].rows
    assert row.header == "b minus a"
    assert row.cells[0].text.startswith("+")
    assert row.cells[0].strong


def test_one_arm_alone_or_without_predictions_has_no_such_table() -> None:
    assert arms_against_each_other(arms_of([run("a", "base")])) == (None, [])
    bare = SavedRun(name="b", folder=Path(), results=results())
    assert arms_against_each_other(arms_of([run("a", "base"), bare])) == (None, [])


def test_arms_with_other_gold_labels_are_named_instead_of_compared() -> None:
    other = run("b", "trained")
    answers = [
        replace(row, gold=Label.PASS if row.gold is Label.NA else row.gold)
        for row in other.predictions["trained"]["wiki"]
    ]
    table, notes = arms_against_each_other(
        arms_of([run("a", "base"), replace(other, predictions={"trained": {"wiki": answers}})])
    )
    assert table is None
    assert notes[0].startswith("wiki: the arms cannot be compared: ")
