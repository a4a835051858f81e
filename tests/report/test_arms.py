"""Runs side by side: which are seeds of one arm, and their figures over the seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_run import results

from candor.report import arms as arms_module
from candor.report.arms import (
    Arm,
    Spread,
    arms_of,
    comparisons,
    datasets_of,
    difference,
    figure,
    is_significant,
    overall,
)
from candor.report.runs import SavedRun


def run(name: str, values: dict[str, Any]) -> SavedRun:
    return SavedRun(name=name, folder=Path(), results=values)


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


def test_a_spread_is_over_the_values_there_are() -> None:
    assert Spread.of([0.2, None, 0.4, 0.9]) == Spread(mean=0.5, low=0.2, high=0.9, n=3)
    assert Spread.of([None]) is None
    assert Spread.of([]) is None


def test_an_arm_gives_its_figures_over_its_seeds() -> None:
    arm = Arm("one", (run("one/0", results()), run("one/1", results(shift=0.1)), run("one/2", {})))
    spread = arm.spread("wiki", "trained", "na_recall")
    assert spread is not None
    assert (spread.low, spread.mean, spread.high, spread.n) == pytest.approx((0.74, 0.79, 0.84, 2))
    assert arm.spread("elsewhere", "trained", "na_recall") is None
    assert [item["dataset"] for item in arm.on("wiki")] == ["wiki", "wiki"]
    assert arm.trained_on == ("wiki",)
    assert datasets_of([arm]) == ["wiki", "revision", "climate"]


def test_what_arms_share_is_over_all_their_runs() -> None:
    arms = [Arm("a", (run("a", results()),)), Arm("b", (run("b", results()),))]
    base = overall(arms, "wiki", "base", "na_recall")
    assert base is not None
    assert (base.n, base.mean) == (2, pytest.approx(0.39))


def test_a_lone_comparison_is_a_run_with_one() -> None:
    item = results()["comparisons"][1] | {"kind": "comparison"}
    assert comparisons(run("x", item)) == [item]
    assert comparisons(run("x", {})) == []


def test_what_is_not_there_is_empty_and_untested() -> None:
    item = results()["comparisons"][0]
    assert figure(item, "bayes", "no such metric") == figure(item, "nobody", "accuracy") == {}
    assert difference(item, "no such metric") == {}
    assert arms_module.tested_p(item, "no such metric") is None
    assert is_significant(item, "no such metric") is None


def test_the_p_that_decides_is_holms_or_by_the_studys_rules_the_plain_one() -> None:
    item = results()["comparisons"][0]
    level = item["settings"]["significance"]
    item["differences"]["na_recall"] |= {"p": level / 2, "p_holm": level}
    # A p at the level itself is not below it.
    assert is_significant(item, "na_recall") is False
    item["conventions"] = "paper"
    assert arms_module.tested_p(item, "na_recall") == level / 2
    assert is_significant(item, "na_recall") is True
