"""Probabilities from models that have not seen an example's group."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import EXAMPLES, save_toy_model, toy_engine, toy_recipe

from candor.engines.base import Sampling
from candor.errors import EngineError, Stopped
from candor.files import sha256
from candor.prompts.probe import LABEL_PROBE, label_probs
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.training import cross_fitting
from candor.training.batches import Key, Shown, key_of, prepare
from candor.training.cross_fitting import cross_fitted_answers, deal, gold_probabilities
from candor.types import LABELS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def recipe(model: Path, *overrides: str) -> Recipe:
    objective = "objective={preset: sft, taught_confidence: cross_fitted, folds: 2}"
    return toy_recipe(model, objective, "train.steps=3", "train.checkpoint_every=1", *overrides)


def fitted(model: Path, out: Path, **options: Any) -> dict[Key, Shown]:
    def fresh() -> Any:
        return toy_engine(model, trained=False)

    return cross_fitted_answers(recipe(model), EXAMPLES, RunFolder(out), folds=2, seed=1, fresh=fresh, **options)


def test_a_group_is_in_one_fold_and_folds_are_even() -> None:
    twins = [dataclasses.replace(example, id=f"{example.id}-twin") for example in EXAMPLES]
    folds = deal([*EXAMPLES, *twins], 3, seed=0)
    assert sorted(np.bincount(list(folds.values()))) == [3, 3, 4]
    assert deal(EXAMPLES, 3, seed=0) == folds
    assert deal(EXAMPLES, 3, seed=1) != folds
    with pytest.raises(EngineError, match=r"objective\.folds: 11 folds of 10 groups; set at most 10"):
        deal(EXAMPLES, 11, seed=0)


def test_a_probability_is_that_of_the_label_probe(model: Path) -> None:
    """Behind an answer that begins in the form, which the probe of a greedy answer reads as well."""
    engine = toy_engine(model)
    run = prepare(recipe(model), engine, EXAMPLES, 0)
    prompts = [encoded.tokens for encoded in run.labelled.encoded]
    found = gold_probabilities(run.recipe, engine, EXAMPLES)
    for prompt, example, ours in zip(prompts, EXAMPLES, found, strict=True):
        ((rollout,),) = engine.rollout([prompt], 1, Sampling(0.0, 10), LABEL_PROBE)
        if rollout.text.startswith("LABEL="):
            probe = label_probs(np.array(rollout.probe_logprobs))[LABELS.index(example.label)]
            assert ours == pytest.approx(probe, abs=1e-5)


def test_the_prompt_is_that_of_the_recipe_chat_settings_and_all(model: Path) -> None:
    engine = toy_engine(model)
    plain = gold_probabilities(recipe(model), engine, EXAMPLES)
    engine.tokenizer.chat_template = "{{ messages[0]['content'] }} = "
    assert (gold_probabilities(recipe(model), engine, EXAMPLES) != plain).any()
    without = gold_probabilities(recipe(model, "prompt.chat_template=none"), engine, EXAMPLES)
    np.testing.assert_array_equal(without, plain)


def test_every_example_is_told_by_a_model_of_the_other_fold(model: Path, tmp_path: Path) -> None:
    found = fitted(model, tmp_path)
    assert set(found) == {key_of(example) for example in EXAMPLES}
    again = fitted(model, tmp_path)
    assert again == found
    assert not list(tmp_path.rglob("checkpoints"))
    adapters = [path.read_bytes() for path in tmp_path.rglob("adapter_model.safetensors")]
    assert len(adapters) == len(set(adapters)) == 2


def test_a_stop_within_a_fold_changes_nothing(model: Path, tmp_path: Path) -> None:
    whole = fitted(model, tmp_path / "whole")
    asked = iter(range(100))
    with pytest.raises(Stopped):
        fitted(model, tmp_path / "stopped", should_stop=lambda: next(asked) == 4)
    assert fitted(model, tmp_path / "stopped") == whole


def test_a_kill_between_a_folds_training_and_its_answers_changes_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trained model is asked, and not a fresh one."""
    whole = fitted(model, tmp_path / "whole")

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cross_fitting, "gold_probabilities", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted(model, tmp_path / "killed")
    assert RunFolder(tmp_path / "killed/cross_fitting/fold-0").is_trained
    assert fitted(model, tmp_path / "killed") == whole
    assert not list((tmp_path / "killed").rglob("checkpoints"))


def test_a_folds_files_are_sealed_as_soon_as_it_is_done(model: Path, tmp_path: Path) -> None:
    asked = iter(range(100))
    with pytest.raises(Stopped):
        fitted(model, tmp_path, should_stop=lambda: next(asked) == 4)
    told = tmp_path / "cross_fitting/fold-0/label_probs.jsonl"
    assert RunFolder(tmp_path).seal.expected(told) == sha256(told)
    assert RunFolder(tmp_path).seal.expected(told.parent / "adapter/adapter_model.safetensors")
