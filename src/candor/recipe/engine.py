"""The ``model`` and ``engine`` parts of a recipe."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from candor.config import Config

Decay: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
"""How much of an average over past steps each new step keeps."""


MILLION: Final = 1_000_000

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class LoraConfig(Config):
    """Low-rank adapters (arXiv 2106.09685) through PEFT. Dropout is always 0: rollouts and updates must agree."""

    rank: int = Field(default=32, ge=1, le=1024, description="of the two factors")
    alpha: float = Field(default=64.0, gt=0, description="the adapter is scaled by alpha / rank")
    targets: Literal["all-linear"] | list[str] = Field(
        default="all-linear", description="module names to adapt, or every linear layer but the output head"
    )
    parameters: list[str] = Field(
        default_factory=list, description="names of expert weights to adapt, for mixtures of experts"
    )


class ModelConfig(Config):
    """Which model is trained."""

    name: str = Field(
        description="'sandbox', a name (`candor models`), a folder with a Hugging Face model, a GGUF file, or a hub id"
    )
    revision: str | None = Field(default=None, description="commit or tag on the hub")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="auto: bfloat16 on a GPU, and on a CPU that multiplies in it (AMX, AVX-512 BF16) for models of "
        "hidden size 512 or more that were saved in it; else float32",
    )
    device: str = Field(default="auto", description="auto: the GPU if there is one, else the CPU")
    max_length: int | None = Field(
        default=None, ge=16, description="longest sequence in tokens; default: what the model was made for"
    )
    lora: LoraConfig = Field(default_factory=LoraConfig, description="the adapter that is trained")


class Prices(Config):
    """What a service charges, in one currency for a million tokens."""

    prefill: float = Field(ge=0, description="tokens read: prompts, probes, scores")
    sample: float = Field(ge=0, description="tokens sampled")
    train: float = Field(ge=0, description="tokens that a gradient was taken on")
    currency: str = Field(default="USD", description="of the prices")

    def cost(self, *, prefill: float, sample: float, train: float = 0.0) -> float:
        """What so many tokens cost, in the currency.

        >>> Prices(prefill=0.5, sample=2.0, train=4.0).cost(prefill=1e6, sample=500_000)
        1.5
        """
        return (prefill * self.prefill + sample * self.sample + train * self.train) / MILLION


class EngineConfig(Config):
    """What runs the model."""

    kind: Literal["local", "tinker"] = Field(
        default="local", description="local: torch on this machine; tinker: a service with the Tinker API"
    )
    base_url: str | None = Field(
        default=None, description="tinker: a server of one's own, http://HOST:PORT; default: the hosted service"
    )
    key_variable: str | None = Field(
        default=None,
        description="tinker: environment variable with the API key; default: TINKER_API_KEY for the hosted service, "
        "no key for a server of one's own",
    )
    loss: Literal["measured", "sum", "sequence_mean", "token_mean"] = Field(
        default="measured",
        description="tinker: how the service adds losses up; measured: found out at the start, or sum as documented "
        "for the hosted service",
    )
    in_flight: int = Field(default=256, ge=1, le=4096, description="tinker: requests sent at once")
    patience_s: float = Field(default=1800.0, gt=0, description="tinker: seconds that one request is tried")
    top_logprobs: int = Field(
        default=0,
        ge=0,
        le=100,
        description="tinker: likeliest tokens that the service tells for each place of a prompt, so that a few "
        "sequences tell what all answers have; 0: it tells none",
    )
    drawn_continuations: int | None = Field(
        default=None,
        ge=1,
        description="tinker: of each prompt so many continuations, and as many again on average, are drawn to take the "
        "gradient on, which is then right on average; default: all",
    )
    prices: Prices | None = Field(default=None, description="for candor run --plan")
    path: Literal["auto", "plain", "tree"] = Field(
        default="auto", description="auto: the prefix tree where the model family is proven on it, else plain"
    )
    micro_batch_tokens: int | None = Field(
        default=None, ge=1, description="most tokens in one backward pass; default: from the memory at hand"
    )
    checkpointing: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="whether layers keep their input alone and run again in the backward pass, for a third more work; "
        "auto: where the memory at hand would otherwise hold too few tokens at once",
    )
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="of AdamW")
    adam_betas: tuple[Decay, Decay] = Field(default=(0.9, 0.999), strict=False, description="of AdamW")
    adam_eps: float = Field(default=1e-8, gt=0, le=1e-2, description="of AdamW")

    @model_validator(mode="after")
    def _of_its_kind(self) -> EngineConfig:
        idle = [name for name in ("top_logprobs", "drawn_continuations") if getattr(self, name)]
        if idle and self.kind != "tinker":
            raise ValueError(f"{', '.join(idle)}: no effect with kind=local; set kind: tinker, or leave out")
        if self.base_url is None:
            return self
        if self.kind != "tinker":
            raise ValueError("base_url: no effect with kind=local; set kind: tinker, or leave it out")
        where = urlsplit(self.base_url)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise ValueError(f"base_url: {self.base_url!r} is no address; write http://HOST:PORT")
        if self.key_variable and where.scheme == "http" and where.hostname not in LOOPBACK:
            raise ValueError(f"key_variable: {self.base_url} is not encrypted; a key is sent over https alone")
        return self

    @property
    def spends(self) -> bool:
        """Whether running it costs money: on the hosted service."""
        return self.kind == "tinker" and self.base_url is None
