"""Token log-probabilities and their gradient against log_softmax and autograd."""

from __future__ import annotations

import pytest
import torch

from candor.engines.tree.output_head import CHUNK_BYTES, OutputHead


@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("kept_rows", [2, 6, 100])
def test_values_and_gradient_equal_log_softmax(
    softcap: float | None, temperature: float, kept_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHUNK_BYTES, "cpu", 4 * 11 * kept_rows // 2)
    generator = torch.Generator().manual_seed(0)
    head = OutputHead(torch.randn(11, 6, generator=generator), torch.randn(11, generator=generator), softcap)
    hidden = torch.randn(5, 6, generator=generator, requires_grad=True)
    sources, tokens = torch.tensor([4, 0, 0, 3, 4, 4]), torch.tensor([1, 10, 0, 2, 1, 3])
    weights = torch.randn(2, 6, generator=generator)

    ours = head.token_logprobs(hidden, sources, tokens, temperature)
    (ours[0] @ weights[0] + ours[1] @ weights[1]).backward()
    gradient, hidden.grad = hidden.grad, None

    logits = hidden @ head.weight.t() + head.bias
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    expected = [torch.log_softmax(logits / t, dim=-1)[sources, tokens] for t in (temperature, 1.0)]
    (expected[0] @ weights[0] + expected[1] @ weights[1]).backward()
    for value, other in zip(ours, expected, strict=True):
        assert torch.allclose(value, other, atol=1e-6)
    assert torch.allclose(gradient, hidden.grad, atol=1e-5)
    assert (gradient[1] == 0).all()


def test_a_score_without_gradient_costs_none() -> None:
    head = OutputHead(torch.eye(3), None, None)
    hidden = torch.zeros(1, 3, requires_grad=True)
    at_temperature, _ = head.token_logprobs(hidden, torch.tensor([0]), torch.tensor([2]), 0.5)
    at_temperature.sum().backward()
    # d/dh log softmax(h / 0.5)[2] at h = 0 is (onehot - 1/3) / 0.5.
    assert torch.allclose(hidden.grad, torch.tensor([[-2 / 3, -2 / 3, 4 / 3]]), atol=1e-6)
