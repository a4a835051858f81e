"""Conditions of a finding: met, refuted or undecided, with what would decide."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fake_run import results

from candor.comparison.conditions import (
    confidence_conditions,
    find_test,
    is_out_of_form,
    is_recalibrated,
    levels,
    loss_conditions,
    rise_condition,
)
from candor.comparison.share_tests import RISE


@pytest.fixture
def item() -> Any:
    return results()["comparisons"][0]


def changed(item: Any, figure: str, margin: float, **values: Any) -> Any:
    test = find_test(item, figure, "all", margin)
    assert test is not None
    test.update(values)  # type: ignore[typeddict-item]
    return item


@pytest.mark.parametrize(
    ("interval", "p", "enough", "outcome"),
    [
        ((0.11, 0.19), 0.001, True, "holds"),
        ((0.10, 0.19), 0.001, True, "undecided"),
        ((0.11, 0.19), 0.03, True, "undecided"),  # an exact p may say less than the interval
        ((0.11, 0.19), 0.001, False, "undecided"),
        ((0.05, 0.09), 0.9, True, "does_not_hold"),
        ((-0.02, 0.09), 0.9, False, "does_not_hold"),
        (None, 0.5, True, "undecided"),
    ],
)
def test_a_rise_above_a_margin(item: Any, interval: Any, p: float, enough: bool, outcome: str) -> None:
    changed(item, "na_recall", RISE, interval=interval, p=p, enough=enough, needed=700, reason="one group")
    number = rise_condition(item, RISE, "all")
    assert number is not None
    assert number["outcome"] == outcome
    assert number["needed"] == (700 if outcome == "undecided" else None)


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [((0.001, 0.05), "holds"), ((-0.01, 0.03), "undecided"), ((-0.01, 0.01), "does_not_hold")],
)
def test_any_rise_is_refuted_by_an_interval_close_to_0(item: Any, interval: Any, outcome: str) -> None:
    number = rise_condition(changed(item, "na_recall", 0.0, interval=interval, p=0.001), 0.0, "all")
    assert number is not None
    assert (number["condition"], number["outcome"]) == ("NA recall rises", outcome)


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [((-0.019, 0.0), "holds"), ((-0.03, -0.01), "undecided"), ((-0.06, -0.021), "does_not_hold")],
)
def test_accuracy_is_kept_above_minus_its_margin(item: Any, interval: Any, outcome: str) -> None:
    number = loss_conditions(changed(item, "accuracy", -0.02, interval=interval, p=0.001), "all")[0]
    assert (number["margin"], number["outcome"]) == (-0.02, outcome)


def test_what_was_not_tested_is_no_condition(item: Any) -> None:
    assert rise_condition(item, RISE, "probe") is None
    assert loss_conditions(item, "answered_by_both") == []
    assert find_test(item, "na_recall", "all", 0.3) is None


def test_a_number_in_words(item: Any) -> None:
    changed(item, "na_recall", RISE, base=0.39, trained=0.74, difference=0.35, interval=(0.31, 0.39), n=1_500)
    number = rise_condition(item, RISE, "all")
    assert number is not None
    assert number["text"] == "NA recall 39.0 -> 74.0 %, +35.0 points (+31.0 to +39.0; 1,500 NA examples)"
    changed(item, "na_recall", RISE, enough=False, discordant=3, groups=29)
    number = rise_condition(item, RISE, "all")
    assert number is not None
    assert number["text"].endswith("examples; the models differ in 3 of 29 groups only)")
    changed(item, "na_recall", RISE, difference=None, interval=None, p=None, reason="there are no examples")
    number = rise_condition(item, RISE, "all")
    assert number is not None
    assert number["text"] == "NA recall is unknown: there are no examples"


def test_the_confidence_has_a_condition_for_each_figure_that_is_there(item: Any) -> None:
    item["skill"]["trained"] = {
        "brier": {"value": 0.1, "interval": (0.05, 0.15), "n": 9, "reason": None},
        "log": {"value": None, "interval": None, "n": 0, "reason": "no confidence"},
    }
    numbers = {number["condition"]: number for number in confidence_conditions(item)}
    assert [condition.partition(" ")[0] for condition in numbers] == ["Brier", "log", "AUROC", *["gain"] * 3]
    assert numbers["Brier skill over the base rate is above 0"]["outcome"] == "holds"
    unknown = numbers["log skill over the base rate is above 0"]
    assert (unknown["outcome"], unknown["needed"]) == ("undecided", None)
    assert unknown["text"] == "log skill over the base rate is unknown (no confidence)"


def test_how_many_answers_would_decide_goes_with_the_square_of_the_distance(item: Any) -> None:
    item["metrics"]["trained"]["auroc"] |= {"value": 0.56, "interval": (0.44, 0.68), "n": 100}
    (auroc,) = (number for number in confidence_conditions(item) if "AUROC" in number["condition"])
    # .12 reach to .06 distance; 1.96 standard errors, and .84 more to reach it in four repetitions of five.
    assert auroc["needed"] == math.ceil(400 * ((1.959964 + 0.841621) / 1.959964) ** 2)
    item["metrics"]["trained"]["auroc"] |= {"interval": None}
    (auroc,) = (number for number in confidence_conditions(item) if "AUROC" in number["condition"])
    assert auroc["needed"] is None


@pytest.mark.parametrize(
    ("difference", "interval", "needed"),
    [
        (-0.004, (-0.036, 0.028), 1817),  # refuted below two points: .032 reach to .024 distance
        (0.0, (-0.033, 0.033), 2782),  # the margin itself
        (0.015, (-0.017, 0.047), 700),  # above 0, as planned, before below two points: .032 to .005
        (0.05, (-0.01, 0.11), 700),
    ],
)
def test_a_rise_is_decided_to_either_side(item: Any, difference: float, interval: Any, needed: int) -> None:
    changed(item, "na_recall", 0.0, difference=difference, interval=interval, p=0.2, n=500, enough=True, needed=700)
    number = rise_condition(item, 0.0, "all")
    assert number is not None
    assert (number["outcome"], number["needed"]) == ("undecided", needed)


def test_the_form_and_recalibration_are_looked_up(item: Any) -> None:
    item["rows"] |= {"used": 1_000, "invalid": {"base": 10, "trained": 0}}
    assert not is_out_of_form(item)
    item["rows"]["invalid"]["trained"] = 11
    assert is_out_of_form(item)
    assert is_recalibrated(item)
    for fit in item["recalibration"][1:]:
        fit |= {"trained_minus": {}, "reason": "needs 20 right"}
    assert not is_recalibrated(item)
    assert levels(item, "na_recall") == "39.0 % -> 74.0 %"
    assert levels(item, "no_such_figure") is None
