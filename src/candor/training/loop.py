"""The training loop, top to bottom.

How it departs from textbook GRPO, where a recipe does not say otherwise: every step samples the current weights; the
enumerated objective replaces samples by exact expectations over all answers; randomness is a function of seed and
step, so a run that was killed goes on from its last checkpoint and ends with the same weights, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from candor.engines.base import Engine, OptimiserStep
from candor.errors import EngineError, NumericsError, Stopped
from candor.prompts import templates
from candor.prompts.encoding import encode
from candor.prompts.grammar import answer_grammar
from candor.recipe.recipe import Recipe, ScheduleConfig
from candor.seeding import derive_seed
from candor.training.collapse import prompt_variance
from candor.training.log import TrainingLog
from candor.training.sampled import Prepared, StepBatch, enumerated_step, sampled_step
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
    on_step: OnStep | None = None,
    validate: Validate | None = None,
    should_stop: ShouldStop | None = None,
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
        on_step: told of every finished step.
        validate: scores the weights every ``train.validate_every`` steps.
        should_stop: asked after every step.

    Raises:
        Stopped: ``should_stop`` said so; the same call goes on from there.
        NumericsError: a loss or gradient is not finite; says at which step and what to try.
    """
    run = prepare(recipe, engine, examples, seed, unlabelled=unlabelled)
    log = TrainingLog(folder)
    start = log.resume(engine)
    if log.finished:
        return
    # A run that was killed behind its last step, but before its end was written, has no step left to take.
    ended = log.out_of_patience(recipe.train.patience)
    for step in range(start, start if ended else recipe.train.steps):
        started = time.perf_counter()
        batch = draw_batch(run, step)
        make = sampled_step if recipe.objective.kind == "sampled" else enumerated_step
        engine_batch, objective = make(run, batch, step)
        rolled_out = time.perf_counter()
        rate = learning_rate(recipe.train.optimiser, step, recipe.train.steps)
        try:
            for _ in range(recipe.train.updates_per_batch):
                updated = engine.update(engine_batch, objective, OptimiserStep(rate, recipe.train.max_grad_norm))
                batch.means.merge(updated)
        except NumericsError as error:
            raise NumericsError(
                f"step {step}: {error}; the step's examples were {', '.join(e.id for e in batch.examples_P[:8])}, ... "
                f"Try a lower train.optimiser.learning_rate (now {rate:g}) or train.max_grad_norm"
            ) from error
        row = {"step": step, **figures(batch), "learning_rate": rate}
        row["seconds_rollout"], row["seconds_update"] = rolled_out - started, time.perf_counter() - rolled_out
        if validate and recipe.train.validate_every and (step + 1) % recipe.train.validate_every == 0:
            row["validation_score"] = validate(engine)
            row["seconds_validate"] = time.perf_counter() - started - row["seconds_rollout"] - row["seconds_update"]
        log.append(row, rollout_rows(batch, recipe.train.keep_rollouts, step))
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


def figures(batch: StepBatch) -> dict[str, Any]:
    """A step's means, the spread of its stated confidences, and how many tokens it saw."""
    means = dict(batch.means.values())
    over_prompts = prompt_variance(means)
    if over_prompts is not None and batch.means.weights["prompt_confidence"] > 1:
        means["prompt_variance"] = over_prompts
    squared = means.pop("confidence_squared", None)
    if squared is not None:
        means["confidence_std"] = math.sqrt(max(0.0, squared - means["confidence"] ** 2))
    for name in ("prompt_confidence", "prompt_confidence_squared"):
        means.pop(name, None)
    means["tokens"] = sum(map(len, batch.prompts_P)) + sum(len(r.tokens) for g in batch.rollouts_P_G for r in g)
    return means


def prepare(
    recipe: Recipe, engine: Engine, examples: Sequence[Example], seed: int, *, unlabelled: Sequence[Example] = ()
) -> Prepared:
    """Tokenise the training set once.

    Raises:
        EngineError: there is nothing to train on, or nothing to take unlabelled prompts from.
    """
    if not examples or bool(unlabelled) != bool(recipe.train.unlabelled):
        missing = "examples to train on" if not examples else "examples for train.unlabelled"
        raise EngineError(f"no {missing}; give counts under data.train")
    template = templates.get(recipe.prompt.template)
    grammar = answer_grammar(template, engine.tokenizer)
    room = engine.max_length - recipe.answer_room(grammar)
    every = [*examples, *unlabelled]
    encoded = [encode(template, example, engine.tokenizer, max_tokens=room) for example in every]
    return Prepared(recipe, engine, template, grammar, every, encoded, len(examples), seed)


def draw_batch(run: Prepared, step: int) -> StepBatch:
    """The step's examples: each set in a fresh order every time it has been gone through; labelled ones first."""
    indices = in_turn(step, run.recipe.train.prompts_per_step, run.labelled, run.seed)
    labelled = len(indices)
    if run.recipe.train.unlabelled:
        seed = derive_seed(run.seed, "unlabelled")
        others = len(run.examples) - run.labelled
        size = run.recipe.train.unlabelled.prompts_per_step
        indices += [run.labelled + place for place in in_turn(step, size, others, seed)]
    return StepBatch(
        examples_P=[run.examples[i] for i in indices],
        prompts_P=[run.encoded[i].tokens for i in indices],
        has_evidence_P=np.array([len(run.examples[i].evidence) > run.encoded[i].evidence_dropped for i in indices]),
        labelled=labelled,
    )


def in_turn(step: int, size: int, count: int, seed: int) -> list[int]:
    """The ``size`` of ``count`` examples whose turn it is in a step."""
    indices = []
    for position in range(step * size, (step + 1) * size):
        epoch, place = divmod(position, count)
        indices.append(epoch_order(seed, epoch, count)[place])
    return indices


def epoch_order(seed: int, epoch: int, count: int) -> list[int]:
    """Order of the training set in its n-th epoch."""
    order: list[int] = np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(count).tolist()
    return order


def learning_rate(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """Learning rate of a step counted from 0."""
    rate = schedule.learning_rate
    if schedule.warmup_steps:
        rate *= min(1.0, (step + 1) / schedule.warmup_steps)
    if schedule.decay == "linear":
        falling = 1.0 - schedule.decay_start
        rate *= min(1.0, (1.0 - step / steps) / falling) if falling else 1.0
    return rate


def rollout_rows(batch: StepBatch, count: int, step: int) -> list[dict[str, Any]]:
    """A few of the step's completions, to read."""
    pairs = zip(batch.examples_P, batch.rollouts_P_G, strict=False)
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
