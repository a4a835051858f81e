from __future__ import annotations

from collections import Counter

import pytest

from candor.data.draw import Shortage, draw_splits, refuse_empty, shrunk_in_words
from candor.errors import SplitError
from candor.recipe.data import DataConfig
from candor.types import LABELS, Example, Label


def examples(count: int, per_group: int = 1) -> list[Example]:
    return [Example(f"{n}", "one", f"Claim {n}", (), LABELS[n % 3], f"g{n // per_group}") for n in range(count)]


def config(**values: object) -> DataConfig:
    return DataConfig.model_validate({"sources": {"one": {"kind": "table", "path": "one.csv"}}, **values})


def counts(draw: dict[str, dict[str, list[Example]]]) -> dict[str, int]:
    return {split: len(sources["one"]) for split, sources in draw.items() if sources}


def test_what_is_asked_both_by_label_and_as_it_comes_shrinks_together() -> None:
    asked = config(train={"one": {"PASS": 40, "FAIL": 40, "NA": 40}}, test={"one": 120}, on_shortage="shrink")
    draw = draw_splits(examples(120), asked)
    assert counts(draw.chosen)["train"] > 40
    assert counts(draw.chosen)["test"] > 40
    assert {str(shortage).split(" ", 1)[0] for shortage in draw.shortages} == {"train.one", "test.one"}


def test_one_label_that_is_short_leaves_the_others_alone() -> None:
    few = [example for example in examples(300) if example.label is not Label.FAIL or int(example.id) < 30]
    asked = {"PASS": 40, "FAIL": 40, "NA": 40}
    draw = draw_splits(few, config(train={"one": asked}, test={"one": asked}, on_shortage="shrink"))
    for split in ("train", "test"):
        labels = Counter(example.label for example in draw.chosen[split]["one"])
        assert labels == {Label.PASS: 40, Label.FAIL: 5, Label.NA: 40}
    assert draw.shortages == [Shortage(split, "one", Label.FAIL, 40, 5, 10) for split in ("train", "test")]


def test_without_a_shortage_nothing_depends_on_what_would_be_done_about_one() -> None:
    drawn = [
        draw_splits(examples(90, 2), config(train={"one": 30}, test={"one": {"NA": 9}}, on_shortage=how)).chosen
        for how in ("error", "shrink", "in_order")
    ]
    assert drawn[0] == drawn[1] == drawn[2]


def test_shares_keep_groups_whole_and_leave_the_rest() -> None:
    draw = draw_splits(examples(120, 4), config(split={"train": 0.5, "test": 0.25}))
    taken = counts(draw.chosen)
    assert abs(taken["train"] - 60) <= 4
    assert abs(taken["test"] - 30) <= 4
    assert not {e.group for e in draw.chosen["train"]["one"]} & {e.group for e in draw.chosen["test"]["one"]}


def test_empty_splits_are_named_all_at_once() -> None:
    asked = config(train={"one": 3}, validation={"one": {"PASS": 4}}, test={"one": 5}, on_shortage="in_order")
    with pytest.raises(SplitError, match=r"validation\.one is empty: it asks for 4 PASS.*test\.one is empty: .* 5 "):
        refuse_empty(draw_splits(examples(3), asked), asked)


def test_what_shrinks_is_one_line_for_each_source() -> None:
    short = [
        Shortage("train", "one", Label.PASS, 10, 8, 20),
        Shortage("train", "one", Label.NA, 20, 16, 20),
        Shortage("test", "one", Label.PASS, 5, 4, 20),
        Shortage("test", "two", None, 7, 6, 9),
    ]
    one, two = shrunk_in_words(short)
    assert one.startswith(
        "one shrinks to what there is: train 8 of 10 PASS, 16 of 20 NA; test 4 of 5 PASS. What shares"
    )
    assert two.startswith("two shrinks to what there is: test 6 of 7 examples. What shares")
