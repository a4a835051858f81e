"""Layers that keep their input alone and run again in the backward pass."""

from __future__ import annotations

import torch

from candor.engines.tree.checkpointing import checkpointed


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.weight = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, hidden: torch.Tensor, *, power: int) -> torch.Tensor:
        self.runs += 1
        return torch.exp(self.weight * hidden) ** power


def test_a_layer_runs_again_in_the_backward_pass_and_gives_the_same_gradient() -> None:
    layer, hidden = Layer(), torch.tensor([0.25, 0.5])
    layer(hidden, power=2).sum().backward()
    expected, layer.weight.grad, layer.runs = layer.weight.grad, None, 0
    with checkpointed([layer]):
        out = layer(hidden, power=2).sum()
    assert layer.runs == 1
    out.backward()  # outside the block
    assert layer.runs == 2
    assert torch.equal(layer.weight.grad, expected)


def test_without_gradients_it_runs_once_and_afterwards_as_ever() -> None:
    layer = Layer()
    with checkpointed([layer]), torch.no_grad():
        layer(torch.ones(1), power=1)
    assert layer.runs == 1
    assert "forward" not in vars(layer)
