"""The plain path against single sequences through the model itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import CONFIGS, VOCABULARY, WINDOW, adapter_gradients, make_model, plain_logprobs

from candor.engines.base import Tokens
from candor.engines.local.plain import PlainPath, inverse_cdf
from candor.errors import ModelError


def _tokens(rng: np.random.Generator, count: int) -> Tokens:
    return tuple(rng.integers(3, VOCABULARY, count).tolist())


PROMPTS = [_tokens(np.random.default_rng(0), count) for count in (7, 3)]
GROUPS = [[_tokens(np.random.default_rng(10 * p + c), 1 + c % 5) for c in range(20)] for p in range(2)]
GROUPS[1] = GROUPS[1][:4]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3_5", "qwen3_next"])
def test_scores_and_gradients_are_those_of_single_sequences(family: str, temperature: float) -> None:
    """Twenty rows of lengths one to five: more than one forward, and padding in each."""
    model = make_model(family).eval()
    path = PlainPath(model)
    scores = path.score(path.prefill(PROMPTS, grad=True), GROUPS, temperature=temperature)
    scores.logprobs_P_C_T.square().sum().backward()
    gradients = adapter_gradients(model)
    total = torch.zeros(())
    for p, group in enumerate(GROUPS):
        for c, tokens in enumerate(group):
            expected = plain_logprobs(model, PROMPTS[p], tokens, temperature)
            raw = plain_logprobs(model, PROMPTS[p], tokens, 1.0)
            assert torch.allclose(scores.logprobs_P_C_T[p, c, : len(tokens)], expected, atol=1e-5)
            assert torch.allclose(scores.raw_logprobs_P_C_T[p, c, : len(tokens)], raw, atol=1e-5)
            assert scores.mask_P_C_T[p, c].sum() == len(tokens)
            total = total + expected.square().sum()
    assert not scores.mask_P_C_T[1, 4:].any()
    assert not scores.logprobs_P_C_T.detach()[~scores.mask_P_C_T].any()
    total.backward()
    for name, expected in adapter_gradients(model).items():
        assert torch.allclose(gradients[name], expected, rtol=1e-4, atol=1e-4), name


@torch.no_grad()
@pytest.mark.parametrize("family", CONFIGS)
def test_without_gradients_a_prompt_is_run_once(family: str) -> None:
    """All families, windows that prompt and continuations go past among them."""
    model = make_model(family).eval()
    read: list[int] = []
    model.get_base_model().register_forward_pre_hook(
        lambda module, given, named: read.append(named["input_ids"].numel()), with_kwargs=True
    )
    path = PlainPath(model)
    prompts = [_tokens(np.random.default_rng(3), 2 * WINDOW), PROMPTS[0]]
    scores = path.score(path.prefill(prompts, grad=False), GROUPS, temperature=0.7)
    assert sum(read) < sum(map(len, prompts)) + 5 * sum(map(len, GROUPS))
    for p, group in enumerate(GROUPS):
        for c, tokens in enumerate(group):
            expected = plain_logprobs(model, prompts[p], tokens, 0.7)
            assert torch.allclose(scores.logprobs_P_C_T[p, c, : len(tokens)], expected, atol=1e-5)


def _jamba() -> Any:
    """A family that drops its state where more than one token follows."""
    config = transformers.JambaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts=1,
        attn_layer_period=4,
        attn_layer_offset=3,
        use_mamba_kernels=False,
        mamba_d_state=8,
        initializer_range=0.1,
    )
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


@torch.no_grad()
def test_states_that_cannot_be_gone_on_from_are_not() -> None:
    model = _jamba()
    path = PlainPath(model)
    prefix = path.prefill(PROMPTS, grad=False)
    scores = path.score(prefix, GROUPS, temperature=1.0)
    for p, group in enumerate(GROUPS):
        for c, tokens in enumerate(group):
            expected = plain_logprobs(model, PROMPTS[p], tokens, 1.0)
            assert torch.allclose(scores.logprobs_P_C_T[p, c, : len(tokens)], expected, atol=1e-5)
    uniforms = torch.zeros(2, 1, 1, dtype=torch.float64)
    with pytest.raises(ModelError, match="a jamba cannot be sampled from here"):
        path.sample(prefix, 1, temperature=1.0, max_new_tokens=1, stop_token_ids=frozenset(), uniforms_P_G_T=uniforms)


@torch.no_grad()
def test_nothing_behind_a_prompt_has_no_score() -> None:
    path = PlainPath(make_model("llama").eval())
    scores = path.score(path.prefill(PROMPTS[:1], grad=False), [[()]], temperature=1.0)
    assert scores.logprobs_P_C_T.shape == (1, 1, 0)


def test_without_gradients_nothing_is_kept() -> None:
    path = PlainPath(make_model("llama").eval())
    assert not path.score(path.prefill(PROMPTS, grad=False), GROUPS, temperature=1.0).logprobs_P_C_T.requires_grad


@torch.no_grad()
@pytest.mark.parametrize("family", ["llama", "qwen3_5", "qwen3_next"])
def test_samples_follow_the_given_numbers(family: str) -> None:
    """Those of a model with linear attention fork the one state that stands behind their prompt."""
    model = make_model(family).eval()
    path = PlainPath(model)
    uniforms = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    prefix = path.prefill(PROMPTS, grad=False)
    groups = path.sample(
        prefix, 5, temperature=0.8, max_new_tokens=6, stop_token_ids=frozenset(range(10)), uniforms_P_G_T=uniforms
    )
    for p, group in enumerate(groups):
        for g, sampled in enumerate(group):
            assert sampled.stopped == (sampled.tokens[-1] < 10)
            for t, token in enumerate(sampled.tokens):
                ids = torch.tensor([PROMPTS[p] + sampled.tokens[:t]])
                logits = model(input_ids=ids).logits[0, -1].float()
                below = (logits / 0.8).softmax(-1).double().cumsum(-1)
                assert below[token] > uniforms[p, g, t] - 1e-5
                assert token == 0 or below[token - 1] <= uniforms[p, g, t] + 1e-5
                assert sampled.logprobs[t] == pytest.approx(float((logits / 0.8).log_softmax(-1)[token]), abs=1e-4)
                assert sampled.raw_logprobs[t] == pytest.approx(float(logits.log_softmax(-1)[token]), abs=1e-4)
    # A prompt alone draws what it draws beside others.
    alone = path.sample(
        path.prefill(PROMPTS[1:], grad=False),
        5,
        temperature=0.8,
        max_new_tokens=6,
        stop_token_ids=frozenset(range(10)),
        uniforms_P_G_T=uniforms[1:],
    )
    assert alone[0] == groups[1]


def test_inverse_cdf_by_hand() -> None:
    probs = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]]).expand(6, -1)
    uniforms = torch.tensor([0.0, 0.2499, 0.25, 0.5, 0.999999, 1.0 - 1e-16], dtype=torch.float64)
    assert inverse_cdf(probs, uniforms).tolist() == [1, 1, 3, 3, 3, 3]
    short = torch.tensor([[0.3, 0.3, 0.0]])  # as if rounding had lost the rest
    assert inverse_cdf(short, torch.tensor([0.99], dtype=torch.float64)).tolist() == [1]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda p: sum(p) > 0.01), st.floats(0, 1, exclude_max=True)
)
def test_inverse_cdf_never_draws_the_impossible(weights: list[float], uniform: float) -> None:
    probs = torch.tensor([weights]) / sum(weights)
    drawn = int(inverse_cdf(probs, torch.tensor([uniform], dtype=torch.float64))[0])
    assert probs[0, drawn] > 0
