"""Seeds on shared examples: each figure's parts are right, and chance alone seldom decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from answer_files import FAIL, NA, PASS, prediction

from candor.comparison.seeds import add_crossed, crossed_differences, crossed_over_arms
from candor.comparison.stages import Both
from candor.errors import PredictionError
from candor.metrics.paired import pair_metrics
from candor.metrics.significance import holm
from candor.metrics.views import stated_view
from candor.types import LABELS, Prediction


def answers(seed: int, n: int = 90, *, skill: float = 0.6, groups: int = 90) -> list[Prediction]:
    """Made-up answers to the same examples, whatever the seed."""
    draw, made = np.random.default_rng(seed), []
    for number in range(n):
        gold = LABELS[number % 3]
        label: Any = gold if draw.random() < skill else [PASS, FAIL, NA, None][int(draw.integers(4))]
        row = replace(prediction(number, gold, label), group=f"g{number % groups}")
        made.append(row if label is None else replace(row, confidence=round(float(draw.beta(4, 2)), 2)))
    return made


def test_values_are_those_of_a_comparison_and_their_mean() -> None:
    base, seeds = answers(0), [answers(1, skill=0.8), answers(2, skill=0.7)]
    found = crossed_differences([Both(base, trained) for trained in seeds])
    singles = [pair_metrics(stated_view(base), stated_view(trained), resamples=10).differences for trained in seeds]
    for name in ("na_recall", "accuracy", "pass_recall", "fail_recall", "auroc", "brier", "log_score"):
        assert found[name].value == pytest.approx(np.mean([one[name].value for one in singles])), name
        assert found[name].interval is not None
        assert found[name].seeds == 2
    na = [sum(row.label is NA for row in rows if row.gold is not NA) / 60 for rows in (base, *seeds)]
    assert found["false_na_rate"].value == pytest.approx((na[1] + na[2]) / 2 - na[0])


@pytest.mark.parametrize("groups", [30, 90])
def test_the_variance_of_examples_is_that_of_leaving_groups_out(groups: int) -> None:
    base, trained = answers(0, groups=groups), answers(1, skill=0.8, groups=groups)
    found = crossed_differences([Both(base, trained), Both(base, trained)])

    def without(left_out: int) -> Any:
        sides = [[row for row in rows if row.group != f"g{left_out}"] for rows in (base, trained)]
        return pair_metrics(*map(stated_view, sides), resamples=1).differences

    left = [without(group) for group in range(groups)]
    for name in ("na_recall", "accuracy", "brier", "log_score", "auroc"):
        values = np.array([one[name].value for one in left])
        jackknife = np.sqrt((groups - 1) / groups * ((values - values.mean()) ** 2).sum())
        assert found[name].example_error == pytest.approx(jackknife, rel=0.08), name
        assert found[name].seed_error == 0


def test_examples_that_not_every_seed_has_are_left_out() -> None:
    base, trained = answers(0), answers(1)
    found = crossed_differences([Both(base, trained), Both(base, trained[:60])])
    assert found["accuracy"].groups == 60
    assert crossed_differences([Both(base[:10], trained), Both(base[10:], trained)]) == {}
    other = [replace(row, gold=PASS) for row in trained]
    with pytest.raises(PredictionError, match="differ in their gold labels"):
        crossed_differences([Both(base, trained), Both(base, other)])


def test_a_figure_that_is_undefined_for_a_seed_is_left_out() -> None:
    base = answers(0)
    silent = [replace(row, confidence=None) for row in answers(1)]
    found = crossed_differences([Both(base, silent), Both(base, answers(2))])
    assert {"auroc", "brier", "log_score"}.isdisjoint(found)
    assert "accuracy" in found


def test_p_is_corrected_over_the_arms() -> None:
    base = answers(0)
    arms = {
        name: [Both(base, answers(seed, skill=skill)) for seed in (1, 2)] for name, skill in (("a", 0.75), ("b", 0.6))
    }
    found = crossed_over_arms(arms | {"alone": arms["a"][:1]})
    assert found["alone"] == {}
    for name in ("na_recall", "brier"):
        p_values = {arm: crossed_differences(seeds)[name].p for arm, seeds in arms.items()}
        assert {arm: found[arm][name]["p"] for arm in arms} == p_values
        assert {arm: found[arm][name]["p_holm"] for arm in arms} == holm(p_values)
    assert found["a"]["accuracy"]["p_holm"] == min(1.0, 2 * (found["a"]["accuracy"]["p"] or 1.0))


def test_every_dataset_of_every_arm_gains_what_its_seeds_share() -> None:
    base, trained = answers(0), [answers(1), answers(2)]
    both = [{"wiki": Both(base, one)} for one in trained]
    results: Any = {
        arm: {"comparisons": [{"dataset": name} for name in names]}
        for arm, names in (("a", ["wiki", "news"]), ("b", ["wiki"]))
    }
    add_crossed(results, {"a": both, "b": both[:1]})
    wiki, news = results["a"]["comparisons"]
    assert wiki["crossed"]["accuracy"]["seeds"] == 2
    assert wiki["crossed"]["accuracy"]["p_holm"] == wiki["crossed"]["accuracy"]["p"]
    assert news["crossed"] == {}
    assert results["b"]["comparisons"][0]["crossed"] == {}


def test_without_an_effect_in_the_population_few_test_sets_show_one() -> None:
    """Three seeds on one test set: a t-test over seeds alone found p < .05 in .54 of the draws."""
    generator, n, hits = np.random.default_rng(0), 60, 0
    for _ in range(150):
        # An example is hard or easy for all seeds alike; the base model meets it by a draw of its own.
        easy_N, base_N = generator.random(n) < 0.6, generator.random(n) < 0.6
        seeds = []
        for _ in range(3):
            right_N = np.where(generator.random(n) < 0.9, easy_N, generator.random(n) < 0.6)
            seeds.append(Both(*([_row(i, bool(right)) for i, right in enumerate(side)] for side in (base_N, right_N))))
        hits += crossed_differences(seeds)["accuracy"].p < 0.05
    assert hits <= 0.1 * 150


def _row(number: int, right: bool) -> Prediction:
    return prediction(number, PASS, PASS if right else FAIL)
