"""Softmax attention that also returns its normaliser, so that attention to several sets of keys can be put together.

Attention to the keys of A and B is the mean of attention to A and attention to B, weighted by the sums of their
exponentials. And once the output and the normaliser over all keys are known, gradients follow for each set on its own
(as in FlashAttention, arXiv 2205.14135, appendix B). So keys that many queries share need not be copied for each.
"""

from __future__ import annotations

import torch


def _is_fused(queries: torch.Tensor, values: torch.Tensor, softcap: float | None) -> bool:
    return queries.device.type == "cpu" and softcap is None and queries.shape[-1] == values.shape[-1]


MOST_SCORES = 2**25
"""Scores that a backward pass makes at once where it is not fused."""


def _is_backward_fused(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, softcap: float | None) -> bool:
    """In lower precision torch's fused backward pass on CPUs takes three times as long as one made of products."""
    if not _is_fused(queries, values, softcap):
        return False
    scores = queries.shape[0] * queries.shape[1] * queries.shape[2] * keys.shape[2]
    return queries.dtype.itemsize >= torch.float32.itemsize or scores > MOST_SCORES


def attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    softcap: float | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of ``[B, H, Q, d]`` to ``[B, H, K, d]``.

    Args:
        queries: ``[B, H, Q, d]``.
        keys: ``[B, H, K, d]``.
        values: ``[B, H, K, d]``.
        mask: additive and finite, broadcast to ``[B, H, Q, K]``.
        scale: products are multiplied by it.
        softcap: scores are squashed to ``softcap * tanh(score / softcap)`` where given.

    Returns:
        Outputs ``[B, H, Q, d]`` and the logarithms of the sums of exponentials ``[B, H, Q]``, float32.
    """
    if _is_fused(queries, values, softcap):
        out, normaliser = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            queries, keys, values, attn_mask=mask, scale=scale
        )
        return out, normaliser
    scores, _ = _scores(queries, keys, mask, scale, softcap)
    normaliser = torch.logsumexp(scores, dim=-1)
    return torch.exp(scores - normaliser[..., None]).to(values.dtype) @ values, normaliser


def attend_backward(
    grad: torch.Tensor,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    out: torch.Tensor,
    normaliser: torch.Tensor,
    scale: float,
    softcap: float | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of queries, keys and values, where ``out`` and ``normaliser`` are those over all sets of keys."""
    if _is_backward_fused(queries, keys, values, softcap):
        gradients: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = (
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                grad, queries, keys, values, out, normaliser, 0.0, False, attn_mask=mask, scale=scale
            )
        )
        return gradients
    scores, slope = _scores(queries, keys, mask, scale, softcap)
    weights = scores.sub_(normaliser[..., None]).exp_()
    grad_values = weights.transpose(2, 3).to(grad.dtype) @ grad
    along = (grad * out).sum(-1, keepdim=True, dtype=torch.float32)
    grad_scores = weights.mul_((grad @ values.transpose(2, 3)).sub(along))
    if slope is not None:
        grad_scores *= slope
    grad_scores = grad_scores.to(queries.dtype)
    return (grad_scores @ keys) * scale, (grad_scores.transpose(2, 3) @ queries) * scale, grad_values


def _scores(
    queries: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None, scale: float, softcap: float | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Float32 scores, and the slope of their squashing."""
    scores, slope = (queries @ keys.transpose(2, 3)).float().mul_(scale), None
    if softcap is not None:
        squashed = torch.tanh(scores / softcap)
        scores, slope = squashed * softcap, 1 - squashed.square()
    return scores if mask is None else scores.add_(mask), slope
