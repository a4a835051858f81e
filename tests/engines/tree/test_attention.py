"""Attention over levels is attention over all their keys at once, and its gradients are autograd's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model

from candor.engines.tree.attention import (
    IMPLEMENTATION,
    PASS_ARGUMENT,
    BranchLevel,
    Heads,
    Level,
    Segment,
    TreePass,
    tree_attention,
    tree_attention_switch,
)
from candor.engines.tree.layout import Rows, Visibility
from candor.errors import EngineError

QUERIES, KEYS, WIDTH, OWN, PAST = 4, 2, 8, 5, 3
HEADS = Heads(QUERIES, KEYS, torch.float32, torch.device("cpu"))


class Module(torch.nn.Module):
    layer_idx = 0


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def whole(count: int) -> Rows:
    return Rows.of(np.zeros(1, dtype=np.int64), np.array([count]))


def levels(past: tuple[torch.Tensor, torch.Tensor]) -> list[Level]:
    """Five tokens that see three earlier ones, and themselves causally."""
    columns = np.arange(OWN)
    positions = PAST + columns[None]
    causal = Visibility((columns[:, None] >= columns)[None], positions, positions)
    earlier = Visibility(None, positions, np.arange(PAST)[None])
    return [
        Level([Segment(whole(OWN), whole(PAST), earlier, HEADS)], HEADS, [past]),
        Level([Segment(whole(OWN), whole(OWN), causal, HEADS)], HEADS),
    ]


def plain(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    *,
    window: int | None = None,
    sinks: torch.Tensor | None = None,
    softcap: float | None = None,
) -> torch.Tensor:
    """The same, written down: ``[1, H, N, d]`` and ``[1, Hk, S + N, d]`` to ``[1, N, H, d]``."""
    keys, values = (t.repeat_interleave(QUERIES // KEYS, dim=1) for t in (keys, values))
    scores = query @ keys.transpose(-1, -2) * WIDTH**-0.5
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    back = torch.arange(PAST, PAST + OWN)[:, None] - torch.arange(PAST + OWN)
    hidden = (back < 0) | (back >= window if window is not None else torch.zeros_like(back, dtype=torch.bool))
    scores = scores.masked_fill(hidden, -torch.inf)
    if sinks is not None:
        scores = torch.cat([scores, sinks.view(1, -1, 1, 1).expand(1, QUERIES, OWN, 1)], dim=-1)
    weights = scores.softmax(-1)[..., : PAST + OWN]
    return (weights @ values).transpose(1, 2)


@pytest.mark.parametrize(
    "options",
    [{}, {"window": 3}, {"sinks": torch.linspace(-1, 1, QUERIES)}, {"softcap": 2.0}],
    ids=["plain", "window", "sinks", "softcap"],
)
def test_levels_put_together_equal_all_keys_at_once(options: dict[str, Any]) -> None:
    tensors = [drawn(1, QUERIES, OWN, WIDTH, seed=0)]
    tensors += [drawn(1, KEYS, PAST + OWN, WIDTH, seed=seed) for seed in (1, 2)]
    expected_inputs = [tensor.clone().requires_grad_() for tensor in tensors]
    expected = plain(*expected_inputs, **options)
    weights = drawn(*expected.shape, seed=3)
    (expected * weights).sum().backward()

    query, keys, values = (tensor.clone().requires_grad_() for tensor in tensors)
    past = (keys[0, :, :PAST].transpose(0, 1), values[0, :, :PAST].transpose(0, 1))
    layout = TreePass(levels(past), last_layer=3)
    named = {"window": "sliding_window", "sinks": "s_aux", "softcap": "softcap"}
    out, _ = tree_attention(
        Module(),
        query,
        keys[:, :, PAST:],
        values[:, :, PAST:],
        None,
        **{PASS_ARGUMENT: layout},
        **{named[name]: value for name, value in options.items()},
    )
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    (out * weights).sum().backward()
    for found, right in zip((query, keys, values), expected_inputs, strict=True):
        torch.testing.assert_close(found.grad, right.grad, rtol=1e-4, atol=1e-5)
    # What the tokens have left for later passes is their own keys and values, heads last but one.
    ((stored, _),) = layout.stored
    assert torch.equal(stored, keys[0, :, PAST:].transpose(0, 1))


def test_in_the_last_layer_only_the_asked_tokens_attend() -> None:
    query, key, value = (drawn(1, heads, OWN, WIDTH, seed=heads) for heads in (QUERIES, KEYS, KEYS))
    past = (torch.zeros(PAST, KEYS, WIDTH), torch.zeros(PAST, KEYS, WIDTH))
    ends = np.array([1, 4])
    seen = np.arange(OWN)[None, None] <= ends[None, :, None]
    end = Segment(Rows.listed([[0, 1]]), whole(OWN), Visibility(seen, ends[None], np.arange(OWN)[None]), HEADS)
    everything = TreePass(levels(past)[1:], last_layer=3)
    asked = TreePass(levels(past)[1:], 0, torch.from_numpy(ends), [Level([end], HEADS)])
    with torch.no_grad():
        full, _ = tree_attention(Module(), query, key, value, None, **{PASS_ARGUMENT: everything})
        part, _ = tree_attention(Module(), query, key, value, None, **{PASS_ARGUMENT: asked})
    torch.testing.assert_close(part[:, ends], full[:, ends])
    assert part[:, [0, 2, 3]].abs().max() == 0


def test_tokens_are_taken_into_rows_and_found_again() -> None:
    rows = Rows.listed([[2, 0], [1]])
    segment = Segment(rows, None, Visibility(None, rows.tokens, np.zeros((1, 1), dtype=np.int64)), HEADS)
    flat = drawn(3 * QUERIES, WIDTH, seed=0)
    taken = segment.take(flat)
    assert taken.shape == (2, KEYS, QUERIES // KEYS * 2, WIDTH)
    assert torch.equal(taken[0, 0, 0], flat[2 * QUERIES])
    assert torch.equal(Level([segment], HEADS).give_back([taken]), flat)
    # Padding brings no gradient of the token that it repeats.
    given = segment.take_gradient(flat)
    assert given[1, :, 1::2].abs().max() == 0
    assert torch.equal(given[0], taken[0])


def test_masks_are_finite_even_for_a_row_that_sees_nothing() -> None:
    columns = np.zeros((1, 2), dtype=np.int64)
    nothing = Visibility(np.zeros((1, 2, 2), dtype=np.bool_), columns, columns)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        heads = Heads(1, 1, dtype, torch.device("cpu"))
        mask = Segment(whole(2), whole(2), nothing, heads).mask(None)
        assert mask is not None
        assert torch.isfinite(mask).all()
        assert (mask < -1e4).all()


def test_branches_keep_their_own_past_and_a_window_its_end() -> None:
    level = BranchLevel(HEADS, chunk=1)
    level.advance(np.array([0, 1]))
    first = drawn(2, KEYS, WIDTH, seed=0)
    ((keys, _), mask), *_ = level.rows(0, (first, first), None)
    assert mask is None
    assert torch.equal(keys[:, :, 0], first)
    # The second branch goes on twice, the first has ended.
    level.advance(np.array([1, 1]))
    second = drawn(2, KEYS, WIDTH, seed=1)
    ((keys, values), _), *_ = level.rows(0, (second, second), None)
    assert torch.equal(keys[:, :, 0], first[[1, 1]])
    assert torch.equal(values[:, :, 1], second)
    level.advance(np.array([0, 1]))
    third = drawn(2, KEYS, WIDTH, seed=2)
    ((keys, _), _), *_ = level.rows(0, (third, third), 2)
    assert torch.equal(keys, torch.stack([second, third], dim=2))


def test_calls_outside_a_pass_are_refused() -> None:
    tensors = [drawn(1, heads, OWN, WIDTH, seed=0) for heads in (QUERIES, KEYS, KEYS)]
    with pytest.raises(EngineError, match=r"outside a prefix-tree pass; call model\.set_attn_implementation\('sdpa'\)"):
        tree_attention(Module(), *tensors, None)
    layout = {PASS_ARGUMENT: TreePass([], 0)}
    with pytest.raises(EngineError, match="neither a mask nor dropout"):
        tree_attention(Module(), *tensors, torch.zeros(1), **layout)
    with pytest.raises(EngineError, match="neither a mask nor dropout"):
        tree_attention(Module(), *tensors, None, dropout=0.1, **layout)


def test_a_model_gets_back_the_attention_that_it_had() -> None:
    model = make_model("llama", lora=False)
    before = model.config._attn_implementation
    enabled = tree_attention_switch(model)
    with pytest.raises(RuntimeError, match="stopped"), enabled():  # noqa: PT012 - both are checked
        assert model.config._attn_implementation == IMPLEMENTATION
        # Wherever the model looks it up, as if set_attn_implementation had been called.
        assert {each.config._attn_implementation for each in model.modules() if hasattr(each, "config")} == {
            IMPLEMENTATION
        }
        raise RuntimeError("stopped")
    assert model.config._attn_implementation == before
