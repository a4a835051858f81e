"""LoRA layers in fewer products and casts than PEFT takes, with the same outputs and gradients.

In float32 ``W + s B A`` is formed once per step, and one matrix product takes the place of PEFT's three. The sum is
exact up to float32 rounding. In bfloat16 it would not be: an update smaller than half a unit in the last place of ``W``
would vanish in the sum, and with it most of what a small learning rate has learned. There the adapter stays beside the
weight. PEFT casts a layer's input to float32 for it; here ``A`` and ``s B`` are rounded to the layer's dtype once per
step, which is as far from float32 arithmetic and moves half the bytes.

In float32 what a norm gives to the layers behind it is not kept for the backward pass but made again, once for all of
them, from the norm's own input, which is kept in any case. (In half precision a norm keeps a copy in float32 instead.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch.nn import functional

Activation: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
Norm: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


class _Layer(Protocol):
    """A linear layer with its adapter. ``W`` is frozen, ``A [r, in]`` and ``B [out, r]`` are trained in float32."""

    lora_a: torch.Tensor
    lora_b: torch.Tensor

    def refresh(self) -> None:
        """Derive from the adapter what a pass needs, because the adapter has changed."""
        ...

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """``[N, in]`` to ``[N, out]``."""
        ...

    def input_gradient(self, grad: torch.Tensor) -> torch.Tensor:
        """``[N, out]`` to ``[N, in]``."""
        ...

    def adapter_gradients(self, grad: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Those of ``A`` and ``B``, from that of the outputs ``[N, out]`` and the input ``[N, in]``."""
        ...


@dataclass(slots=True)
class _Merged:
    """``W + s B A`` as one weight."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    lora_a: torch.Tensor
    lora_b: torch.Tensor
    scaling: float
    merged: torch.Tensor = field(init=False)

    def refresh(self) -> None:
        self.merged = torch.addmm(self.weight, self.lora_b, self.lora_a, alpha=self.scaling)

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.merged, self.bias)

    def input_gradient(self, grad: torch.Tensor) -> torch.Tensor:
        return grad @ self.merged

    def adapter_gradients(self, grad: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (rank, inputs), outputs = self.lora_a.shape, self.lora_b.shape[0]
        # A small layer's whole gradient takes fewer multiplications than the two products through the rank.
        if inputs * outputs < 2 * rank * (inputs + outputs):
            whole = grad.t() @ x * self.scaling
            return self.lora_b.t() @ whole, whole @ self.lora_a.t()
        grad_a = (grad @ (self.lora_b * self.scaling)).t() @ x
        return grad_a, grad.t() @ (x @ (self.lora_a * self.scaling).t())


@dataclass(slots=True)
class _Beside:
    """``W``, and beside it ``A`` and ``s B`` in the dtype of ``W``."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    lora_a: torch.Tensor
    lora_b: torch.Tensor
    scaling: float
    rounded_a: torch.Tensor = field(init=False)
    rounded_b: torch.Tensor = field(init=False)

    def refresh(self) -> None:
        self.rounded_a = self.lora_a.to(self.weight.dtype)
        self.rounded_b = (self.lora_b * self.scaling).to(self.weight.dtype)

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight, self.bias).addmm_(x @ self.rounded_a.t(), self.rounded_b.t())

    def input_gradient(self, grad: torch.Tensor) -> torch.Tensor:
        return (grad @ self.weight).addmm_(grad @ self.rounded_b, self.rounded_a)

    def adapter_gradients(self, grad: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        grad_a = (grad @ self.rounded_b).t() @ x
        return grad_a.float(), (grad.t() @ (x @ self.rounded_a.t())).float() * self.scaling


@dataclass(slots=True)
class _MadeAgain:
    """The output of a norm that was made again last: the layers behind one norm are run backward one after another."""

    norm: Norm | None = None
    source: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    output: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def of(self, norm: Norm, source: torch.Tensor) -> torch.Tensor:
        # The source is held here, so that no other tensor can come to lie where it lies.
        if norm is not self.norm or source.data_ptr() != self.source.data_ptr():
            with torch.no_grad():
                self.norm, self.source, self.output = norm, source, norm(source)
        return self.output

    def forget(self) -> None:
        self.norm, self.source, self.output = None, torch.empty(0), torch.empty(0)


def _outputs(layer: _Layer, x: torch.Tensor) -> torch.Tensor:
    """Outputs for inputs of any leading shape."""
    return layer.outputs(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    """A layer's outputs, with gradients for its input and its adapter."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        lora_a: torch.Tensor,
        lora_b: torch.Tensor,
        layer: _Layer,
        norm: Norm | None,
        source: torch.Tensor | None,
        again: _MadeAgain,
    ) -> torch.Tensor:
        ctx.save_for_backward(x if source is None else source)
        ctx.layer, ctx.norm, ctx.again = layer, norm, again
        return _outputs(layer, x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        if ctx.norm is not None:
            x = ctx.again.of(ctx.norm, x)
        flat = grad.reshape(-1, grad.shape[-1])
        grad_x = ctx.layer.input_gradient(flat).view(x.shape) if ctx.needs_input_grad[0] else None
        return grad_x, *ctx.layer.adapter_gradients(flat, x.reshape(-1, x.shape[-1])), None, None, None, None


class _GatedLinear(torch.autograd.Function):
    """The same of ``act(gate) * up``; the two products that are cheap to make again are not kept."""

    @staticmethod
    def forward(
        ctx: Any,
        gate: torch.Tensor,
        up: torch.Tensor,
        lora_a: torch.Tensor,
        lora_b: torch.Tensor,
        layer: _Layer,
        activation: Activation,
    ) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        ctx.layer, ctx.activation = layer, activation
        return _outputs(layer, activation(gate) * up)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gate, up = ctx.saved_tensors
        with torch.enable_grad():
            gate, up = gate.detach().requires_grad_(), up.detach().requires_grad_()
            x = ctx.activation(gate) * up
        flat = grad.reshape(-1, grad.shape[-1])
        grad_x = ctx.layer.input_gradient(flat).view(x.shape)
        grad_gate, grad_up = torch.autograd.grad(x, (gate, up), grad_x)
        adapter = ctx.layer.adapter_gradients(flat, x.detach().reshape(-1, x.shape[-1]))
        return grad_gate, grad_up, *adapter, None, None


def _is_plain(module: torch.nn.Module) -> bool:
    """Whether a module is plain LoRA on a dense float layer: one adapter, no dropout, no variant, no bias in B."""
    if not isinstance(module, LoraLinear) or len(module.active_adapters) != 1:
        return False
    (name,) = module.active_adapters
    base = module.get_base_layer()
    return (
        name in module.lora_A
        and type(base) is torch.nn.Linear
        and base.weight.is_floating_point()
        and module.lora_A[name].weight.dtype == torch.promote_types(base.weight.dtype, torch.float32)
        and module.lora_B[name].bias is None
        and name not in module.lora_variant
        and isinstance(module.lora_dropout[name], torch.nn.Identity)
        and not module.fan_in_fan_out
        and not module.merged
    )


def _is_gated(module: Any) -> bool:
    """Whether a module is the usual gated MLP, ``down(act(gate(x)) * up(x))``, with plain LoRA on ``down``."""
    parts = {name for name, _ in module.named_children()}
    return parts == {"gate_proj", "up_proj", "down_proj", "act_fn"} and _is_plain(module.down_proj)


def _is_norm(module: torch.nn.Module) -> bool:
    """Whether a module is a frozen norm, by the name that transformers gives all of them."""
    named = type(module).__name__.endswith(("RMSNorm", "LayerNorm"))
    return named and not any(parameter.requires_grad for parameter in module.parameters())


def _layer_of(module: Any) -> _Layer:
    (name,) = module.active_adapters
    base = module.get_base_layer()
    kind = _Merged if base.weight.dtype.itemsize >= torch.float32.itemsize else _Beside
    return kind(base.weight, base.bias, module.lora_A[name].weight, module.lora_B[name].weight, module.scaling[name])


class FastLora:
    """A model's plain LoRA layers; what is derived from the adapter is made when first needed after :meth:`refresh`.

    Args:
        model: a PEFT model, or any module; without LoRA layers this does nothing.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._layers = {module: _layer_of(module) for module in model.modules() if _is_plain(module)}
        self._again = _MadeAgain()
        self._fresh = False
        modules: list[Any] = list(model.modules())
        self._forwards: dict[Any, Callable[[torch.Tensor], torch.Tensor]] = {
            **{module: _forward(layer, self._again) for module, layer in self._layers.items()},
            **{norm: _noted(norm.forward) for norm in modules if _is_norm(norm)},
            **{mlp: _gated_forward(mlp, self._layers[mlp.down_proj]) for mlp in modules if _is_gated(mlp)},
        }

    def __len__(self) -> int:
        """Number of layers that run so; the others stay on PEFT's path."""
        return len(self._layers)

    def refresh(self) -> None:
        """Forget what was derived from the adapter, because it has changed, and what a backward pass made again."""
        self._fresh = False
        self._again.forget()

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Run the LoRA layers so inside the block."""
        if not self._fresh:
            with torch.no_grad():
                for layer in self._layers.values():
                    layer.refresh()
            self._fresh = True
        for module, forward in self._forwards.items():
            module.forward = forward
        try:
            yield
        finally:
            for module in self._forwards:
                del module.forward


def _forward(layer: _Layer, again: _MadeAgain) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return _outputs(layer, x)
        norm, source = getattr(x, _NOTE, (None, None))
        out: torch.Tensor = cast(Any, _Linear).apply(x, layer.lora_a, layer.lora_b, layer, norm, source, again)
        return out

    return forward


_NOTE = "_candor_made_by"
"""Attribute of a norm's output: the norm, and what it was given."""


def _noted(norm: Norm) -> Norm:
    def forward(x: torch.Tensor) -> torch.Tensor:
        out = norm(x)
        if out.requires_grad and x.dtype == torch.float32:
            setattr(out, _NOTE, (norm, x.detach()))
        return out

    return forward


def _gated_forward(mlp: Any, layer: _Layer) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        gate, up = mlp.gate_proj(x), mlp.up_proj(x)
        if not torch.is_grad_enabled():
            return _outputs(layer, mlp.act_fn(gate) * up)
        out: torch.Tensor = cast(Any, _GatedLinear).apply(gate, up, layer.lora_a, layer.lora_b, layer, mlp.act_fn)
        return out

    return forward
