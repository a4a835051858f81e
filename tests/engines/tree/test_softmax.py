"""Attention to two sets of keys, put together by their normalisers, is attention to both; forward and backward."""

from __future__ import annotations

import pytest
import torch

from candor.engines.tree import softmax
from candor.engines.tree.softmax import attend, attend_backward

SCALE = 0.3


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("masked", ["not", "keys", "each"])
def test_parts_add_up_to_plain_attention(
    softcap: float | None, fused: bool, masked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fused:
        monkeypatch.setattr(softmax, "_is_fused", lambda *_: False)
    queries = _random(2, 3, 5, 8).requires_grad_()
    first, second = ([_random(2, 3, n, 8).requires_grad_(), _random(2, 3, n, 8).requires_grad_()] for n in (7, 4))
    mask = None
    if masked != "not":
        hidden = _random(2, 1, 1 if masked == "keys" else 5, 7) > 0.5
        mask = torch.zeros(hidden.shape).masked_fill(hidden, -1e30)

    def scores(keys: torch.Tensor) -> torch.Tensor:
        plain = queries @ keys.transpose(2, 3) * SCALE
        return plain if softcap is None else torch.tanh(plain / softcap) * softcap

    weights = torch.softmax(torch.cat([scores(first[0]) + (0 if mask is None else mask), scores(second[0])], -1), -1)
    expected = weights @ torch.cat([first[1], second[1]], 2)
    grad = _random(2, 3, 5, 8)
    expected.backward(grad)

    with torch.no_grad():
        parts = [attend(queries, *first, mask, SCALE, softcap), attend(queries, *second, None, SCALE, softcap)]
        normaliser = torch.logaddexp(parts[0][1], parts[1][1])
        out = sum(part * torch.exp(own - normaliser)[..., None] for part, own in parts)
        assert torch.allclose(out, expected, atol=1e-6)
        total = torch.zeros_like(queries)
        for (keys, values), hidden_keys in ((first, mask), (second, None)):
            grads = attend_backward(grad, queries, keys, values, hidden_keys, out, normaliser, SCALE, softcap)
            total += grads[0]
            assert torch.allclose(grads[1], keys.grad, atol=1e-6)
            assert torch.allclose(grads[2], values.grad, atol=1e-6)
        assert torch.allclose(total, queries.grad, atol=1e-6)
