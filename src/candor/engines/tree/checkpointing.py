"""Activation checkpointing by layer: of a token a layer keeps its input, and runs again in the backward pass.

What other passes read of a layer, keys and values, is kept all the same. The gradients are the same bits (Chen et al.,
arXiv 1604.06174, of which this is the simplest form).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint


@contextlib.contextmanager
def checkpointed(layers: Sequence[Any]) -> Iterator[None]:
    """Inside the block, decoder layers that run with gradients keep their input alone.

    The backward pass has to run inside whatever else was in force in the forward pass, but need not inside this block.

    Args:
        layers: called with hidden states and keyword arguments.
    """
    for layer in layers:
        layer.forward = partial(_run, layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _run(forward: Callable[..., Any], hidden: torch.Tensor, **arguments: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(hidden, **arguments)
    # There is no dropout anywhere, so no random state has to be put back.
    return checkpoint(partial(forward, **arguments), hidden, use_reentrant=False, preserve_rng_state=False)
