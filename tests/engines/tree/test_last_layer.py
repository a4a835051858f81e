"""Of a layer's last tokens the rest is skipped, and everything is put back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from candor.engines.tree.last_layer import only_for

WIDTH = 4


class Attention(nn.Module):
    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        names = ("qkv_proj",) if fused else ("q_proj", "k_proj", "v_proj")
        for name in names:
            self.add_module(name, nn.Linear(WIDTH, WIDTH))
        self.o_proj = nn.Linear(WIDTH, WIDTH)


class Layer(nn.Module):
    def __init__(self, *, fused: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.self_attn = Attention(fused=fused)
        self.mlp = nn.Linear(WIDTH, WIDTH)


TOKENS = torch.tensor([1, 4])
X = torch.randn(1, 6, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["q_proj", "o_proj"])
def test_chosen_tokens_are_exact_and_the_others_zero(name: str) -> None:
    layer = Layer()
    module = getattr(layer.self_attn, name)
    whole = module(X)
    with only_for(layer, TOKENS):
        part = module(X)
    torch.testing.assert_close(part[:, TOKENS], whole[:, TOKENS])
    assert part.shape == whole.shape
    others = [0, 2, 3, 5]
    assert part[:, others].abs().max() == 0


def test_keys_and_values_are_made_for_all_tokens() -> None:
    layer = Layer()
    fused = Layer(fused=True)
    with only_for(layer, TOKENS), only_for(fused, TOKENS):
        for module in (layer.self_attn.k_proj, layer.self_attn.v_proj, fused.self_attn.qkv_proj):
            assert (module(X).abs().sum(-1) > 0).all()
        assert fused.mlp(X)[0, 0].abs().sum() == 0


def test_no_gradient_flows_into_the_skipped_tokens() -> None:
    layer = Layer()
    x = X.clone().requires_grad_()
    with only_for(layer, TOKENS):
        layer.mlp(x).sum().backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum(-1) > 0).tolist() == [False, True, False, False, True, False]


def test_what_stands_beside_an_output_stays() -> None:
    layer = Layer()
    layer.mlp.forward = lambda x: (2 * x, "scores")  # type: ignore[method-assign, assignment, return-value]
    with only_for(layer, TOKENS):
        out, scores = layer.mlp(X)
    assert scores == "scores"
    torch.testing.assert_close(out[:, TOKENS], 2 * X[:, TOKENS])


def test_a_forward_of_the_instances_own_is_put_back_even_after_an_error() -> None:
    layer = Layer()
    own = layer.self_attn.o_proj.forward
    layer.self_attn.o_proj.forward = own  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="stopped"), only_for(layer, TOKENS):
        raise RuntimeError("stopped")
    assert layer.self_attn.o_proj.__dict__["forward"] is own
    assert "forward" not in layer.mlp.__dict__
    assert "forward" not in layer.self_attn.q_proj.__dict__
