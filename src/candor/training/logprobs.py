"""Log-probabilities of a step's continuations, padded to one array: under the policy that sampled, and of the base."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from candor.engines.base import Tokens
from candor.training.batches import Prepared


def padded(rows_P_C: Sequence[Sequence[ArrayLike]]) -> torch.Tensor:
    """Ragged rows as one float64 tensor of shape P C T, filled up with zeros."""
    arrays = [[np.asarray(row, dtype=np.float64) for row in group] for group in rows_P_C]
    length = max(len(row) for group in arrays for row in group)
    out = np.zeros((len(arrays), max(map(len, arrays)), length))
    for p, group in enumerate(arrays):
        for c, row in enumerate(group):
            out[p, c, : len(row)] = row
    return torch.from_numpy(out)


def reference_logprobs(
    run: Prepared, prompts_P: Sequence[Tokens], continuations_P_C: Sequence[Sequence[Tokens]], step: int
) -> torch.Tensor | None:
    """The base model's log-probabilities, padded with 0, where the step needs or measures the KL; else ``None``."""
    every = run.recipe.train.kl_every
    if not run.recipe.objective.kl and not (every and step % every == 0):
        return None
    return padded(run.engine.logprobs(prompts_P, continuations_P_C, reference=True))
