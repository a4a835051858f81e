"""Splitting a batch so that one pass over a part of it fits into memory.

A backward pass holds the activations of all layers. Without one, a pass holds those of one layer, the prompts' keys and
values, and logits, which is some twenty times less: decoding and scoring have a budget of their own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

SHARE_OF_MEMORY: Final = 0.3
"""Part of the memory that activations may take; the rest is for logits, attention, gradients and other programs."""

MEMORY_IF_UNKNOWN: Final = 4 * 2**30
"""Bytes assumed where the system does not say what is free."""


FLOAT32: Final = 4
"""Bytes of a number."""

DRAW_BYTES: Final = 28
"""Bytes for each entry of the vocabulary while a token is drawn: float32 logits, at the temperature, and their
exponentials, sums of those in float64, and what is compared."""


def split_by_size(sizes: Sequence[int], share: slice, budget: int) -> list[slice]:
    """Split a share of the prompts into contiguous parts of a bounded size, each prompt's group whole.

    Args:
        sizes: of each prompt's group, in tokens or bytes.
        share: the prompts to split.
        budget: largest size of a part; a single group may exceed it.
    """
    parts, start, taken = [], share.start, 0
    for index in range(share.start, share.stop):
        if index > start and taken + sizes[index] > budget:
            parts.append(slice(start, index))
            start, taken = index, 0
        taken += sizes[index]
    if start < share.stop:
        parts.append(slice(start, share.stop))
    return parts


def bytes_per_token(model: Any, *, tree: bool, checkpointing: bool = False) -> int:
    """Rough bytes that a backward pass keeps for one token: activations of all layers and the row of logits.

    Args:
        model: with its adapter.
        tree: whether adapters take no products and casts of their own, as on the prefix tree.
        checkpointing: whether all layers but one keep their input, keys and values alone.
    """
    config = model.config
    width: int = next(model.parameters()).dtype.itemsize
    if tree:
        layer = width * _numbers_on_the_tree(config)
        if width < FLOAT32:
            layer += 2 * width * int(config.hidden_size) + FLOAT32 * _numbers_in_norms(config)
    else:
        layer = width * _numbers_per_layer(config)
        if width < FLOAT32:
            layer += FLOAT32 * _numbers_cast(config)
    layers = int(config.num_hidden_layers)
    kept = layer * layers
    if checkpointing:
        kept = layer + width * (layers - 1) * (int(config.hidden_size) + 2 * _key_width(config))
    return kept + FLOAT32 * int(config.vocab_size)


def _numbers_per_layer(config: Any) -> int:
    """Numbers that one layer keeps for a token."""
    hidden, inner, experts = _sizes(config)
    # Residual stream, norms, queries, keys, values, attention output and their adapters: about twelve times the
    # hidden size; gate, up, activation and product: four times the inner one. Experts have inputs and outputs each.
    return 12 * hidden + 4 * inner * max(1, experts) + 3 * hidden * experts


def _numbers_on_the_tree(config: Any) -> int:
    """The same where an adapter needs no products of its own, and what norms give is made again."""
    hidden, inner, experts = _sizes(config)
    return 5 * hidden + 3 * inner * max(1, experts) + 4 * hidden * experts


def _numbers_in_norms(config: Any) -> int:
    """What a layer's norms, which compute in float32, keep of their input: one or two of them a copy, by family."""
    return 3 * int(config.hidden_size) // 2


def _key_width(config: Any) -> int:
    """Numbers of all keys of a layer, for one token."""
    heads = int(config.num_attention_heads)
    head_width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    return int(getattr(config, "num_key_value_heads", None) or heads) * head_width


def _numbers_cast(config: Any) -> int:
    """Inputs of a layer's adapters, which compute in float32: copies where the layer does not."""
    hidden, inner, experts = _sizes(config)
    attention = 5 * hidden  # queries, keys, values, output; some models' heads are wider than their hidden size
    return attention if experts else attention + hidden + inner


def _sizes(config: Any) -> tuple[int, int, int]:
    """Hidden size, inner size, and how many experts see a token; none where there are no experts."""
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    return hidden, inner, int(getattr(config, "num_experts_per_tok", None) or 0)


def tokens_that_fit(model: Any, *, tree: bool, checkpointing: bool = False) -> int:
    """Tokens of one backward pass that a machine like this one has room for: the same in every process on it.

    What is free just now is not asked, so that a run that was stopped goes on with the very parts that it began with.
    """
    return max(1, room(model) // bytes_per_token(model, tree=tree, checkpointing=checkpointing))


def room(model: Any) -> int:
    """Bytes that what belongs to the tokens of a pass may take, at least 0."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return max(0, int(SHARE_OF_MEMORY * (total_memory(model.device) - weights)))


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a pass without gradients takes.

    Attributes:
        stored: keys and values of all layers, for one token.
        passing: activations of one layer while it runs, for one token.
        drawing: logits and what is made of them while a token is drawn.
    """

    stored: int
    passing: int
    drawing: int

    @classmethod
    def of(cls, model: Any) -> Footprint:
        """That of a model, from its configuration."""
        config = model.config
        width: int = next(model.parameters()).dtype.itemsize
        return cls(
            stored=2 * _key_width(config) * width * int(config.num_hidden_layers),
            passing=width * _numbers_per_layer(config),
            drawing=DRAW_BYTES * int(config.vocab_size),
        )

    def decoding(self, prompt_tokens: int, group_size: int, max_new_tokens: int) -> int:
        """Of a prompt and the completions that are drawn behind it."""
        # Keys and values stand twice: as they were made and in rows for decoding; those of completions while they grow.
        tokens = prompt_tokens + group_size * max_new_tokens
        return 2 * self.stored * tokens + self.passing * prompt_tokens + group_size * (self.passing + self.drawing)

    def scoring(self, tokens: int) -> int:
        """Of tokens that are run once. Logits are made a bounded number at a time, and so are left out."""
        return (self.stored + self.passing) * tokens


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
