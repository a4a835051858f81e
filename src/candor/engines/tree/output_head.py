"""From hidden states to log-probabilities of chosen tokens, without keeping a vocabulary-wide tensor for each score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.nn import functional

CHUNK_BYTES = {"cpu": 16 * 2**20, "cuda": 128 * 2**20}
"""Logits that are made, or run backward, at a time; as many again twice are held on the way. Up to two such chunks are
kept for the backward pass, more are made again. Few bytes on a processor, few chunks where each takes kernels."""


@dataclass(frozen=True, slots=True)
class OutputHead:
    """The frozen linear layer that ends a language model.

    Attributes:
        weight: ``[V, D]``.
        bias: ``[V]`` or none.
        softcap: logits are squashed to ``softcap * tanh(logits / softcap)`` where given (Gemma).
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    softcap: float | None

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[S, D]`` to float32 ``[S, V]``."""
        logits = functional.linear(hidden, self.weight, self.bias).float()
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def token_logprobs(
        self, hidden: torch.Tensor, sources: torch.Tensor, tokens: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability of ``tokens[e]`` after hidden state ``sources[e]``: at ``temperature``, and at 1.

        Args:
            hidden: ``[S, D]``.
            sources: ``[E]`` indices into ``hidden``.
            tokens: ``[E]`` token ids.
            temperature: above 0.

        Returns:
            Two float32 tensors ``[E]``, differentiable with respect to ``hidden``.
        """
        at_temperature, raw = cast(Any, _TokenLogprobs).apply(hidden, sources, tokens, temperature, self)
        return at_temperature, raw


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        sources: torch.Tensor,
        tokens: torch.Tensor,
        temperature: float,
        head: OutputHead,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.set_materialize_grads(False)
        vocabulary = head.weight.shape[0]
        keep = hidden.shape[0] * vocabulary * 4 <= 2 * _chunk_bytes(hidden)
        scores = hidden.new_empty((2, len(tokens)), dtype=torch.float32)
        kept = []
        for rows, edges in _chunks(hidden, sources, vocabulary):
            logits = head.logits(hidden[rows])
            source = sources[edges] - rows.start
            chosen = logits[source, tokens[edges]]
            scores[1, edges] = chosen - torch.logsumexp(logits, dim=-1)[source]
            if temperature == 1.0:
                scores[0, edges] = scores[1, edges]
            else:
                normaliser = torch.logsumexp(logits / temperature, dim=-1)
                scores[0, edges] = chosen / temperature - normaliser[source]
            if keep:
                kept.append(logits)
        ctx.save_for_backward(hidden, sources, tokens)
        # Logits made here belong to no graph, so keeping them outside save_for_backward is safe.
        ctx.kept, ctx.temperature, ctx.head = kept, temperature, head
        return scores[0], scores[1]

    @staticmethod
    def backward(
        ctx: Any, grad_at_temperature: torch.Tensor | None, grad_raw: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        hidden, sources, tokens = ctx.saved_tensors
        head: OutputHead = ctx.head
        parts = [
            (grad, temperature)
            for grad, temperature in ((grad_at_temperature, ctx.temperature), (grad_raw, 1.0))
            if grad is not None
        ]
        grad_hidden = torch.zeros_like(hidden)
        for number, (rows, edges) in enumerate(_chunks(hidden, sources, head.weight.shape[0])):
            logits = ctx.kept[number] if ctx.kept else head.logits(hidden[rows])
            source = sources[edges] - rows.start
            grad_logits = torch.zeros_like(logits)
            for grad, temperature in parts:
                share = grad[edges] / temperature
                total = logits.new_zeros(len(logits)).index_add_(0, source, share)
                grad_logits -= torch.softmax(logits / temperature, dim=-1).mul_(total[:, None])
                grad_logits.index_put_((source, tokens[edges]), share, accumulate=True)
            if head.softcap is not None:
                grad_logits *= 1 - (logits / head.softcap).square()
            grad_hidden[rows] = grad_logits.to(hidden.dtype) @ head.weight
        return grad_hidden, None, None, None, None


def _chunk_bytes(hidden: torch.Tensor) -> int:
    return CHUNK_BYTES.get(hidden.device.type, CHUNK_BYTES["cpu"])


def _chunks(
    hidden: torch.Tensor, sources: torch.Tensor, vocabulary: int
) -> Iterator[tuple[slice, torch.Tensor | slice]]:
    """Rows of hidden states whose logits are a chunk, and the edges that leave them."""
    count, size = len(hidden), max(1, _chunk_bytes(hidden) // (4 * vocabulary))
    if size >= count:
        yield slice(0, count), slice(None)
        return
    for start in range(0, count, size):
        end = min(start + size, count)
        yield slice(start, end), ((sources >= start) & (sources < end)).nonzero()[:, 0]
