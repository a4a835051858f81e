"""The first screen: figures before and after, in words that cannot be taken for more than they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_run import predictions, results

from candor.report.arms import Arm, arms_of
from candor.report.runs import SavedRun
from candor.report.tables import Mark
from candor.report.tiles import tiles, where


def run(name: str = "r", values: dict[str, Any] | None = None, **parts: Any) -> SavedRun:
    return SavedRun(name=name, folder=Path(), results=results() if values is None else values, **parts)


def with_na(recall: tuple[float, float], false_na: tuple[float, float], p: float = 0.001) -> dict[str, Any]:
    """Results in which NA recall and false NA go from the first value to the second on wiki."""
    values = results()
    item = values["comparisons"][0]
    for name, (before, after) in (("na_recall", recall), ("false_na_rate", false_na)):
        for side, value in (("base", before), ("trained", after)):
            item["metrics"][side][name] = {"value": value, "interval": [value, value], "n": 500, "reason": None}
        item["differences"].setdefault(name, dict(item["differences"]["accuracy"]))
        item["differences"][name] |= {
            "value": after - before,
            "interval": [after - before, after - before],
            "p_holm": p,
        }
    return values


def test_three_questions_with_before_after_interval_and_a_sentence() -> None:
    na, right, confidence = tiles([Arm("r", (run(),))])
    assert [tile.metric for tile in (na, right, confidence)] == ["NA recall", "Accuracy", "AUROC of confidence"]
    (one,) = na.shown
    assert (one.name, one.before, one.after) == ("", "39.0 %", "74.0 %")
    assert (one.change, one.tone, one.verdict) == ("+35.0 points [+31.0, +39.0]", "better", "better")
    assert one.sentence.startswith("Of 100 claims that lack evidence it says so of 74 (before: 39)")
    assert one.marks == (Mark("base", 0.39), Mark("series1", 0.74, (0.71, 0.77)))
    assert right.shown[0].sentence == "Of 100 claims it judges 78 rightly (before: 66)."
    assert "coin: 50" in confidence.shown[0].sentence


def test_na_recall_never_stands_without_false_na() -> None:
    (tile, *_) = tiles([Arm("r", (run(values=with_na((0.4, 0.8), (0.01, 0.1))),))])
    assert tile.shown[0].sentence == (
        "Of 100 claims that lack evidence it says so of 80 (before: 40); "
        "of 100 that could be decided it says so of 10, wrongly (before: 1)."
    )


def test_a_model_that_says_na_to_everything_is_not_called_better() -> None:
    (tile, *_) = tiles([Arm("r", (run(values=with_na((0.4, 1.0), (0.1, 1.0))),))])
    (one,) = tile.shown
    assert (one.after, one.tone) == ("100.0 %", "worse")
    assert one.verdict == "no better: NA is said as much more where it should not be"
    assert "could be decided it says so of 100, wrongly" in one.sentence
    assert one.sentence.endswith("It says NA hardly more often where it should than where it should not.")


def test_a_difference_that_is_not_significant_is_not_called_better() -> None:
    (tile, *_) = tiles([Arm("r", (run(values=with_na((0.4, 0.5), (0.1, 0.1), p=0.4)),))])
    # Its interval is of this difference alone, the p of all that were tested.
    assert (tile.shown[0].tone, tile.shown[0].verdict) == ("", "not significant (Holm)")
    values = with_na((0.4, 0.5), (0.1, 0.1), p=0.4)
    values["comparisons"][0]["differences"]["na_recall"]["interval"] = [-0.1, 0.3]
    (tile, *_) = tiles([Arm("r", (run(values=values),))])
    assert (tile.shown[0].tone, tile.shown[0].verdict) == ("", "no clear difference")


def test_every_arm_has_its_row_on_every_dataset_it_was_trained_on() -> None:
    both = {"wiki": "in_domain", "revision": "in_domain"}
    arms = arms_of([run("a", results(role_of={"wiki": "in_domain"})), run("b", results(role_of=both, shift=0.1))])
    for tile in tiles(arms):
        assert [one.name for one in tile.shown] == ["a on wiki", "b on wiki", "b on revision"]
        assert [one.role for one in tile.shown] == ["series1", "series2", "series2"]
    assert where(arms) == "Before and after training, on test claims of what was trained on: wiki and revision."


def test_seeds_are_means_with_an_interval_for_new_seeds() -> None:
    found = {side: {"wiki": predictions("wiki", stage=side, count=200, hostile=False)} for side in ("base", "trained")}
    values = [results(), results(shift=0.1)]
    arms = arms_of([run(f"a/{seed}", one, predictions=found) for seed, one in enumerate(values)])
    one = tiles(arms)[0].shown[0]
    assert one.after == "79.0 %"
    assert one.marks[1] == Mark("series1", pytest.approx(0.79), pytest.approx((0.74, 0.84)))
    assert one.change.startswith("+40.0 points [")
    assert one.tone == "better"
    assert where(arms).endswith("Means over the seeds; the intervals hold for new seeds and new claims.")
    # Without predictions there is no such interval, and nothing is called better.
    bare = arms_of([run(f"a/{seed}", one) for seed, one in enumerate(values)])
    assert (tiles(bare)[0].shown[0].change, tiles(bare)[0].shown[0].tone) == ("+40.0 points", "")


def test_without_figures_there_is_no_tile() -> None:
    assert tiles([Arm("r", (run(values={}),))]) == []
