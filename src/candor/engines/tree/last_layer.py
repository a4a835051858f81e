"""Skipping what nobody reads: of a prompt, the last layer owes keys and values for all tokens, the rest for one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch


@contextlib.contextmanager
def only_for(layer: Any, tokens: torch.Tensor) -> Iterator[None]:
    """Inside the block, a decoder layer computes queries, attention output and MLP for some tokens only.

    The other tokens come out with values that mean nothing, but are finite, and no gradient flows into them.

    Args:
        layer: the model's last decoder layer, with ``self_attn.o_proj`` and ``mlp``.
        tokens: ``[n]``, ascending positions along the sequence of a ``[1, N, D]`` input; at least one.
    """
    modules = [layer.self_attn.o_proj, layer.mlp]
    # A fused projection makes queries together with keys and values, which all tokens need.
    if hasattr(layer.self_attn, "q_proj"):
        modules.append(layer.self_attn.q_proj)
    # Merged LoRA layers have a forward of their own in the instance; it is to be put back, not dropped.
    previous = [module.__dict__.get("forward") for module in modules]
    for module in modules:
        module.forward = _selective(module.forward, tokens)
    try:
        yield
    finally:
        for module, forward in zip(modules, previous, strict=True):
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def _selective(forward: Callable[..., Any], tokens: torch.Tensor) -> Callable[..., Any]:
    def run(x: torch.Tensor) -> Any:
        result = forward(x.index_select(1, tokens))
        # Mixtures of experts may return their router's scores beside the output.
        out, *others = result if isinstance(result, tuple) else (result,)
        spread = out.new_zeros(1, x.shape[1], out.shape[-1]).index_copy(1, tokens, out)
        return (spread, *others) if isinstance(result, tuple) else spread

    return run
