"""The ``train`` part of a recipe."""

from __future__ import annotations

import math
from typing import Final, Literal

from pydantic import Field

from candor.config import Config

RATES: Final[tuple[tuple[float, float], ...]] = (
    (1e7, 1e-3),
    (3e8, 3e-4),
    (1e9, 2e-4),
    (5e9, 1e-4),
    (1.5e10, 5e-5),
    (math.inf, 2e-5),
)
"""Learning rates of LoRA by size: up to so many parameters. The first two were tried here, the others are guesses
(``docs/models.md``)."""


def rate_for(parameters: int) -> float:
    """The learning rate that a model of so many parameters gets where the recipe names none.

    >>> rate_for(225_000), rate_for(134_515_008), rate_for(8_000_000_000)
    (0.001, 0.0003, 5e-05)
    """
    return next(rate for most, rate in RATES if parameters <= most)


class ScheduleConfig(Config):
    """Learning rate over the steps."""

    learning_rate: float | None = Field(
        default=None, gt=0, le=1, description="of AdamW; default: by the model's size, 1e-3 (10M) to 2e-5 (20B)"
    )
    warmup_steps: int = Field(default=0, ge=0, description="steps over which it rises linearly from 0")
    decay: Literal["none", "linear"] = Field(
        default="none", description="linear: falls towards 0, which the step after the last would have"
    )
    decay_start: float = Field(default=0.4, ge=0, le=1, description="part of the steps after which it falls")

    def settled(self, parameters: int) -> ScheduleConfig:
        """With a number for the learning rate of a model of so many parameters."""
        if self.learning_rate is not None:
            return self
        return self.model_copy(update={"learning_rate": rate_for(parameters)})


class UnlabelledConfig(Config):
    """Prompts whose labels are not looked at: the confidence learns on them to say what the label probe says."""

    sources: list[str] = Field(min_length=1, description="sources under data.train to take prompts from")
    prompts_per_step: int = Field(default=16, ge=1, le=65536, description="of these, beside the labelled ones")


class TrainConfig(Config):
    """The training loop."""

    steps: int = Field(default=160, ge=0, description="optimiser steps, each on its own prompts")
    sources: list[str] | None = Field(default=None, description="sources to train on; default: all under data.train")
    prompts_per_step: int = Field(default=32, ge=1, le=65536, description="prompts with labels in a step")
    unlabelled: UnlabelledConfig | None = Field(default=None, description="prompts to learn from without their labels")
    optimiser: ScheduleConfig = Field(default_factory=ScheduleConfig, description="learning rate over the steps")
    max_grad_norm: float = Field(default=1.0, gt=0, le=1e6, description="longer gradients are cut to it")
    updates_per_batch: int = Field(default=1, ge=1, le=64, description="optimiser steps on each batch of rollouts")
    checkpoint_every: int = Field(default=20, ge=1, description="steps between checkpoints")
    keep_rollouts: int = Field(default=4, ge=0, description="rollouts of each step written to train/rollouts.jsonl")
    kl_every: int = Field(default=10, ge=0, description="steps between measurements of the KL to the base; 0: never")
    validate_every: int = Field(default=0, ge=0, description="steps between scores on validation; 0: never")
    patience: int = Field(default=0, ge=0, description="stop after so many validations without improvement; 0: never")

    @property
    def prompts_in_step(self) -> int:
        """Labelled and unlabelled prompts of a step."""
        return self.prompts_per_step + (self.unlabelled.prompts_per_step if self.unlabelled else 0)
