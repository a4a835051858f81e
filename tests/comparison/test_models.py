"""Models against each other: the same numbers as base against trained, corrected over all pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from answer_files import FAIL, NA, PASS, prediction

from candor.comparison.models import COMPARED, compare_models
from candor.comparison.seeds import crossed_differences
from candor.comparison.stages import Both
from candor.errors import PredictionError
from candor.metrics.paired import pair_metrics
from candor.metrics.significance import holm
from candor.metrics.views import stated_view
from candor.types import LABELS, Prediction


def answers(seed: int, *, skill: float, n: int = 120) -> list[Prediction]:
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        gold = LABELS[number % 3]
        label = gold if draw.random() < skill else [PASS, FAIL, NA][int(draw.integers(3))]
        rows.append(replace(prediction(number, gold, label), confidence=round(float(draw.beta(4, 2)), 2)))
    return rows


def test_two_models_with_a_run_each_are_compared_as_base_and_trained_are() -> None:
    one, other = answers(0, skill=0.5), answers(1, skill=0.9)
    (pair,) = compare_models({"a": [one], "b": [other]}, resamples=200, seed=3)
    expected = pair_metrics(stated_view(one), stated_view(other), resamples=200, seed=3).differences
    assert (pair.first, pair.second, pair.seeds, pair.n) == ("a", "b", 1, 120)
    assert list(pair.differences) == list(COMPARED)
    for name, found in pair.differences.items():
        assert (found.value, found.interval, found.p) == (
            expected[name].value,
            expected[name].interval,
            expected[name].p,
        )


def test_seeds_are_compared_seed_by_seed_for_new_seeds_and_new_examples() -> None:
    ones = [answers(seed, skill=0.5) for seed in (0, 1)]
    others = [answers(seed, skill=0.9) for seed in (2, 3)]
    (pair,) = compare_models({"a": ones, "b": [*others, answers(4, skill=0.1)]})
    expected = crossed_differences([Both(one, other) for one, other in zip(ones, others, strict=True)])
    assert pair.seeds == 2
    assert pair.differences["accuracy"].value > 0.2
    for name, found in pair.differences.items():
        assert (found.value, found.interval, found.p) == (
            expected[name].value,
            expected[name].interval,
            expected[name].p,
        )


def test_one_correction_covers_every_figure_of_every_pair() -> None:
    models = {
        name: [answers(seed, skill=skill)] for seed, (name, skill) in enumerate([("a", 0.5), ("b", 0.7), ("c", 0.9)])
    }
    pairs = compare_models(models, resamples=200)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    plain = {f"{place} {name}": one.p for place, pair in enumerate(pairs) for name, one in pair.differences.items()}
    assert len(plain) == 3 * len(COMPARED)
    corrected = holm(plain)
    for place, pair in enumerate(pairs):
        assert {name: one.p_holm for name, one in pair.differences.items()} == {
            name: corrected[f"{place} {name}"] for name in pair.differences
        }
        assert all(one.p_holm is not None and one.p_holm >= one.p for one in pair.differences.values())


def test_only_examples_that_both_answered_count() -> None:
    one, other = answers(0, skill=0.5), answers(1, skill=0.9)
    (pair,) = compare_models({"a": [one[:90]], "b": [other[30:]]}, resamples=50)
    assert pair.n == 60
    assert compare_models({"a": [one[:60]], "b": [other[60:]], "c": []}, resamples=50) == []


def test_an_undefined_figure_is_left_out() -> None:
    decided = [[row for row in answers(seed, skill=0.5) if row.gold is not NA] for seed in (0, 1)]
    (pair,) = compare_models({"a": [decided[0]], "b": [decided[1]]}, resamples=50)
    assert "na_recall" not in pair.differences
    assert "accuracy" in pair.differences


def test_other_gold_labels_are_an_error_that_names_the_example() -> None:
    one, other = answers(0, skill=0.5), answers(1, skill=0.9)
    other[7] = replace(other[7], gold=PASS if other[7].gold is not PASS else FAIL)
    with pytest.raises(PredictionError, match=r"1 examples have different gold labels .* 'e7'"):
        compare_models({"a": [one], "b": [other]}, resamples=50)
