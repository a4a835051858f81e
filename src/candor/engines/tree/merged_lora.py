"""LoRA folded into the weights for a while, and still trained.

One matrix product with ``W + s B A`` takes the place of PEFT's three; the backward pass returns the gradients of
``A`` and ``B`` all the same. The sum is exact up to float32 rounding. In bfloat16 it would not be: an update smaller
than half a unit in the last place of ``W`` would vanish in the sum, and with it most of what a small learning rate
has learned. Layers in lower precision therefore stay on PEFT's own path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch.nn import functional

_MERGEABLE_DTYPES = (torch.float32, torch.float64)


class _MergedLinear(torch.autograd.Function):
    """``x (W + s B A)^T + bias``, with gradients for ``x``, ``A`` and ``B``; ``W`` is frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        lora_a: torch.Tensor,
        lora_b: torch.Tensor,
        merged: torch.Tensor,
        bias: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, lora_a, lora_b, merged)
        ctx.scaling = scaling
        return functional.linear(x, merged, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, lora_a, lora_b, merged = ctx.saved_tensors
        grad_x = grad @ merged if ctx.needs_input_grad[0] else None
        return grad_x, *_adapter_gradients(grad, x, lora_a, lora_b, ctx.scaling), None, None, None


def _adapter_gradients(
    grad: torch.Tensor, x: torch.Tensor, lora_a: torch.Tensor, lora_b: torch.Tensor, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    grad_2d, x_2d = grad.reshape(-1, grad.shape[-1]), x.reshape(-1, x.shape[-1])
    (rank, inputs), outputs = lora_a.shape, lora_b.shape[0]
    # A small layer's whole gradient takes fewer multiplications than the two products through the rank.
    if inputs * outputs < 2 * rank * (inputs + outputs):
        whole = grad_2d.t() @ x_2d * scaling
        return lora_b.t() @ whole, whole @ lora_a.t()
    grad_a = (grad_2d @ (lora_b * scaling)).t() @ x_2d
    grad_b = grad_2d.t() @ (x_2d @ (lora_a * scaling).t())
    return grad_a, grad_b


class _MergedGatedLinear(torch.autograd.Function):
    """``(act(gate) * up) (W + s B A)^T + bias``; the two products that are cheap to make again are not kept."""

    @staticmethod
    def forward(
        ctx: Any,
        gate: torch.Tensor,
        up: torch.Tensor,
        lora_a: torch.Tensor,
        lora_b: torch.Tensor,
        merged: torch.Tensor,
        bias: torch.Tensor | None,
        scaling: float,
        activation: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        ctx.save_for_backward(gate, up, lora_a, lora_b, merged)
        ctx.scaling, ctx.activation = scaling, activation
        return functional.linear(activation(gate) * up, merged, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gate, up, lora_a, lora_b, merged = ctx.saved_tensors
        with torch.enable_grad():
            gate, up = gate.detach().requires_grad_(), up.detach().requires_grad_()
            x = ctx.activation(gate) * up
        grad_gate, grad_up = torch.autograd.grad(x, (gate, up), grad @ merged)
        adapter = _adapter_gradients(grad, x.detach(), lora_a, lora_b, ctx.scaling)
        return grad_gate, grad_up, *adapter, None, None, None, None


def _is_mergeable(module: torch.nn.Module) -> bool:
    """Whether a module is plain LoRA on a dense float layer: one adapter, no dropout, no variant, no bias in B."""
    if not isinstance(module, LoraLinear) or len(module.active_adapters) != 1:
        return False
    (name,) = module.active_adapters
    base = module.get_base_layer()
    return (
        name in module.lora_A
        and type(base) is torch.nn.Linear
        and base.weight.dtype in _MERGEABLE_DTYPES
        and module.lora_A[name].weight.dtype == base.weight.dtype
        and module.lora_B[name].bias is None
        and name not in module.lora_variant
        and isinstance(module.lora_dropout[name], torch.nn.Identity)
        and not module.fan_in_fan_out
        and not module.merged
    )


def _is_gated(module: Any) -> bool:
    """Whether a module is the usual gated MLP, ``down(act(gate(x)) * up(x))``, with LoRA that is merged on ``down``."""
    parts = {name for name, _ in module.named_children()}
    return parts == {"gate_proj", "up_proj", "down_proj", "act_fn"} and _is_mergeable(module.down_proj)


class MergedLora:
    """The merged weights of a model's LoRA layers, made when first needed after :meth:`refresh`.

    Args:
        model: a PEFT model, or any module; without LoRA layers this does nothing.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._layers: list[Any] = [module for module in model.modules() if _is_mergeable(module)]
        self._gated = [module for module in model.modules() if _is_gated(module)]
        self._weights: list[torch.Tensor] = []
        self._fresh = False

    def __len__(self) -> int:
        """Number of layers that are merged; the others stay on PEFT's path."""
        return len(self._layers)

    def refresh(self) -> None:
        """Forget the merged weights, because the adapter has changed."""
        self._fresh = False

    @torch.no_grad()
    def _merge(self) -> None:
        if not self._weights:
            self._weights = [torch.empty_like(layer.get_base_layer().weight) for layer in self._layers]
        for layer, merged in zip(self._layers, self._weights, strict=True):
            (name,) = layer.active_adapters
            lora_a, lora_b = layer.lora_A[name].weight, layer.lora_B[name].weight
            torch.addmm(layer.get_base_layer().weight, lora_b, lora_a, alpha=layer.scaling[name], out=merged)
        self._fresh = True

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Run the LoRA layers on the merged weights inside the block."""
        if not self._fresh:
            self._merge()
        for layer, merged in zip(self._layers, self._weights, strict=True):
            layer.forward = _forward(layer, merged)
        merged_of = dict(zip(self._layers, self._weights, strict=True))
        for mlp in self._gated:
            mlp.forward = _gated_forward(mlp, merged_of[mlp.down_proj])
        try:
            yield
        finally:
            for module in [*self._layers, *self._gated]:
                del module.forward


def _forward(layer: Any, merged: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    (name,) = layer.active_adapters
    lora_a, lora_b = layer.lora_A[name].weight, layer.lora_B[name].weight
    bias, scaling = layer.get_base_layer().bias, layer.scaling[name]

    def forward(x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = cast(Any, _MergedLinear).apply(x, lora_a, lora_b, merged, bias, scaling)
        return out

    return forward


def _gated_forward(mlp: Any, merged: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    layer = mlp.down_proj
    (name,) = layer.active_adapters
    lora_a, lora_b = layer.lora_A[name].weight, layer.lora_B[name].weight
    bias, scaling = layer.get_base_layer().bias, layer.scaling[name]

    def forward(x: torch.Tensor) -> torch.Tensor:
        gated = (mlp.gate_proj(x), mlp.up_proj(x), lora_a, lora_b, merged, bias, scaling, mlp.act_fn)
        out: torch.Tensor = cast(Any, _MergedGatedLinear).apply(*gated)
        return out

    return forward
