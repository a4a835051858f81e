"""The loop: what it logs, how it stops, and that a killed run ends as one that was left alone."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from killed import train_toy
from toy import EXAMPLES, SAMPLED, example, save_toy_model, toy_engine, toy_recipe, with_unlabelled

from candor.engines.base import Engine
from candor.errors import EngineError, NumericsError, Stopped
from candor.recipe.recipe import Recipe
from candor.recipe.train import ScheduleConfig
from candor.training.batches import NO_GOLD, draw_batch, epoch_order, prepare
from candor.training.log import TrainingLog
from candor.training.loop import learning_rate, train
from candor.types import LABELS

KINDS: dict[str, tuple[str, ...]] = {
    "enumerated": ("objective.ends=8",),
    "reasoned": ("objective.ends=8", "sampling.reasoning_tokens=3"),
    "sampled": SAMPLED,
    "expected": ("objective={preset: candor-sampled, ends: 8, confidence_weight: 2.0}",),
}
ALWAYS = ("engine.path=tree", "train.kl_every=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def _recipe(folder: Path, kind: str, *overrides: str) -> Recipe:
    return toy_recipe(folder, *KINDS[kind], *ALWAYS, *overrides)


def _engine(recipe: Recipe) -> Engine:
    return toy_engine(Path(recipe.model.name), trained=False, path=recipe.engine.path)


def _train(recipe: Recipe, out: Path, **options: Any) -> None:
    train(recipe, _engine(recipe), EXAMPLES, out, seed=1, **options)


def _rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train" / "metrics.jsonl").read_text().splitlines()]


def _result(out: Path) -> tuple[dict[str, bytes], list[dict[str, Any]], bytes]:
    """Everything that must not depend on interruptions."""
    adapter = {path.name: path.read_bytes() for path in sorted((out / "adapter").iterdir())}
    rows = [{k: v for k, v in row.items() if not k.startswith("seconds_")} for row in _rows(out)]
    return adapter, rows, (out / "train" / "rollouts.jsonl").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    runs = {}
    for kind in KINDS:
        runs[kind] = tmp_path_factory.mktemp(kind)
        _train(_recipe(folder, kind), runs[kind])
    return runs


# ------------------------------------------------------------------------------------------------- what it leaves


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_logged_with_its_figures(kind: str, uninterrupted: dict[str, Path]) -> None:
    rows = _rows(uninterrupted[kind])
    assert [row["step"] for row in rows] == list(range(6))
    wanted = {"loss", "grad_norm", "learning_rate", "accuracy", "reward", "reward_calibration", "invalid", "kl"}
    wanted |= {"zero_variance", "entropy", "confidence", "confidence_std", "prompt_variance", "share_NA", "tokens"}
    wanted |= {"seconds_rollout", "seconds_update"}
    if kind == "sampled":
        wanted |= {"sampler_gap", "stopped", "completion_tokens"}
    for row in rows:
        assert wanted <= set(row)
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float))
        assert 0 <= row["invalid"] <= 1
    golds = {key for row in rows for key in row if key.startswith("accuracy_")}
    assert golds == {"accuracy_PASS", "accuracy_FAIL", "accuracy_NA"}
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert rows[-1]["kl"] > 1e-6


def test_training_learns(uninterrupted: dict[str, Path]) -> None:
    rows = _rows(uninterrupted["enumerated"])
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_completions_are_kept_to_read(uninterrupted: dict[str, Path]) -> None:
    lines = (uninterrupted["sampled"] / "train" / "rollouts.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [step for step in range(6) for _ in range(4)]
    assert {"id", "dataset", "gold", "text", "logprob"} <= set(rows[0])


def test_a_finished_run_is_left_alone(folder: Path, uninterrupted: dict[str, Path]) -> None:
    before = (
        (uninterrupted["sampled"] / "train" / "metrics.jsonl").stat().st_mtime_ns,
        _result(uninterrupted["sampled"]),
    )
    steps: list[int] = []
    _train(_recipe(folder, "sampled"), uninterrupted["sampled"], on_step=lambda step, row: steps.append(step))
    assert steps == []
    assert _result(uninterrupted["sampled"]) == before[1]
    assert not list(uninterrupted["sampled"].rglob("*.part"))


def test_no_steps_leave_the_fresh_adapter(folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(folder, "enumerated", "train.steps=0")
    _train(recipe, tmp_path)
    assert _rows(tmp_path) == []
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert TrainingLog(tmp_path).finished


# ----------------------------------------------------------------------------------------------- stopped and killed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", range(1, 6))
def test_a_stopped_run_goes_on_as_if_nothing_had_been(
    folder: Path, tmp_path: Path, uninterrupted: dict[str, Path], kind: str, stop: int
) -> None:
    recipe = _recipe(folder, kind)
    done: list[int] = []
    with pytest.raises(Stopped, match=f"after step {stop - 1}"):
        _train(recipe, tmp_path, on_step=lambda step, row: done.append(step), should_stop=lambda: len(done) == stop - 1)
    assert done == list(range(1, stop + 1))
    _train(recipe, tmp_path)
    assert _result(tmp_path) == _result(uninterrupted[kind])


class _CrashError(Exception):
    pass


@pytest.mark.parametrize("crash", range(1, 7))
def test_a_crash_behind_any_step_is_made_good(
    folder: Path, tmp_path: Path, uninterrupted: dict[str, Path], crash: int
) -> None:
    def fall_over(step: int, row: dict[str, Any]) -> None:
        if step == crash:
            raise _CrashError

    recipe = _recipe(folder, "sampled")
    with pytest.raises(_CrashError):
        _train(recipe, tmp_path, on_step=fall_over)
    # As it is when a line was being written.
    with (tmp_path / "train" / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 5, "lo')
    _train(recipe, tmp_path)
    assert _result(tmp_path) == _result(uninterrupted["sampled"])


@pytest.mark.parametrize(
    "kind", [kind if kind == "sampled" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_a_killed_run_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path, uninterrupted: dict[str, Path], kind: str
) -> None:
    """Processes are ended by SIGKILL at random moments, run after run, until one comes to its end."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["killed", "peft", "transformers"])
    recipe = _recipe(folder, kind)
    rng = np.random.default_rng(3)
    killed = 0
    for attempt in range(60):
        process = processes.Process(target=train_toy, args=(recipe, tmp_path))
        process.start()
        # Wait until it writes, so that the moment lies within the training and not within its imports.
        begun = time.monotonic()
        before = _written(tmp_path)
        while process.is_alive() and _written(tmp_path) == before and time.monotonic() - begun < 60:
            time.sleep(0.002)
        if killed < 6 or attempt < 3:
            process.join(rng.uniform(0.0, 0.15))
        else:
            process.join()
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            killed += 1
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert process.exitcode == 0
    assert killed > 0
    assert _result(tmp_path) == _result(uninterrupted[kind])


def _written(out: Path) -> float:
    metrics = out / "train" / "metrics.jsonl"
    return metrics.stat().st_mtime_ns if metrics.exists() else 0.0


# --------------------------------------------------------------------------------------------------- what goes wrong


def test_a_loss_that_is_not_finite_stops_with_step_examples_and_advice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(folder, "sampled")
    engine = _engine(recipe)
    real = engine.update
    taken: list[dict[str, torch.Tensor]] = []

    def update(batch: Any, objective: Any, optimiser: Any) -> Any:
        taken.append({n: p.detach().clone() for n, p in engine._model.named_parameters() if p.requires_grad})
        if len(taken) == 3:
            import dataclasses

            objective = dataclasses.replace(objective, advantages_P_G_T=objective.advantages_P_G_T * float("nan"))
        return real(batch, objective, optimiser)

    monkeypatch.setattr(engine, "update", update)
    with pytest.raises(NumericsError, match=r"step 2: the loss.*nan.*examples were e\d.*learning_rate \(now 0.01\)"):
        train(recipe, engine, EXAMPLES, tmp_path, seed=1)
    now = {n: p for n, p in engine._model.named_parameters() if p.requires_grad}
    assert all(torch.equal(value, now[name]) for name, value in taken[-1].items())
    assert [row["step"] for row in _rows(tmp_path)] == [0, 1]


# ------------------------------------------------------------------------------------------------------- validation


def _scripted(scores: list[float]) -> Callable[[Engine], float]:
    left = iter(scores)
    return lambda engine: next(left)


VALIDATED = ("train.validate_every=1", "train.patience=2")


def test_early_stopping_takes_the_best_step(folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(folder, "sampled", *VALIDATED)
    weights: list[torch.Tensor] = []
    engine = _engine(recipe)

    def note(step: int, row: dict[str, Any]) -> None:
        weights.append(torch.cat([p.detach().flatten() for p in engine._model.parameters() if p.requires_grad]))

    scores = _scripted([0.1, 0.5, 0.4, 0.5])
    train(recipe, engine, EXAMPLES, tmp_path, seed=1, on_step=note, validate=scores)
    assert [row["validation_score"] for row in _rows(tmp_path)] == [0.1, 0.5, 0.4, 0.5]
    assert TrainingLog(tmp_path).selected() == {"selected_step": 2, "selected_by": "validation"}
    final = torch.cat([p.detach().flatten() for p in engine._model.parameters() if p.requires_grad])
    assert torch.equal(final, weights[1])
    assert not torch.equal(final, weights[3])


def test_a_run_killed_behind_its_early_end_takes_no_further_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(folder, "sampled", *VALIDATED)
    engine = _engine(recipe)

    def fail(path: Path) -> None:
        raise _CrashError

    monkeypatch.setattr(engine, "save_adapter", fail)
    with pytest.raises(_CrashError):
        train(recipe, engine, EXAMPLES, tmp_path, seed=1, validate=_scripted([0.5, 0.4, 0.3]))
    train(recipe, _engine(recipe), EXAMPLES, tmp_path, seed=1, validate=_scripted([]))
    assert len(_rows(tmp_path)) == 3
    assert TrainingLog(tmp_path).selected()["selected_step"] == 1


def test_scores_survive_an_interruption(folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(folder, "sampled", "train.validate_every=2", "train.patience=1", "train.checkpoint_every=100")
    with pytest.raises(Stopped):
        _train(recipe, tmp_path, validate=_scripted([0.9]), should_stop=lambda: True)
    _train(recipe, tmp_path, validate=_scripted([0.9, 0.2]))
    assert [row.get("validation_score") for row in _rows(tmp_path)] == [None, 0.9, None, 0.2]
    assert TrainingLog(tmp_path).selected()["selected_step"] == 2


# --------------------------------------------------------------------------------------------- order and schedule


def test_each_example_comes_once_in_each_epoch(folder: Path) -> None:
    recipe = _recipe(folder, "sampled", "train.prompts_per_step=4")
    run = prepare(recipe, _engine(recipe), EXAMPLES, 7)
    drawn = [e.id for step in range(5) for e in draw_batch(run, step).examples_P]
    every = sorted(e.id for e in EXAMPLES)
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == every
    assert drawn[:10] != drawn[10:]
    assert [e.id for e in draw_batch(run, 3).examples_P] == drawn[12:16]
    assert epoch_order(7, 0, 10) != epoch_order(8, 0, 10)


def test_fewer_examples_than_a_step_takes(folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(folder, "enumerated", "train.prompts_per_step=5", "train.steps=2", "objective.ends=2")
    train(recipe, _engine(recipe), EXAMPLES[:2], tmp_path, seed=0)
    assert len(_rows(tmp_path)) == 2
    with pytest.raises(EngineError, match="no examples"):
        train(recipe, _engine(recipe), [], tmp_path / "empty", seed=0)


def test_evidence_that_is_cut_is_shown_all_the_same(folder: Path) -> None:
    recipe = _recipe(folder, "sampled", "train.prompts_per_step=3")
    long = [example(1, evidence=("x" * 400,)), example(2, evidence=("short",)), example(3, evidence=())]
    batch = draw_batch(prepare(recipe, _engine(recipe), long, 0), 0)
    assert {e.id: bool(shown) for e, shown in zip(batch.examples_P, batch.has_evidence_P, strict=True)} == {
        "e1": True,
        "e2": True,
        "e3": False,
    }


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"warmup_steps": 2}, [0.5, 1, 1, 1, 1]),
        ({"warmup_steps": 10}, [0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"decay": "linear", "decay_start": 0.0}, [1, 0.8, 0.6, 0.4, 0.2]),
        ({"decay": "linear", "decay_start": 0.6}, [1, 1, 1, 1, 0.5]),
        ({"decay": "linear", "decay_start": 1.0}, [1, 1, 1, 1, 1]),
        ({"decay": "linear", "decay_start": 0.0, "warmup_steps": 2}, [0.5, 0.8, 0.6, 0.4, 0.2]),
    ],
)
def test_learning_rate(schedule: dict[str, Any], expected: list[float]) -> None:
    config = ScheduleConfig.model_validate({"learning_rate": 0.01, **schedule})
    assert [learning_rate(config, step, 5) / 0.01 for step in range(5)] == pytest.approx(expected)


# ---------------------------------------------------------------------------------------------- without labels


def test_labels_of_unlabelled_prompts_are_not_looked_at(folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(folder, "enumerated", "train.steps=3", *with_unlabelled(3))
    prompts = [example(100 + i) for i in range(7)]
    results = []
    for out, turn in (("one", 1), ("other", 2)):
        labels = [LABELS[(LABELS.index(one.label) + turn) % 3] for one in prompts]
        unlabelled = [dataclasses.replace(one, label=label) for one, label in zip(prompts, labels, strict=True)]
        _train(recipe, tmp_path / out, unlabelled=unlabelled)
        results.append(_result(tmp_path / out))
    assert results[0] == results[1]
    rows = results[0][1]
    assert all(row["reward_alignment_unlabelled"] < 0 for row in rows)
    _train(_recipe(folder, "enumerated", "train.steps=3"), tmp_path / "without")
    assert _result(tmp_path / "without")[0] != results[0][0]
    with pytest.raises(EngineError, match=r"no examples for train\.unlabelled"):
        _train(recipe, tmp_path / "none")


def test_unlabelled_prompts_come_in_turn_behind_the_labelled(folder: Path) -> None:
    recipe = _recipe(folder, "enumerated", *with_unlabelled(4))
    others = [example(100 + i) for i in range(6)]
    run = prepare(recipe, _engine(recipe), EXAMPLES, 7, unlabelled=others)
    batches = [draw_batch(run, step) for step in range(3)]
    size = recipe.train.prompts_per_step
    ids = {one.id for one in EXAMPLES}
    for batch in batches:
        assert np.array_equal(batch.gold_P == NO_GOLD, np.arange(size + 4) >= size)
        assert {one.id for one in batch.examples_P[:size]} <= ids
    seen = [one.id for batch in batches for one in batch.examples_P[size:]]
    assert sorted(seen) == sorted([one.id for one in others] * 2)
