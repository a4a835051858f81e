"""LoRA layers in fewer products and casts give PEFT's outputs and gradients."""

from __future__ import annotations

import pytest
import torch
from tiny_models import adapter_gradients, make_model

from candor.engines.tree.lora import FastLora

IDS = torch.arange(3, 15)[None]


@pytest.mark.parametrize("rank", [4, 24])
def test_outputs_and_gradients_are_those_of_peft(rank: int) -> None:
    """Also where a layer's whole gradient is cheaper than the products through the rank."""
    model = make_model("llama", rank=rank)
    lora = FastLora(model)
    assert len(lora) == 4 * 7
    expected = model(input_ids=IDS).logits
    expected.square().sum().backward()
    expected_gradients = adapter_gradients(model)
    with lora.applied():
        logits = model(input_ids=IDS).logits
        logits.square().sum().backward()
    assert torch.allclose(logits, expected, atol=1e-5)
    for name, gradient in adapter_gradients(model).items():
        assert (gradient - expected_gradients[name]).norm() < 1e-4 * expected_gradients[name].norm(), name


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_what_norms_give_is_not_kept_and_the_gradients_are_the_same(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each token twice the hidden size less in each layer; the first layer's norm needs no gradient."""

    def run(*, without_norms_kept: bool) -> tuple[int, dict[str, torch.Tensor]]:
        model = make_model(family)
        lora = FastLora(model)
        kept: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with lora.applied():
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                loss = model(input_ids=IDS).logits.square().sum()
            loss.backward()
        assert (lora._again.output.numel() > 0) == without_norms_kept
        lora.refresh()
        assert lora._again.output.numel() == lora._again.source.numel() == 0
        return sum(kept.values()), adapter_gradients(model)

    less, gradients = run(without_norms_kept=True)
    monkeypatch.setattr("candor.engines.tree.lora._is_norm", lambda module: False)
    more, expected = run(without_norms_kept=False)
    layers, hidden = 4, 32
    assert more - less == IDS.numel() * hidden * 4 * (2 * layers - 1)
    for name, gradient in gradients.items():
        assert torch.equal(gradient, expected[name]), name


def test_layers_get_their_own_forward_back() -> None:
    model = make_model("llama")
    expected = model(input_ids=IDS).logits
    with pytest.raises(RuntimeError, match="inside"), FastLora(model).applied():
        raise RuntimeError("inside")
    assert torch.equal(model(input_ids=IDS).logits, expected)


def test_weights_are_merged_again_after_refresh() -> None:
    model = make_model("llama")
    lora = FastLora(model)
    with lora.applied():
        before = model(input_ids=IDS).logits
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.mul_(-1.0)
    lora.refresh()
    with lora.applied():
        after = model(input_ids=IDS).logits
    assert not torch.allclose(before, after, atol=1e-3)
    assert torch.allclose(after, model(input_ids=IDS).logits, atol=1e-5)


def test_plain_models_and_expert_weights_are_left_alone() -> None:
    assert len(FastLora(make_model("llama", lora=False))) == 0
    # Adapters on expert weights stay with PEFT.
    assert len(FastLora(make_model("qwen3_moe", experts=True))) == 4 * 4


def test_in_bfloat16_the_distance_from_float32_arithmetic_is_that_of_peft() -> None:
    model = make_model("llama", dtype=torch.bfloat16)
    exact = make_model("llama", dtype=torch.bfloat16).float()
    exact(input_ids=IDS).logits.square().sum().backward()
    expected = adapter_gradients(exact)

    def distances() -> list[float]:
        logits = model(input_ids=IDS).logits
        model.zero_grad()
        logits.float().square().sum().backward()
        logits_off = (logits.float() - exact(input_ids=IDS).logits).norm()
        return [float(logits_off.detach())] + [
            float((gradient.float() - expected[name]).norm() / expected[name].norm())
            for name, gradient in adapter_gradients(model).items()
        ]

    peft = distances()
    with FastLora(model).applied():
        fast = distances()
    assert len(fast) == 1 + 2 * 4 * 7
    assert max(fast[1:]) < 0.1
    assert fast[0] < 1.5 * peft[0]
    assert sum(fast[1:]) < 1.5 * sum(peft[1:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_updates_of_an_adapter_change_the_outputs(dtype: torch.dtype) -> None:
    """In bfloat16 they would vanish in a sum with the weight."""
    model = make_model("llama", dtype=dtype)
    lora = FastLora(model)
    with lora.applied():
        before = model(input_ids=IDS).logits
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.mul_(1.02)
    lora.refresh()
    with lora.applied():
        after = model(input_ids=IDS).logits
    assert (before - after).abs().max() > 1e-3


def test_of_a_gated_mlp_only_gate_and_up_are_kept() -> None:
    """What is made of them is as large again, and cheap to make once more."""
    model = make_model("llama")
    width = model.config.intermediate_size
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape == (*IDS.shape, width):
            kept[tensor.data_ptr()] = tensor
        return tensor

    with FastLora(model).applied(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(input_ids=IDS).logits
    assert logits.requires_grad
    assert len(kept) == 2 * model.config.num_hidden_layers
