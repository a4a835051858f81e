"""Splitting a batch so that one backward pass fits into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from candor.errors import EngineError

SHARE_OF_MEMORY: Final = 0.4
"""Part of the free memory that activations may take; the rest is for logits, attention and gradients."""

MEMORY_IF_UNKNOWN: Final = 4 * 2**30
"""Bytes assumed where the system does not say what is free."""


def split_by_tokens(sizes: Sequence[int], share: slice, budget: int | None, model: Any) -> list[slice]:
    """Split a share of the prompts into contiguous parts of at most ``budget`` tokens, each prompt's group whole.

    Args:
        sizes: tokens of each prompt's group.
        share: the prompts to split.
        budget: most tokens in a part; a single group may exceed it. ``None``: from the memory at hand.
        model: whose activations are to fit.

    Raises:
        EngineError: the budget is not positive.
    """
    if budget is None:
        budget = max(1, int(SHARE_OF_MEMORY * free_memory(model.device) / bytes_per_token(model)))
    if budget < 1:
        raise EngineError(
            f"micro-batches of {budget} tokens are impossible; engine.micro_batch_tokens must be at least 1"
        )
    parts, start, tokens = [], share.start, 0
    for index in range(share.start, share.stop):
        if index > start and tokens + sizes[index] > budget:
            parts.append(slice(start, index))
            start, tokens = index, 0
        tokens += sizes[index]
    if start < share.stop:
        parts.append(slice(start, share.stop))
    return parts


def bytes_per_token(model: Any) -> int:
    """Rough bytes that a backward pass keeps for one token: activations of all layers and the row of logits."""
    config = model.config
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    active = int(getattr(config, "num_experts_per_tok", None) or 1)
    # Residual stream, norms, queries, keys, values, attention output and their adapters: about twelve times the
    # hidden size; gate, up, activation and product: four times the inner one.
    per_layer = 12 * hidden + 4 * inner * active
    width = torch.finfo(next(model.parameters()).dtype).bits // 8
    return width * per_layer * int(config.num_hidden_layers) + 4 * int(config.vocab_size)


def free_memory(device: torch.device) -> int:
    """Free bytes on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return MEMORY_IF_UNKNOWN
    return MEMORY_IF_UNKNOWN
