"""The ``model`` and ``engine`` parts of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from candor.config import Config

Decay: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
"""How much of an average over past steps each new step keeps."""


class LoraConfig(Config):
    """Low-rank adapters (arXiv 2106.09685) through PEFT. Dropout is always 0: rollouts and updates must agree."""

    rank: int = Field(default=32, ge=1, le=1024)
    alpha: float = Field(default=64.0, gt=0, description="the adapter is scaled by alpha / rank")
    targets: Literal["all-linear"] | list[str] = Field(
        default="all-linear", description="module names to adapt, or every linear layer but the output head"
    )
    parameters: list[str] = Field(
        default_factory=list, description="names of expert weights to adapt, for mixtures of experts"
    )


class ModelConfig(Config):
    """Which model is trained."""

    name: str = Field(description="'sandbox', a folder with a Hugging Face model, or a model id on the hub")
    revision: str | None = Field(default=None, description="commit or tag on the hub")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 on a GPU, float32 on a CPU"
    )
    device: str = Field(default="auto", description="auto: the GPU if there is one, else the CPU")
    max_length: int | None = Field(
        default=None, ge=16, description="longest sequence in tokens; default: what the model was made for"
    )
    lora: LoraConfig = Field(default_factory=LoraConfig)


class EngineConfig(Config):
    """What runs the model."""

    path: Literal["auto", "plain", "tree"] = Field(
        default="auto", description="auto: the prefix tree where the model family is proven on it, else plain"
    )
    micro_batch_tokens: int | None = Field(
        default=None, ge=1, description="most tokens in one backward pass; default: from the memory at hand"
    )
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    adam_betas: tuple[Decay, Decay] = Field(default=(0.9, 0.999), strict=False)
    adam_eps: float = Field(default=1e-8, gt=0, le=1e-2)
