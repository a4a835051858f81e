"""The base model's log-probabilities of a step's continuations."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from candor.engines.base import Tokens
from candor.engines.ragged import padded
from candor.recipe.objective import RewardedConfig
from candor.training.batches import Prepared


def reference_logprobs(
    run: Prepared,
    config: RewardedConfig,
    prompts_P: Sequence[Tokens],
    continuations_P_C: Sequence[Sequence[Tokens]],
    step: int,
) -> torch.Tensor | None:
    """Shape P C T, padded with 0, where the step needs or measures the KL to the base; else ``None``."""
    every = run.recipe.train.kl_every
    if not config.kl and not (every and step % every == 0):
        return None
    return torch.from_numpy(padded(run.engine.logprobs(prompts_P, continuations_P_C, reference=True)))
