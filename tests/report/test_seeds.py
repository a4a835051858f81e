"""The table over seeds: one interval and one p for each arm."""

from __future__ import annotations

from pathlib import Path

from fake_run import predictions, results

from candor.report.arms import Arm
from candor.report.runs import SavedRun
from candor.report.seeds import seeds_table


def run(name: str, *, count: int = 60) -> SavedRun:
    found = {
        stage: {"wiki": predictions("wiki", stage=stage, count=count, hostile=False)} for stage in ("base", "trained")
    }
    values = results()
    values["comparisons"] = values["comparisons"][:1]
    return SavedRun(name=name, folder=Path(), results=values, predictions=found)


def test_each_arm_with_several_seeds_has_a_column() -> None:
    arms = [Arm("a", (run("a/0"), run("a/1"))), Arm("b", (run("b/0"), run("b/1"))), Arm("c", (run("c/0"),))]
    table = seeds_table(arms)
    assert table is not None
    assert table.columns == ("Metric", "a", "b")
    (group,) = table.groups
    assert group.title == "wiki"
    rise = group.rows[0]
    assert rise.header == "NA recall, %"
    # Both arms hold the same answers: the p of each is doubled, and both are below the level all the same.
    assert rise.cells[0] == rise.cells[1]
    assert rise.cells[0].strong
    assert rise.cells[0].tone == "better"
    interval, p = rise.cells[0].note.splitlines()
    assert interval.startswith("[+")
    assert p.startswith("p ")


def test_without_seeds_or_predictions_there_is_no_table() -> None:
    assert seeds_table([Arm("a", (run("a"),))]) is None
    bare = SavedRun(name="a/0", folder=Path(), results=results())
    assert seeds_table([Arm("a", (bare, bare))]) is None
    # One seed's predictions alone show no spread.
    assert seeds_table([Arm("a", (run("a/0"), bare))]) is None
