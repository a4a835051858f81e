"""What the findings rest on: which shares are tested, on which answers, and how often chance alone decides."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from candor.comparison.conditions import loss_conditions, rise_condition
from candor.comparison.share_tests import ACCURACY_LOSS, RISE, form_changes, share_tests
from candor.comparison.stages import Both, Views
from candor.metrics.views import View
from candor.types import LABELS, NO_LABEL, Label

P, F, N = range(3)
assert LABELS == (Label.PASS, Label.FAIL, Label.NA)


def view(gold: Any, label: Any) -> View:
    gold_N, label_N = np.array(gold), np.array(label)
    return View(gold_N, label_N, np.where(label_N == NO_LABEL, np.nan, 0.5), np.arange(gold_N.size))


def views(gold: Any, base: Any, trained: Any, *, bare: Any = None, probes: Any = (None, None)) -> Views:
    sides = Both(view(gold, base), view(gold, trained))
    bare_N = np.zeros(len(gold), dtype=np.bool_) if bare is None else np.array(bare)
    return Views(own=sides, paired=sides, dropped=(), probes=Both(*probes), bayes=None, bare_N=bare_N)


def judged(found: Views) -> Any:
    """As much of a comparison as conditions look at."""
    return {"dataset": "d", "share_tests": share_tests(found), "settings": {"level": 0.95}}


def test_which_shares_are_tested_on_which_answers() -> None:
    gold = [P, F, N, N]
    alike = views(gold, gold, gold)
    assert Counter(test["on"] for test in share_tests(alike)) == {"all": 5}
    probe = view(gold, [P, F, N, P])
    every = views(gold, [P, F, NO_LABEL, P], [P, F, N, N], bare=[False, False, False, True], probes=(probe, probe))
    tests = share_tests(every)
    assert Counter(test["on"] for test in tests) == {
        "all": 5,
        "answered_by_both": 5,
        "with_evidence": 2,
        "probe": 2,
    }
    rises = {test["on"]: (test["base"], test["trained"], test["n"]) for test in tests if test["figure"] == "na_recall"}
    assert rises == {
        "all": (0.0, 1.0, 2),
        "answered_by_both": (0.0, 1.0, 1),
        "with_evidence": (0.0, 1.0, 1),
        "probe": (0.5, 0.5, 2),
    }


def test_a_label_without_examples_has_no_difference() -> None:
    tests = share_tests(views([P, P], [P, P], [P, F]))
    (fail,) = (test for test in tests if test["figure"] == "fail_recall")
    assert (fail["n"], fail["difference"], fail["interval"], fail["p"]) == (0, None, None, None)
    assert fail["reason"] == "there are no examples"
    # Nothing can be lost of it.
    conditions = [number["condition"] for number in loss_conditions(judged(views([P, P], [P, P], [P, F])), "all")]
    assert conditions == ["accuracy falls by no more than 2 points", "PASS recall falls by no more than 5 points"]


def test_changes_of_form_are_those_of_na_examples() -> None:
    gold = [N, N, N, N, P]
    found = form_changes(views(gold, [NO_LABEL, NO_LABEL, N, P, NO_LABEL], [N, P, NO_LABEL, NO_LABEL, P]))
    assert found == {"na": 4, "na_from_no_label": 1, "na_to_no_label": 1}


def drawn(generator: np.random.Generator, n: int, rises: float, falls: float, gold: int) -> Views:
    """Examples of one label, on each of which the answer becomes right, wrong, or stays right."""
    change_N = generator.choice(3, size=n, p=[rises, falls, 1 - rises - falls])
    wrong = (gold + 1) % 3
    return views([gold] * n, np.where(change_N == 0, wrong, gold), np.where(change_N == 1, wrong, gold))


@pytest.mark.parametrize(("rise", "at_most"), [(RISE, 0.045), (0.08, 0.01)])
def test_a_rise_of_the_margin_or_less_seldom_counts_as_above_it(rise: float, at_most: float) -> None:
    """A point estimate above 10 points would hold in about half of the draws at a true rise of 10, in 14 % at 8."""
    generator, held = np.random.default_rng(0), 0
    for _ in range(400):
        number = rise_condition(judged(drawn(generator, 500, rise + 0.05, 0.05, N)), RISE, "all")
        assert number is not None
        held += number["outcome"] == "holds"
    assert held <= at_most * 400


# Up to 150 examples each test looks at every table there is, which takes its time.
@pytest.mark.parametrize(("n", "draws"), [(100, 60), (200, 300), (1_000, 300)])
def test_a_fall_of_the_margin_seldom_counts_as_none(n: int, draws: int) -> None:
    """A point estimate at or above 0 would pass in 35, 24 and 5 % of the draws."""
    generator, held = np.random.default_rng(n), 0
    for _ in range(draws):
        number = loss_conditions(judged(drawn(generator, n, 0.05, 0.05 + ACCURACY_LOSS, P)), "all")[0]
        held += number["outcome"] == "holds"
    assert held <= 0.06 * draws


@pytest.mark.parametrize("n", [2, 5, 10, 30])
def test_without_an_effect_few_examples_seldom_hold(n: int) -> None:
    """With half of the pairs discordant a bootstrap's p fell below .01 in .128, .055 and .025 at 2, 5 and 10."""
    generator, held = np.random.default_rng(n), 0
    for _ in range(100):
        number = rise_condition(judged(drawn(generator, n, 0.25, 0.25, N)), 0.0, "all")
        assert number is not None
        held += number["outcome"] == "holds"
    assert held <= 0.06 * 100
