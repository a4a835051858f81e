"""LoRA on the weights of experts, beside the weights.

PEFT adds ``s B A`` to the weights of all experts, used or not, anew in every forward pass, in the weights' own dtype.
In bfloat16 small updates vanish in that sum (:mod:`candor.engines.tree.lora`), and for 20 billion parameters it moves
40 GB. Here the tokens are put in the order of their experts, and each expert that has any runs its two products with
the adapter's small ones beside them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from peft.tuners.lora.layer import ParamWrapper
from torch.nn import functional

_PROJECTIONS = ("gate_up_proj", "down_proj")
_LAYOUT = ("num_experts", "has_gate", "has_bias", "is_transposed", "has_post_expert_norm", "_apply_gate")
"""What transformers says of a module of experts that it can run in several ways."""


def _chain(outer: Any) -> tuple[Any, dict[str, Any]]:
    """A module of experts and its adapters by the name of the weight: PEFT wraps one around the other."""
    wrappers, module = {}, outer
    while isinstance(module, ParamWrapper):
        wrappers[module.parameter_name] = module
        module = module.base_layer
    return module, wrappers


def _is_plain(outer: Any) -> bool:
    """Whether one adapter is on the usual weights of the usual experts."""
    experts, wrappers = _chain(outer)
    return (
        set(wrappers) <= set(_PROJECTIONS)
        and all(hasattr(experts, name) for name in _LAYOUT)
        and experts.has_gate
        and not experts.has_post_expert_norm
        and not getattr(experts, "_is_expert_parallel", False)
        and all(len(each.active_adapters) == 1 and not each.merged for each in wrappers.values())
    )


class ExpertLora:
    """A model's experts with adapters on their weights.

    Args:
        model: a PEFT model, or any module; without such adapters this does nothing.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        wrappers = [module for module in model.modules() if isinstance(module, ParamWrapper)]
        inner = {id(module.base_layer) for module in wrappers}
        self._outer: list[Any] = [module for module in wrappers if id(module) not in inner and _is_plain(module)]

    def __len__(self) -> int:
        """Modules of experts that run so; the others stay on PEFT's path."""
        return len(self._outer)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Run the experts so inside the block."""
        for module in self._outer:
            module.forward = partial(_run, *_chain(module))
        try:
            yield
        finally:
            for module in self._outer:
                del module.forward


def _run(
    experts: Any, wrappers: Mapping[str, Any], hidden: torch.Tensor, index: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Outputs ``[N, D]`` of hidden states ``[N, D]``, each through the experts ``index [N, K]`` with these weights."""
    up, down = (_projection(experts, name, wrappers.get(name)) for name in _PROJECTIONS)
    order = index.flatten().argsort(stable=True)
    tokens = order // index.shape[1]
    counts = torch.bincount(index.flatten(), minlength=experts.num_experts).tolist()
    parts = enumerate(torch.split(hidden.index_select(0, tokens), counts))
    outputs = [down(experts._apply_gate(up(x, expert)), expert) for expert, x in parts if len(x)]
    weighted = torch.cat(outputs) * weights.flatten()[order][:, None]
    return torch.zeros_like(hidden).index_add(0, tokens, weighted.to(hidden.dtype))


def _projection(experts: Any, name: str, wrapper: Any) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """From tokens and their expert to what its weight and adapter make of them."""
    # Frozen. PEFT's own path registers the weight anew for every pass, which autograd would take for a change to it.
    weight: torch.Tensor = getattr(experts, name).data
    bias: torch.Tensor | None = getattr(experts, f"{name}_bias") if experts.has_bias else None

    def alone(x: torch.Tensor, expert: int) -> torch.Tensor:
        own = None if bias is None else bias[expert]
        return functional.linear(x, weight[expert].t() if experts.is_transposed else weight[expert], own)

    if wrapper is None:
        return alone
    (adapter,) = wrapper.active_adapters
    # PEFT lays the ranks of all experts side by side: expert by expert in A, rank by rank in B.
    lora_a = wrapper.lora_A[adapter].weight.view(
        experts.num_experts, -1, weight.shape[1 if experts.is_transposed else 2]
    )
    lora_b = wrapper.lora_B[adapter].weight
    lora_b = (lora_b.view(len(lora_b), -1, experts.num_experts) * wrapper.scaling[adapter]).permute(2, 0, 1)
    lora_a, lora_b = lora_a.to(weight.dtype), lora_b.to(weight.dtype)

    def adapted(x: torch.Tensor, expert: int) -> torch.Tensor:
        beside: torch.Tensor = (x @ lora_a[expert].t()) @ lora_b[expert].t()
        return alone(x, expert) + beside

    return adapted
