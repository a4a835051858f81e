"""The two ways of running a local model: sequence by sequence (plain) or over a prefix tree.

Both give the same numbers; :mod:`candor.engines.local.engine` takes the tree where a model family is proven on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from candor.engines.base import Tokens, TokenScores


@dataclass(frozen=True, slots=True)
class Sampled:
    """One sampled completion, before it is decoded and probed.

    Attributes:
        tokens: token ids, the stop token included when one was sampled.
        logprobs: per token, under the sampling distribution (temperature included; greedy counts as temperature 1).
        raw_logprobs: per token, at temperature 1.
        stopped: whether a stop token was sampled.
    """

    tokens: Tokens
    logprobs: tuple[float, ...]
    raw_logprobs: tuple[float, ...]
    stopped: bool


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens that are run to score continuations, by which a batch is split.

    Attributes:
        shared: tokens of the prompts that are run once for all of a part, however many they are.
        own_P: tokens of each prompt and its continuations besides.
        held_P: those of them whose activations an update holds until its end.
    """

    shared: int
    own_P: tuple[int, ...]
    held_P: tuple[int, ...]


class ForwardPath(Protocol):
    """Runs prompts once, then samples and scores what follows them."""

    def count(self, prompts: Sequence[Tokens], continuations: Sequence[Sequence[Tokens]]) -> TokenCounts:
        """Count what ``prefill`` and ``score`` would run."""
        ...

    def prefill(self, prompts: Sequence[Tokens], *, grad: bool, reference: bool = False) -> Any:
        """Run the prompts.

        Args:
            prompts: P token sequences, none empty.
            grad: keep what a backward pass through the prompts needs.
            reference: run the base model, without its adapter.

        Returns:
            An opaque prefix for ``sample`` and ``score``, valid until the weights change.
        """
        ...

    def sample(
        self,
        prefix: Any,
        group_size: int,
        *,
        temperature: float,
        max_new_tokens: int,
        stop_token_ids: frozenset[int],
        uniforms_P_G_T: torch.Tensor,
    ) -> list[list[Sampled]]:
        """Draw ``group_size`` completions after each prompt.

        Args:
            prefix: from ``prefill``.
            group_size: completions for each prompt.
            temperature: at least 0; 0 is greedy.
            max_new_tokens: longest completion, the stop token included.
            stop_token_ids: tokens that end a completion.
            uniforms_P_G_T: all the randomness there is, float64 in [0, 1): token t of completion g of prompt p is
                the first token id at which the cumulative probability exceeds ``uniforms_P_G_T[p, g, t]``
                (the last token id with a positive probability if rounding keeps the sum below it).
                So completions depend neither on micro-batches nor on which path draws them.
        """
        ...

    def score(self, prefix: Any, continuations: Sequence[Sequence[Tokens]], *, temperature: float) -> TokenScores:
        """Score each prompt's continuations, none of them empty.

        Differentiable if the prefix keeps gradients and they are enabled.
        """
        ...

    def backward(
        self,
        prefix: Any,
        continuations: Sequence[Sequence[Tokens]],
        *,
        temperature: float,
        loss: Callable[[TokenScores, slice], torch.Tensor],
    ) -> None:
        """Add the gradients of a loss of each prompt's continuations to those of the weights.

        Scores that have no gradient are not run backward.

        Args:
            prefix: from ``prefill`` with gradients; not usable afterwards.
            continuations: as for ``score``.
            temperature: as for ``score``.
            loss: from the scores of some of the prompts, and which they are, to their share of the loss. Called
                for a few prompts at a time, so that the activations of few are held.
        """
        ...

    def refresh(self) -> None:
        """Forget what was derived from the weights, because they have changed."""
        ...


def score_gradients(
    scores: TokenScores, loss: Callable[[TokenScores, slice], torch.Tensor], part: slice
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Gradients of a loss by log-probabilities and by raw ones; ``None`` where they are 0 everywhere.

    What has no gradient here needs no backward pass through the model: so it is with groups whose completions are all
    equally good.

    Args:
        scores: of some prompts.
        loss: from their scores, and which they are, to a scalar; called once.
        part: which prompts.
    """
    leaves = [each.detach().requires_grad_() for each in (scores.logprobs_P_C_T, scores.raw_logprobs_P_C_T)]
    value = loss(TokenScores(leaves[0], leaves[1], scores.mask_P_C_T), part)
    if value.requires_grad:
        torch.autograd.backward(value)
    logprobs, raw = (None if leaf.grad is None or not leaf.grad.any() else leaf.grad for leaf in leaves)
    return logprobs, raw


def backward_from(tensors: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor | None]) -> bool:
    """Run the backward pass from tensors that have a gradient; whether any has."""
    pairs = [pair for pair in zip(tensors, gradients, strict=True) if pair[1] is not None]
    if pairs:
        torch.autograd.backward([tensor for tensor, _ in pairs], [gradient for _, gradient in pairs])
    return bool(pairs)
