"""The ``warm_start`` part of a recipe: what a base model is taught before anything is compared with it.

Either it is trained here, on examples of its own, or an adapter is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from candor.config import Config
from candor.recipe.objective import ObjectiveConfig, objective_config
from candor.recipe.train import TrainConfig


class TrainedWarmStart(Config):
    """A short supervised training on ``data.warm_start``, with the recipe's own ``model.lora``."""

    objective: ObjectiveConfig = Field(
        default_factory=lambda: objective_config({"preset": "sft", "taught_confidence": "drawn"}),
        description="what is shown; a supervised objective",
    )
    train: TrainConfig = Field(default_factory=TrainConfig, description="as in the recipe")

    @field_validator("objective")
    @classmethod
    def _shown(cls, objective: ObjectiveConfig) -> ObjectiveConfig:
        if objective.kind != "supervised" or objective.taught_confidence not in ("constant", "drawn"):
            raise ValueError(
                "a warm start is shown its answers; set preset: sft, with taught_confidence constant or drawn"
            )
        return objective

    @model_validator(mode="after")
    def _its_own_examples(self) -> TrainedWarmStart:
        idle = [name for name in ("sources", "unlabelled") if getattr(self.train, name) is not None]
        if idle or self.train.validate_every:
            name = idle[0] if idle else "validate_every"
            raise ValueError(f"train.{name}: no effect on a warm start, which is trained on data.warm_start to its end")
        return self


class ReadyWarmStart(Config):
    """A saved adapter: a PEFT folder, or one that comes with candor by its name."""

    adapter: str = Field(min_length=1, description="a PEFT folder, or the name of one that comes with candor")


def _tag(values: Any) -> str:
    ready = "adapter" in values if isinstance(values, Mapping) else isinstance(values, ReadyWarmStart)
    return (ReadyWarmStart if ready else TrainedWarmStart).__name__


WarmStartConfig: TypeAlias = Annotated[
    Annotated[TrainedWarmStart, Tag("TrainedWarmStart")] | Annotated[ReadyWarmStart, Tag("ReadyWarmStart")],
    Discriminator(_tag),
]
