"""What each of two processes under torchrun does, and the one that they are compared with."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from toy import EXAMPLES, SAMPLED, toy_engine, toy_recipe

from candor.engines.base import Batch, ObjectiveResult, OptimiserStep, TokenScores
from candor.errors import NumericsError
from candor.means import Means
from candor.training.loop import train

KINDS = {"sampled": SAMPLED, "enumerated": ("objective.ends=4", "engine.path=tree")}


def fail_in_the_second(model: Path) -> None:
    """A loss that is not a number for the last of three prompts, which the second process has."""
    engine = toy_engine(model)

    def objective(scores: TokenScores, part: slice) -> ObjectiveResult:
        return ObjectiveResult(scores.logprobs_P_C_T.sum() * (math.nan if part.stop == 3 else 1.0), Means())

    batch = Batch([(5, 6), (5, 7), (5, 8)], [[(9, 10)]] * 3)
    try:
        engine.update(batch, objective, OptimiserStep(1e-3, 1.0))
    except NumericsError as error:
        print(f"process {torch.distributed.get_rank()} gave up: {error}\n", end="", flush=True)


def train_kind(kind: str, model: Path, out: Path) -> None:
    """Two steps of three prompts, so that the processes have unequal shares."""
    recipe = toy_recipe(model, *KINDS[kind], "train.steps=2", "train.prompts_per_step=3")
    engine = toy_engine(model, path=recipe.engine.path)
    train(recipe, engine, EXAMPLES, out, seed=1)
