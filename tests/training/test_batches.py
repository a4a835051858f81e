"""Whose turn it is in a step: every example once in an epoch, in an order that the seed decides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toy import example

from candor.errors import EngineError
from candor.prompts.encoding import EncodedPrompt
from candor.recipe.recipe import Recipe, recipe_from
from candor.training.batches import NO_GOLD, Prepared, PromptSet, draw_batch, epoch_order, in_turn, prepare
from candor.types import LABELS, Label


@pytest.mark.parametrize(("count", "size"), [(6, 2), (5, 3), (4, 6), (1, 3)])
def test_every_example_has_its_turn_once_in_an_epoch(count: int, size: int) -> None:
    drawn = [index for step in range(2 * count) for index in in_turn(step, size, count, seed=0)]
    epochs = [drawn[start : start + count] for start in range(0, len(drawn) - count + 1, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    if count > 3:
        assert len(set(map(tuple, epochs))) > 1


def test_a_step_depends_on_its_number_alone() -> None:
    assert in_turn(7, 3, 10, seed=1) == in_turn(7, 3, 10, seed=1)
    orders = {tuple(epoch_order(seed, epoch, 20)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def recipe(*overrides: str) -> Recipe:
    values = {
        "name": "r",
        "model": {"name": "sandbox"},
        "data": {
            "sources": {"wiki": {"kind": "sandbox"}, "climate": {"kind": "sandbox"}},
            "train": {"wiki": 8, "climate": 8},
        },
        "train": {"prompts_per_step": 4},
    }
    return recipe_from(values, overrides)


def prompt_set(start: int, count: int, dropped: int = 0) -> PromptSet:
    examples = [example(start + n, evidence=("e",), label=LABELS[n % 3]) for n in range(count)]
    return PromptSet(examples, [EncodedPrompt((start + n,), dropped) for n in range(count)])


def prepared(made: Recipe, labelled: PromptSet, unlabelled: PromptSet) -> Prepared:
    nothing: Any = None
    return Prepared(made, nothing, nothing, nothing, labelled, unlabelled, seed=5)


def test_labels_stand_beside_their_prompts() -> None:
    labelled = prompt_set(100, 6)
    batch = draw_batch(prepared(recipe(), labelled, prompt_set(0, 0)), 0)
    assert len(batch.prompts_P) == 4
    for shown, (token,), gold in zip(batch.examples_P, batch.prompts_P, batch.gold_P, strict=True):
        assert shown is labelled.examples[token - 100]
        assert LABELS[gold] is shown.label
    assert batch.has_evidence_P.tolist() == [True] * 4


def test_evidence_that_was_cut_is_not_shown() -> None:
    assert not draw_batch(prepared(recipe(), prompt_set(0, 5, dropped=1), prompt_set(0, 0)), 0).has_evidence_P.any()


def test_unlabelled_prompts_come_behind_and_their_labels_are_not_looked_at() -> None:
    made = recipe("train.unlabelled={sources: [climate], prompts_per_step: 2}")
    steps = [draw_batch(prepared(made, prompt_set(100, 6), prompt_set(200, 4)), step) for step in range(2)]
    for batch in steps:
        assert [token >= 200 for (token,) in batch.prompts_P] == [False] * 4 + [True] * 2
        assert (batch.gold_P == NO_GOLD).tolist() == [False] * 4 + [True] * 2
    # Both sets are gone through on their own.
    assert sorted(token for batch in steps for (token,) in batch.prompts_P[4:]) == [200, 201, 202, 203]
    assert NO_GOLD not in range(len(LABELS))


@pytest.mark.parametrize(
    ("overrides", "labelled", "unlabelled", "words"),
    [
        ((), 0, 0, "no examples to train on; give counts under data.train"),
        ((), 3, 1, "no examples for train.unlabelled"),
        (("train.unlabelled={sources: [climate]}",), 3, 0, "no examples for train.unlabelled"),
    ],
)
def test_nothing_to_train_on(overrides: tuple[str, ...], labelled: int, unlabelled: int, words: str) -> None:
    some = [example(n, label=Label.NA) for n in range(4)]
    engine: Any = SimpleNamespace()
    with pytest.raises(EngineError, match=words):
        prepare(recipe(*overrides), engine, some[:labelled], 0, unlabelled=some[:unlabelled])


def test_a_set_is_as_long_as_its_examples() -> None:
    assert len(prompt_set(0, 3)) == 3
    assert np.asarray(prompt_set(0, 3).encoded[2].tokens).tolist() == [2]
