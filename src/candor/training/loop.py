"""The training loop, top to bottom.

How it departs from textbook GRPO, where a recipe does not say otherwise: every step samples the current weights; the
enumerated objective replaces samples by exact expectations over all answers; randomness is a function of seed and
step, so a run that was killed goes on from its last checkpoint and ends with the same weights, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from candor.engines.base import Engine, OptimiserStep
from candor.errors import EngineError, NumericsError, Stopped
from candor.means import Means
from candor.recipe.recipe import Recipe
from candor.recipe.train import ScheduleConfig
from candor.training.batches import Key, Prepared, PromptBatch, Shown, Step, draw_batch, prepare
from candor.training.collapse import prompt_variance
from candor.training.enumerated import enumerated_step
from candor.training.log import TrainingLog
from candor.training.sampled import sampled_step
from candor.training.supervised import supervised_step
from candor.types import Example

OnStep = Callable[[int, dict[str, Any]], None]
"""Told the number of finished steps and the last one's row."""

ShouldStop = Callable[[], bool]
"""Asked after every step; true saves a checkpoint and ends the run there."""

Validate = Callable[[Engine], float]
"""Scores the current weights on validation; higher is better."""


def train(
    recipe: Recipe,
    engine: Engine,
    examples: Sequence[Example],
    folder: Path,
    *,
    seed: int,
    unlabelled: Sequence[Example] = (),
    taught: Mapping[Key, Shown] | None = None,
    on_step: OnStep | None = None,
    validate: Validate | None = None,
    should_stop: ShouldStop | None = None,
    made_with: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> None:
    """Train the engine's adapter; leaves ``adapter/`` and ``train/metrics.jsonl`` in ``folder``.

    Goes on from the last checkpoint in ``folder`` if there is one.

    Args:
        recipe: everything that a person chose.
        engine: the model, with an adapter.
        examples: training set.
        folder: the run's folder.
        seed: decides order and samples.
        unlabelled: examples for ``train.unlabelled``, whose labels are not looked at.
        taught: the answer that each example is to be given, where the objective has it found out beforehand.
        on_step: told of every finished step.
        validate: scores the weights every ``train.validate_every`` steps.
        should_stop: asked after every step.
        made_with: versions and the like, by name; a run that goes on with others says so in its log.
        tell: told where a damaged checkpoint was passed over.

    Raises:
        Stopped: ``should_stop`` said so; the same call goes on from there.
        NumericsError: a loss or gradient is not finite; says at which step and what to try.
        RunError: checkpoints or log are damaged beyond what an older checkpoint mends.
    """
    log = TrainingLog(folder, made_with=made_with, tell=tell)
    if log.finished:
        return
    run = prepare(recipe, engine, examples, seed, unlabelled=unlabelled, taught=taught)
    start = log.resume(engine)
    schedule = recipe.train.optimiser
    if schedule.learning_rate is None:
        schedule = schedule.settled(engine.describe()["parameters"])
    # A run that was killed behind its last step, but before its end was written, has no step left to take.
    ended = log.out_of_patience(recipe.train.patience)
    for step in range(start, start if ended else recipe.train.steps):
        started = time.perf_counter()
        batch = draw_batch(run, step)
        taken = take_step(run, batch, step)
        rolled_out = time.perf_counter()
        rate = learning_rate(schedule, step, recipe.train.steps)
        means = update(run, batch, taken, OptimiserStep(rate, recipe.train.max_grad_norm), step)
        row = {"step": step, **figures(means), "tokens": tokens_seen(batch, taken), "learning_rate": rate}
        row["seconds_rollout"], row["seconds_update"] = rolled_out - started, time.perf_counter() - rolled_out
        if validate and recipe.train.validate_every and (step + 1) % recipe.train.validate_every == 0:
            row["validation_score"] = validate(engine)
            row["seconds_validate"] = time.perf_counter() - started - row["seconds_rollout"] - row["seconds_update"]
        log.append(row, rollout_rows(batch, taken, recipe.train.keep_rollouts, step))
        stopping = should_stop is not None and should_stop()
        done = step + 1 == recipe.train.steps or log.out_of_patience(recipe.train.patience)
        if done or stopping or (step + 1) % recipe.train.checkpoint_every == 0 or "validation_score" in row:
            log.checkpoint(engine, step + 1)
        if on_step:
            on_step(step + 1, row)
        if done:
            break
        if stopping:
            raise Stopped(f"stopped after step {step}, which is saved; run the same command again to go on")
    log.finish(engine)


def take_step(run: Prepared, batch: PromptBatch, step: int) -> Step:
    """What a step is: rollouts, their rewards, their advantages, and the objective on them; the update follows.

    In :mod:`candor.training.sampled`, line by line::

        rollouts_P_G = engine.rollout(prompts_P, group_size, ...)
        scored = score_rollouts(rollouts_P_G, gold_P, ...)  # their rewards
        advantages_P_G_T, _ = token_advantages(scored, rollouts_P_G, ...)
        objective = SampledObjective(advantages_P_G_T, ...)
    """
    config = run.recipe.objective
    if config.kind == "supervised":
        return supervised_step(run, config, batch, step)
    if config.kind == "sampled":
        return sampled_step(run, config, batch, step)
    return enumerated_step(run, config, batch, step)


def update(run: Prepared, batch: PromptBatch, taken: Step, optimiser: OptimiserStep, step: int) -> Means:
    """Take the step's updates; returns its figures, of rollouts and updates together.

    Raises:
        NumericsError: a loss or gradient is not finite; the weights are as they were.
    """
    means = Means()
    means.merge(taken.means)
    try:
        for _ in range(run.recipe.train.updates_per_batch):
            means.merge(run.engine.update(taken.batch, taken.objective, optimiser))
    except NumericsError as error:
        raise NumericsError(
            f"step {step}: {error}; the step's examples were {', '.join(e.id for e in batch.examples_P[:8])}, ... "
            f"Try a lower train.optimiser.learning_rate (now {optimiser.learning_rate:g}) or train.max_grad_norm"
        ) from error
    return means


def tokens_seen(batch: PromptBatch, taken: Step) -> int:
    """Tokens of the prompts and of what was sampled behind them."""
    sampled = sum(len(rollout.tokens) for group in taken.rollouts_P_G for rollout in group)
    return sum(map(len, batch.prompts_P)) + sampled


def figures(means: Means) -> dict[str, Any]:
    """A step's means as they are logged, with the spread of its stated confidences."""
    row = dict(means.values())
    over_prompts = prompt_variance(row)
    if over_prompts is not None and means.weights["prompt_confidence"] > 1:
        row["prompt_variance"] = over_prompts
    squared = row.pop("confidence_squared", None)
    if squared is not None:
        row["confidence_std"] = math.sqrt(max(0.0, squared - row["confidence"] ** 2))
    for name in ("prompt_confidence", "prompt_confidence_squared"):
        row.pop(name, None)
    return row


def learning_rate(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """Learning rate of a step counted from 0.

    Raises:
        EngineError: the schedule is not settled for a model yet.
    """
    rate = schedule.learning_rate
    if rate is None:
        raise EngineError("train.optimiser.learning_rate: not settled; it goes by the model's size")
    if schedule.warmup_steps:
        rate *= min(1.0, (step + 1) / schedule.warmup_steps)
    if schedule.decay == "linear":
        falling = 1.0 - schedule.decay_start
        rate *= min(1.0, (1.0 - step / steps) / falling) if falling else 1.0
    return rate


def rollout_rows(batch: PromptBatch, taken: Step, count: int, step: int) -> list[dict[str, Any]]:
    """A few of the step's completions, to read."""
    pairs = zip(batch.examples_P, taken.rollouts_P_G, strict=False)
    return [
        {
            "step": step,
            "id": e.id,
            "dataset": e.dataset,
            "gold": e.label.value,
            "text": g[0].text,
            "logprob": sum(g[0].logprobs),
        }
        for e, g in list(pairs)[:count]
    ]
