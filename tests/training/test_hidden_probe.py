"""A probe of hidden states, and the answers that it teaches."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import EXAMPLES, save_toy_model, toy_engine, toy_recipe

from candor.errors import DataError
from candor.recipe.recipe import Recipe
from candor.training import hidden_probe
from candor.training.asking import label_probabilities
from candor.training.batches import draw_batch, key_of, prepare
from candor.training.hidden_probe import HiddenProbe, probed_answers
from candor.training.supervised import supervised_step
from candor.types import LABELS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def recipe(model: Path, *overrides: str) -> Recipe:
    return toy_recipe(model, "objective={preset: probe-distilled}", *overrides)


def planted(count: int, *, seed: int) -> tuple[Any, Any]:
    """States of forty numbers, one of which tells the chance of being right."""
    generator = np.random.default_rng(seed)
    states = generator.normal(size=(count, 40))
    right = generator.random(count) < 1 / (1 + np.exp(-2 * states[:, 7]))
    return states, right


def test_it_finds_the_direction_that_tells() -> None:
    states, right = planted(600, seed=0)
    probe = HiddenProbe.fit(states, right, [str(index // 2) for index in range(600)])
    fresh, _ = planted(4000, seed=1)
    chance = 1 / (1 + np.exp(-2 * fresh[:, 7]))
    assert np.abs(probe.probabilities(fresh) - chance).mean() < 0.1
    assert probe.log_loss < -np.mean(right * np.log(right.mean()) + ~right * np.log(1 - right.mean()))
    assert probe.strength in hidden_probe.STRENGTHS


def test_where_nothing_tells_it_says_the_share_of_right_ones() -> None:
    states, _ = planted(400, seed=2)
    right = np.random.default_rng(3).random(400) < 0.7
    probe = HiddenProbe.fit(states, right, [str(index) for index in range(400)])
    assert np.abs(probe.probabilities(states) - right.mean()).max() < 0.1


@pytest.mark.parametrize("right", [[True] * 6, [False] * 6, [True] * 4 + [False] * 2])
def test_it_needs_right_and_wrong_labels_in_two_groups(right: list[bool]) -> None:
    groups = ["a", "b", "c", "d", "e", "e"]
    with pytest.raises(DataError, match="needs right and wrong ones in two groups"):
        HiddenProbe.fit(np.zeros((6, 2)), np.array(right), groups)


def test_what_is_taught_is_the_models_own_label_and_the_probes_number(model: Path, tmp_path: Path) -> None:
    engine = toy_engine(model)
    own = label_probabilities(recipe(model), engine, EXAMPLES).argmax(1)
    # Gold labels of validation are chosen so that the model is right in half of them.
    gold = [LABELS[k if index % 2 else (k + 1) % 3] for index, k in enumerate(own)]
    validation = [
        dataclasses.replace(example, label=label, group=f"v{index}")
        for index, (example, label) in enumerate(zip(EXAMPLES, gold, strict=True))
    ]
    path = tmp_path / "hidden_probe.json"
    taught = probed_answers(recipe(model), engine, validation, EXAMPLES, path)
    assert [taught[key_of(example)].label for example in EXAMPLES] == own.tolist()
    kept = json.loads(path.read_text())
    assert (kept["fitted_on"], kept["right"]) == (10, 0.5)
    stated = [round(100 * row[3]) for row in kept["answers"]]
    assert [taught[key_of(example)].hundredths for example in EXAMPLES] == stated
    # What is there is taken, and no label of a training example is looked at.
    blind = [dataclasses.replace(example, label=LABELS[0]) for example in EXAMPLES]
    assert probed_answers(recipe(model), engine, [], blind, path) == taught

    run = prepare(recipe(model), engine, EXAMPLES, 1, taught=taught)
    batch = draw_batch(run, 0)
    taken = supervised_step(run, run.recipe.objective, batch, 0)
    shown = [run.grammar.answers[taught[key_of(example)].answer] for example in batch.examples_P]
    assert [tokens for (tokens,) in taken.batch.continuations] == shown
    assert taken.objective.label_weight is None  # type: ignore[attr-defined]
