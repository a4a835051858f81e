"""The ``train`` part of a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from candor.config import Config


class ScheduleConfig(Config):
    """Learning rate over the steps."""

    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="of AdamW")
    warmup_steps: int = Field(default=0, ge=0, description="steps over which it rises linearly from 0")
    decay: Literal["none", "linear"] = Field(
        default="none", description="linear: falls towards 0, which the step after the last would have"
    )
    decay_start: float = Field(default=0.4, ge=0, le=1, description="part of the steps after which it falls")


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
