"""Answers that are shown: which, what they cost, and that a training on them is as resumable as any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import EXAMPLES, TEMPLATE, save_toy_model, toy_engine, toy_recipe

from candor.engines.base import TokenScores
from candor.errors import EngineError, RecipeError, Stopped
from candor.prompts.answers import parse
from candor.prompts.encoding import decode
from candor.recipe.objective import objective_config
from candor.recipe.recipe import Recipe
from candor.training.batches import Shown, draw_batch, key_of, prepare
from candor.training.loop import train
from candor.training.supervised import (
    SupervisedObjective,
    agreeing_answers,
    supervised_step,
    taught_answers,
)
from candor.types import LABELS, Rollout

FITTED = {key_of(example): Shown(LABELS.index(example.label), 10 * index) for index, example in enumerate(EXAMPLES)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def recipe(folder: Path, taught: str, *overrides: str) -> Recipe:
    return toy_recipe(folder, f"objective={{preset: sft, taught_confidence: {taught}}}", *overrides)


def prepared(folder: Path, taught: str, *overrides: str) -> Any:
    made = recipe(folder, taught, *overrides)
    return prepare(made, toy_engine(folder, trained=False), EXAMPLES, 1, taught=FITTED)


@pytest.mark.parametrize("taught", ["constant", "drawn", "cross_fitted"])
def test_every_prompt_is_shown_one_answer_with_its_label_and_the_taught_confidence(folder: Path, taught: str) -> None:
    run = prepared(folder, taught)
    batch = draw_batch(run, 0)
    taken = supervised_step(run, run.recipe.objective, batch, 0)
    answers = [parse(decode(run.engine.tokenizer, tokens), TEMPLATE) for (tokens,) in taken.batch.continuations]
    assert [answer.label for answer in answers] == [example.label for example in batch.examples_P]
    stated = [answer.confidence for answer in answers]
    if taught == "constant":
        assert stated == [0.7] * 4
    elif taught == "cross_fitted":
        assert stated == [FITTED[key_of(example)].hundredths / 100 for example in batch.examples_P]
    else:
        assert len(set(stated)) > 1
    assert taken.rollouts_P_G == []


def test_drawn_confidences_are_any_of_all_and_others_in_every_step(folder: Path) -> None:
    run = prepared(folder, "drawn", "train.prompts_per_step=400")

    def drawn(step: int, seed: int) -> Any:
        shown = taught_answers(run.recipe.objective, draw_batch(run, step), {}, seed)
        return np.array([each.hundredths for each in shown])

    first, second = drawn(0, 5), drawn(0, 6)
    assert first.min() <= 5
    assert first.max() >= 95
    assert np.mean(first == second) < 0.1
    again = drawn(0, 5)
    assert (again == first).all()


def test_an_example_of_which_nothing_was_found_out_is_an_error(folder: Path) -> None:
    run = prepare(recipe(folder, "cross_fitted"), toy_engine(folder), EXAMPLES, 1)
    with pytest.raises(EngineError, match=r"no answer to teach was found out for e\d, e\d, "):
        supervised_step(run, run.recipe.objective, draw_batch(run, 0), 0)


def test_the_loss_is_the_mean_of_the_answers_and_its_parts_add_up() -> None:
    """By hand: log-probabilities of three answers of four tokens, of which the third tells the label."""
    logprobs = -torch.arange(1.0, 13.0).view(3, 1, 4)
    logprobs[2, 0, 3] = 0.0  # padding
    scores = TokenScores(logprobs / 2, logprobs, torch.ones(3, 1, 4, dtype=torch.bool))
    start, end = np.full((3, 1), 2), np.full((3, 1), 3)
    objective = SupervisedObjective(start, end, np.ones((3, 1)), label_weight=1.0)
    whole = objective(scores, slice(0, 3))
    assert whole.loss.item() == pytest.approx((10 + 26 + 30) / 3)
    assert whole.means.values() == {"loss_label": (3 + 7 + 11) / 3, "loss_form": pytest.approx((7 + 19 + 19) / 3)}
    heavier = SupervisedObjective(start, end, np.ones((3, 1)), label_weight=10.0)(scores, slice(0, 3))
    assert heavier.loss.item() == pytest.approx(whole.loss.item() + 9 * (3 + 7 + 11) / 3)
    assert heavier.means.values() == whole.means.values()
    part = TokenScores(logprobs[1:] / 2, logprobs[1:], scores.mask_P_C_T[1:])
    first = TokenScores(logprobs[:1] / 2, logprobs[:1], scores.mask_P_C_T[:1])
    parts = objective(first, slice(0, 1)).loss + objective(part, slice(1, 3)).loss
    assert parts.item() == pytest.approx(whole.loss.item())


def test_answers_of_the_models_own_state_the_share_of_samples_that_agree(folder: Path) -> None:
    run = prepared(folder, "agreement", "objective.samples=4")
    batch = draw_batch(run, 0)
    taken = supervised_step(run, run.recipe.objective, batch, 0)
    assert [len(group) for group in taken.rollouts_P_G] == [4] * 4
    for group, shown in zip(taken.rollouts_P_G, taken.batch.continuations, strict=True):
        labels = [label for rollout in group if (label := parse(rollout.text, TEMPLATE).label) is not None]
        answers = [parse(decode(run.engine.tokenizer, tokens), TEMPLATE) for tokens in shown]
        if labels:
            stated = {answer.label: answer.confidence for answer in answers}
            assert stated == {label: labels.count(label) / 4 for label in labels}


def test_shares_are_those_of_all_samples_and_weigh_what_is_shown() -> None:
    def said(*texts: str) -> list[Rollout]:
        return [Rollout((), text, (), (), (0.0, 0.0, 0.0), stopped=True) for text in texts]

    mostly = said("LABEL=PASS\nCONF=0.80", "LABEL=PASS\nCONF=0.10", "LABEL=NA\nCONF=0.50", "no idea")
    assert agreeing_answers(TEMPLATE, mostly) == [Shown(0, 50, 0.5), Shown(2, 25, 0.25)]
    assert agreeing_answers(TEMPLATE, said("what?", "well")) == [Shown(0, 0, 0.0)]


def test_where_labels_are_not_taught_the_tokens_behind_them_alone_count() -> None:
    """By hand: two prompts, the first with two answers of four tokens, whose third tells the label."""
    logprobs = -torch.arange(1.0, 17.0).view(2, 2, 4)
    scores = TokenScores(logprobs, logprobs, torch.ones(2, 2, 4, dtype=torch.bool))
    weight = np.array([[0.75, 0.25], [1.0, 0.0]])
    objective = SupervisedObjective(np.full((2, 2), 2), np.full((2, 2), 3), weight, label_weight=None)
    found = objective(scores, slice(0, 2))
    assert found.loss.item() == pytest.approx((0.75 * 4 + 0.25 * 8 + 12) / 2)
    assert found.means.values()["loss_label"] == pytest.approx((0.75 * 3 + 0.25 * 7 + 11) / 2)


def test_training_learns_what_it_is_shown_and_goes_on_after_a_stop(folder: Path, tmp_path: Path) -> None:
    made = recipe(folder, "cross_fitted", "train.steps=12", "train.optimiser.learning_rate=0.03")

    def run(out: Path, **options: Any) -> None:
        train(made, toy_engine(folder, trained=False), EXAMPLES, out, seed=1, taught=FITTED, **options)

    run(tmp_path / "whole")
    lines = (tmp_path / "whole" / "train" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[-1]["loss"] < rows[0]["loss"] - 1
    assert all(row["loss"] == pytest.approx(row["loss_label"] + row["loss_form"]) for row in rows)
    done: list[int] = []
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", on_step=lambda step, row: done.append(step), should_stop=lambda: len(done) == 4)
    run(tmp_path / "stopped")
    adapters = (tmp_path / name / "adapter" / "adapter_model.safetensors" for name in ("whole", "stopped"))
    weights = [path.read_bytes() for path in adapters]
    assert weights[0] == weights[1]


def test_what_has_no_effect_on_answers_that_are_shown_is_refused(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"shows answers right behind the prompt; leave out sampling\.reason"):
        recipe(folder, "constant", "sampling.reasoning_tokens=5")
    with pytest.raises(RecipeError, match="asks for no reasoning"):
        recipe(folder, "constant", "prompt.template=verdict-reasoned")
    assert objective_config({"preset": "sft"}).kind == "supervised"
