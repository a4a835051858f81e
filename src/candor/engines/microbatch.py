"""Splitting a batch so that one backward pass fits into memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

SHARE_OF_MEMORY: Final = 0.3
"""Part of the memory that activations may take; the rest is for logits, attention, gradients and other programs."""

MEMORY_IF_UNKNOWN: Final = 4 * 2**30
"""Bytes assumed where the system does not say what is free."""


def split_by_tokens(sizes: Sequence[int], share: slice, budget: int) -> list[slice]:
    """Split a share of the prompts into contiguous parts of at most ``budget`` tokens, each prompt's group whole.

    Args:
        sizes: tokens of each prompt's group.
        share: the prompts to split.
        budget: most tokens in a part; a single group may exceed it.
    """
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


def tokens_that_fit(model: Any) -> int:
    """Tokens of one backward pass that a machine like this one has room for: the same in every process on it.

    What is free just now is not asked, so that a run that was stopped goes on with the very parts that it began with.
    """
    device = model.device
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    room = SHARE_OF_MEMORY * (total_memory(device) - weights)
    return max(1, int(room / bytes_per_token(model)))


def total_memory(device: torch.device) -> int:
    """Bytes that this process may use: the device's memory, or this process's share of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limits = [MEMORY_IF_UNKNOWN]
    with contextlib.suppress(OSError, ValueError):
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError, ValueError):
        # A container's limit; "max" means none.
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(limits) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
