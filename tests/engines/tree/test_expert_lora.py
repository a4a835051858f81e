"""Adapters on the weights of experts, beside the weights."""

from __future__ import annotations

import pytest
import torch
from peft.tuners.lora.layer import ParamWrapper
from tiny_models import adapter_gradients, make_model

from candor.engines.tree.expert_lora import ExpertLora, _chain

IDS = torch.arange(3, 35)[None]
FAMILIES = ["gpt_oss", "qwen3_moe"]


def test_models_without_such_adapters_are_left_alone() -> None:
    assert len(ExpertLora(make_model("llama"))) == 0
    assert len(ExpertLora(make_model("gpt_oss"))) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_and_gradients_are_those_of_peft(family: str) -> None:
    model = make_model(family, experts=True)
    lora = ExpertLora(model)
    assert len(lora) == 4
    expected = model(input_ids=IDS).logits
    expected.square().sum().backward()
    expected_gradients = adapter_gradients(model)
    with lora.applied():
        logits = model(input_ids=IDS).logits
        logits.square().sum().backward()
    assert torch.allclose(logits, expected, atol=1e-5)
    assert any("experts" in name for name in expected_gradients)
    for name, gradient in adapter_gradients(model).items():
        assert (gradient - expected_gradients[name]).norm() < 1e-4 * expected_gradients[name].norm() + 1e-8, name
    assert torch.equal(model(input_ids=IDS).logits, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bfloat16_small_updates_are_not_lost_in_a_sum_with_the_weight(family: str) -> None:
    """What an adapter adds to the outputs, beside the same in float32 arithmetic."""
    width = 256
    exact = make_model(family, experts=True, dtype=torch.bfloat16, hidden_size=width).float()
    model = make_model(family, experts=True, dtype=torch.bfloat16, hidden_size=width)
    for each in (exact, model):
        for name, parameter in each.named_parameters():
            if "lora_" in name:
                # Weights are about .1 and in bfloat16 5e-4 apart. The update is 1e-4 for each, and adds up over all.
                shared = 1 / width if "lora_A" in name else 1e-4 * width / 8
                parameter.data = torch.full_like(parameter, shared).float()
    generator = torch.Generator().manual_seed(0)
    hidden = (1 + 0.1 * torch.randn(512, width, generator=generator)).bfloat16()
    call = hidden, torch.arange(512)[:, None] % 4, torch.ones(512, 1, dtype=torch.bfloat16)

    def added(each: torch.nn.Module, dtype: torch.dtype) -> torch.Tensor:
        outer = _outermost(each)
        experts, arguments = _chain(outer)[0], (call[0].to(dtype), call[1], call[2].to(dtype))
        return (outer(*arguments).float() - experts(*arguments).float()).flatten()

    def along(found: torch.Tensor) -> float:
        """Share of the true addition that is there, 1 for all of it."""
        return float((found @ expected).detach() / expected.detach().square().sum())

    expected = added(exact, torch.float32)
    folded = along(added(model, torch.bfloat16))
    with ExpertLora(model).applied():
        beside = along(added(model, torch.bfloat16))
    assert beside == pytest.approx(1.0, abs=0.15)
    assert folded < 0.5


def _outermost(model: torch.nn.Module) -> torch.nn.Module:
    return next(module for module in model.modules() if isinstance(module, ParamWrapper))
