"""The prefix tree gives what plain forwards of single sequences give: scores, gradients and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from tiny_models import HYBRID, TREE, VOCABULARY, WINDOW, adapter_gradients, make_model, plain_logprobs

from candor.engines.base import Tokens, TokenScores
from candor.engines.forward import Sampled
from candor.engines.local.plain import PlainPath
from candor.engines.tree.attention import Heads
from candor.engines.tree.output_head import CHUNK_BYTES
from candor.engines.tree.path import NODES_PER_BACKWARD, PrefixTreePath, unsupported_reason
from candor.engines.tree.prefix import TreePrefix, blocks_of
from candor.errors import EngineError, ModelError

TEMPERATURE = 0.7


def _tokens(rng: np.random.Generator, count: int, low: int = 3, high: int = VOCABULARY) -> Tokens:
    return tuple(rng.integers(low, high, count).tolist())


@pytest.fixture(scope="module")
def prompts() -> list[Tokens]:
    """A header longer than the sliding window, and own parts of 1 to 14 tokens."""
    rng = np.random.default_rng(0)
    header = _tokens(rng, 2 * WINDOW)
    return [header + _tokens(rng, count) for count in (5, 1, 14)]


@pytest.fixture(scope="module")
def continuations() -> list[list[Tokens]]:
    """Completions that share beginnings, repeat, differ in length, end inside each other or outrun the window."""
    rng = np.random.default_rng(1)
    few = [[_tokens(rng, 6, 3, 7) for _ in range(4)] for _ in range(2)]
    few[0][1] = (*few[0][0][:4], 9, 8, 7)
    few[1][2] = few[1][0]
    return [*few, [(5,), (5, 6), _tokens(rng, WINDOW + 5)]]


def _weights(shape: torch.Size) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


def _plain(
    model: Any, prompts: list[Tokens], continuations: list[list[Tokens]], weights: torch.Tensor
) -> tuple[list[list[torch.Tensor]], dict[str, torch.Tensor]]:
    scores = []
    for p, (prompt, group) in enumerate(zip(prompts, continuations, strict=True)):
        row = []
        for c, continuation in enumerate(group):
            logprobs = plain_logprobs(model, prompt, continuation, TEMPERATURE)
            (logprobs * weights[p, c, : len(continuation)]).sum().backward()
            row.append(logprobs.detach())
        scores.append(row)
    return scores, adapter_gradients(model)


def _largest_difference(scores_P_C_T: torch.Tensor, expected: list[list[torch.Tensor]]) -> float:
    return max(
        float((scores_P_C_T[p, c, : len(logprobs)] - logprobs).abs().max())
        for p, group in enumerate(expected)
        for c, logprobs in enumerate(group)
    )


def _check_equality(model: Any, prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    path = PrefixTreePath(model)
    scores = path.score(path.prefill(prompts, grad=True), continuations, temperature=TEMPERATURE)
    weights = _weights(scores.logprobs_P_C_T.shape)
    expected, expected_gradients = _plain(model, prompts, continuations, weights)

    assert _largest_difference(scores.logprobs_P_C_T.detach(), expected) < 1e-5
    (scores.logprobs_P_C_T * weights).sum().backward()
    gradients = adapter_gradients(model)
    assert gradients
    for name, gradient in gradients.items():
        norm = expected_gradients[name].norm()
        assert norm > 1e-3, f"{name} gets no gradient, so this proves nothing"
        assert (gradient - expected_gradients[name]).norm() < 1e-4 * norm, name


@pytest.mark.parametrize("family", TREE)
def test_gradients_of_few_prompts_at_a_time_equal_those_of_all_at_once(
    family: str, prompts: list[Tokens], continuations: list[list[Tokens]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with completions that are cut into several runs."""
    model = make_model(family)
    path = PrefixTreePath(model)
    scores = path.score(path.prefill(prompts, grad=True), continuations, temperature=TEMPERATURE)
    weights = _weights(scores.logprobs_P_C_T.shape)
    (scores.logprobs_P_C_T * weights).sum().backward()
    expected = adapter_gradients(model)

    monkeypatch.setitem(NODES_PER_BACKWARD, "cpu", 1)
    monkeypatch.setattr("candor.engines.tree.layout.RUN_LENGTH", 4)
    parts: list[slice] = []

    def loss(scores: TokenScores, part: slice) -> torch.Tensor:
        parts.append(part)
        _, completions, tokens = scores.logprobs_P_C_T.shape
        return (scores.logprobs_P_C_T * weights[part, :completions, :tokens]).sum()

    # Groups whole, then completions one by one with layers that run again.
    for options in ({}, {"most_nodes": 1, "checkpointing": True}):
        path = PrefixTreePath(model, **options)
        parts.clear()
        path.backward(path.prefill(prompts, grad=True), continuations, temperature=TEMPERATURE, loss=loss)
        assert parts == [slice(0, 1), slice(1, 2), slice(2, 3)]
        for name, gradient in adapter_gradients(model).items():
            assert (gradient - expected[name]).norm() < 1e-4 * expected[name].norm(), name


@pytest.mark.parametrize("family", TREE)
def test_scores_and_gradients_equal_plain_forwards(
    family: str, prompts: list[Tokens], continuations: list[list[Tokens]]
) -> None:
    _check_equality(make_model(family), prompts, continuations)


@pytest.mark.parametrize("family", ["qwen3_moe", "gpt_oss"])
def test_adapters_on_expert_weights_equal_plain_forwards(
    family: str, prompts: list[Tokens], continuations: list[list[Tokens]]
) -> None:
    _check_equality(make_model(family, experts=True), prompts, continuations)


@pytest.mark.parametrize("family", ["mistral", "gpt_oss"])
def test_prompts_in_several_blocks_equal_plain_forwards(
    family: str, prompts: list[Tokens], continuations: list[list[Tokens]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candor.engines.tree.layout.BLOCK_OVERHEAD", 0.0)
    model = make_model(family)
    own = np.array([len(prompt) - 2 * WINDOW for prompt in prompts])
    assert len(blocks_of(own, 0, Heads(4, 2, torch.float32, torch.device("cpu")), 16)) == 3
    _check_equality(model, prompts, continuations)
    test_samples_are_those_of_the_plain_path(family, prompts)


def test_a_block_whose_completions_have_all_ended_is_harmless(
    prompts: list[Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candor.engines.tree.layout.BLOCK_OVERHEAD", 0.0)
    model = make_model("qwen3")
    _check_equality(model, prompts, [[(5, 6, 7)], [(5,), (6,)], [(5, 6), (7, 8, 9)]])
    path, plain = PrefixTreePath(model), PlainPath(model)
    first = plain.sample(
        plain.prefill(prompts[:1], grad=False),
        1,
        temperature=0.0,
        max_new_tokens=1,
        stop_token_ids=frozenset(),
        uniforms_P_G_T=torch.zeros(1, 1, 1, dtype=torch.float64),
    )
    stop = frozenset(first[0][0].tokens)
    drawn = _sample(path, path.prefill(prompts, grad=False), 2, 5, temperature=0.0, stop=stop)
    expected = _sample(plain, plain.prefill(prompts, grad=False), 2, 5, temperature=0.0, stop=stop)
    assert [[s.tokens for s in group] for group in drawn] == [[s.tokens for s in group] for group in expected]
    assert len(drawn[0][0].tokens) == 1 < max(len(s.tokens) for group in drawn for s in group)


def test_softcapped_logits_equal_plain_forwards(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    _check_equality(make_model("gemma2", final_logit_softcapping=2.0), prompts, continuations)


def test_prompts_without_common_header_equal_plain_forwards(continuations: list[list[Tokens]]) -> None:
    _check_equality(make_model("mistral"), [(3,), (4, 5), (6, 7, 8)], continuations)


def test_prompt_that_begins_another_equals_plain_forwards(continuations: list[list[Tokens]]) -> None:
    _check_equality(make_model("llama"), [(3, 4), (3, 4), (3, 4, 5)], continuations)


@pytest.mark.parametrize("family", ["qwen3", "gpt_oss"])
def test_reference_scores_are_those_of_the_base_model(
    family: str, prompts: list[Tokens], continuations: list[list[Tokens]]
) -> None:
    model = make_model(family)
    path = PrefixTreePath(model)
    prefix = path.prefill(prompts, grad=False, reference=True)
    scores = path.score(prefix, continuations, temperature=TEMPERATURE)
    with model.disable_adapter(), torch.no_grad():
        expected = [
            [plain_logprobs(model, prompt, continuation, TEMPERATURE) for continuation in group]
            for prompt, group in zip(prompts, continuations, strict=True)
        ]
    assert _largest_difference(scores.logprobs_P_C_T, expected) < 1e-5
    assert not scores.logprobs_P_C_T.requires_grad


def test_raw_scores_are_those_at_temperature_one(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    model = make_model("llama", lora=False)
    path = PrefixTreePath(model)
    prefix = path.prefill(prompts, grad=False)
    scores = path.score(prefix, continuations, temperature=TEMPERATURE)
    at_one = path.score(prefix, continuations, temperature=1.0)
    assert torch.allclose(scores.raw_logprobs_P_C_T, at_one.logprobs_P_C_T, atol=1e-6)
    assert not torch.allclose(scores.logprobs_P_C_T, at_one.logprobs_P_C_T, atol=1e-2)
    assert torch.equal(at_one.mask_P_C_T.sum(-1)[0], torch.tensor([6, 7, 6, 6]))
    assert (scores.logprobs_P_C_T[~scores.mask_P_C_T] == 0).all()


def test_gradient_through_raw_scores_is_theirs(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    model = make_model("qwen3")
    path = PrefixTreePath(model)
    prefix = path.prefill(prompts, grad=True)
    both = path.score(prefix, continuations, temperature=TEMPERATURE)
    (both.raw_logprobs_P_C_T.sum() + 2 * both.logprobs_P_C_T.sum()).backward()
    together = adapter_gradients(model)

    first, second = path.prefill(prompts, grad=True), path.prefill(prompts, grad=True)
    path.score(first, continuations, temperature=1.0).logprobs_P_C_T.sum().backward()
    (2 * path.score(second, continuations, temperature=TEMPERATURE).logprobs_P_C_T.sum()).backward()
    for name, gradient in adapter_gradients(model).items():
        assert torch.allclose(gradient, together[name], rtol=1e-4, atol=1e-4), name


def test_long_vocabularies_are_scored_in_chunks(
    prompts: list[Tokens], continuations: list[list[Tokens]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHUNK_BYTES, "cpu", 4 * VOCABULARY * 3)
    _check_equality(make_model("gemma2"), prompts, continuations)


def test_grammar_of_all_answers_is_scored_once_per_node(prompts: list[Tokens]) -> None:
    """All sequences over an alphabet have probabilities that add up to the mass of the alphabet: at most 1, exactly."""
    model = make_model("llama", vocab_size=4)
    path = PrefixTreePath(model)
    every = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]
    prefix = path.prefill([tuple(token % 4 for token in prompt) for prompt in prompts], grad=False)
    scores = path.score(prefix, [every] * 3, temperature=TEMPERATURE)
    assert torch.allclose(scores.logprobs_P_C_T.sum(-1).exp().sum(-1), torch.ones(3), atol=1e-5)


def _sample(
    path: Any,
    prefix: Any,
    group_size: int,
    length: int,
    *,
    temperature: float = TEMPERATURE,
    stop: frozenset[int] = frozenset(),
    count: int = 3,
    seed: int = 5,
) -> list[list[Sampled]]:
    generator = torch.Generator().manual_seed(seed)
    uniforms = torch.rand(count, group_size, length, generator=generator, dtype=torch.float64)
    return path.sample(
        prefix,
        group_size,
        temperature=temperature,
        max_new_tokens=length,
        stop_token_ids=stop,
        uniforms_P_G_T=uniforms,
    )


@pytest.mark.parametrize("family", ["llama", "mistral", "gpt_oss"])
def test_samples_are_those_of_the_plain_path(family: str, prompts: list[Tokens]) -> None:
    model = make_model(family)
    stop = frozenset(range(4))
    tree, plain = PrefixTreePath(model), PlainPath(model)
    drawn = _sample(tree, tree.prefill(prompts, grad=False), 5, WINDOW + 3, stop=stop)
    expected = _sample(plain, plain.prefill(prompts, grad=False), 5, WINDOW + 3, stop=stop)
    assert any(s.stopped for group in expected for s in group)
    assert any(not s.stopped for group in expected for s in group)
    for group, expected_group in zip(drawn, expected, strict=True):
        for sampled, other in zip(group, expected_group, strict=True):
            assert sampled.tokens == other.tokens
            assert sampled.stopped == other.stopped
            assert np.allclose(sampled.logprobs, other.logprobs, atol=1e-5)
            assert np.allclose(sampled.raw_logprobs, other.raw_logprobs, atol=1e-5)


def test_sampled_logprobs_are_those_of_scoring(prompts: list[Tokens]) -> None:
    path = PrefixTreePath(make_model("qwen3-sliding"))
    prefix = path.prefill(prompts, grad=False)
    groups = _sample(path, prefix, 6, 80, stop=frozenset({7}))
    scores = path.score(prefix, [[s.tokens for s in group] for group in groups], temperature=TEMPERATURE)
    for p, group in enumerate(groups):
        for g, sampled in enumerate(group):
            length = len(sampled.tokens)
            assert np.allclose(scores.logprobs_P_C_T[p, g, :length], sampled.logprobs, atol=1e-5)
            assert np.allclose(scores.raw_logprobs_P_C_T[p, g, :length], sampled.raw_logprobs, atol=1e-5)


def test_sampled_completions_follow_the_exact_distribution(prompts: list[Tokens]) -> None:
    """Pearson's chi-square over all completions of a tiny vocabulary, some of them ended early by a stop token."""
    model = make_model("llama", vocab_size=5, lora=False)
    path = PrefixTreePath(model)
    prompt = tuple(token % 5 for token in prompts[0])
    stop = 4
    every = [(stop,)]
    every += [(a, stop) for a in range(4)]
    every += [(a, b, c) for a in range(4) for b in range(4) for c in range(5)]
    prefix = path.prefill([prompt], grad=False)
    exact = path.score(prefix, [every], temperature=TEMPERATURE).logprobs_P_C_T[0].double().sum(-1).exp().numpy()
    assert exact.sum() == pytest.approx(1.0, abs=1e-5)

    samples = 20_000
    (group,) = _sample(path, prefix, samples, 3, stop=frozenset({stop}), count=1)
    place = {completion: index for index, completion in enumerate(every)}
    counts = np.bincount([place[s.tokens] for s in group], minlength=len(every))
    expected = exact * samples
    often = expected >= 5
    observed_cells = np.append(counts[often], counts[~often].sum())
    expected_cells = np.append(expected[often], expected[~often].sum())
    statistic = float(((observed_cells - expected_cells) ** 2 / expected_cells).sum())
    assert often.sum() > 20
    assert chi2.sf(statistic, len(expected_cells) - 1) > 0.001


def test_greedy_takes_the_most_likely_token(prompts: list[Tokens]) -> None:
    model = make_model("qwen2", lora=False)
    path = PrefixTreePath(model)
    groups = _sample(path, path.prefill(prompts, grad=False), 2, 6, temperature=0.0)
    for prompt, group in zip(prompts, groups, strict=True):
        assert group[0] == group[1]
        ids = list(prompt)
        for token in group[0].tokens:
            assert token == int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)


def test_a_prompts_samples_do_not_depend_on_the_other_prompts(prompts: list[Tokens]) -> None:
    path = PrefixTreePath(make_model("qwen3"))
    together = _sample(path, path.prefill(prompts, grad=False), 4, 8)
    alone = _sample(path, path.prefill(prompts[:1], grad=False), 4, 8, count=1)
    assert [s.tokens for s in together[0]] == [s.tokens for s in alone[0]]


def test_a_header_seen_before_gives_the_same_bits(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    model = make_model("qwen3")

    def scored(path: PrefixTreePath, reference: bool) -> torch.Tensor:
        prefix = path.prefill(prompts, grad=False, reference=reference)
        return path.score(prefix, continuations, temperature=1.0).logprobs_P_C_T

    seasoned = PrefixTreePath(model)
    for reference in (False, True, True, False, False):
        assert torch.equal(scored(seasoned, reference), scored(PrefixTreePath(model), reference))
    shorter = [prompt[:WINDOW] + prompt[-3:] for prompt in prompts]
    prefix = seasoned.prefill(shorter, grad=False)
    fresh = PrefixTreePath(model)
    expected = fresh.score(fresh.prefill(shorter, grad=False), continuations, temperature=1.0)
    assert torch.equal(seasoned.score(prefix, continuations, temperature=1.0).logprobs_P_C_T, expected.logprobs_P_C_T)


def test_one_thread_gives_the_same_bits_twice(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    outcomes = []
    for _ in range(2):
        model = make_model("qwen3")
        path = PrefixTreePath(model)
        prefix = path.prefill(prompts, grad=True)
        groups = _sample(path, prefix, 4, 8)
        path.score(prefix, continuations, temperature=TEMPERATURE).logprobs_P_C_T.sum().backward()
        outcomes.append((groups, adapter_gradients(model)))
    (groups, gradients), (other_groups, other_gradients) = outcomes
    assert groups == other_groups
    assert all(torch.equal(gradients[name], other_gradients[name]) for name in gradients)


def test_prefix_with_gradients_serves_sampling_and_then_the_update(
    prompts: list[Tokens], continuations: list[list[Tokens]]
) -> None:
    model = make_model("mistral")
    path = PrefixTreePath(model)
    fresh = path.prefill(prompts, grad=True)
    path.score(fresh, continuations, temperature=1.0).logprobs_P_C_T.sum().backward()
    expected = adapter_gradients(model)
    used = path.prefill(prompts, grad=True)
    _sample(path, used, 4, 8)
    with torch.no_grad():
        assert not path.score(used, continuations, temperature=1.0).logprobs_P_C_T.requires_grad
    path.score(used, continuations, temperature=1.0).logprobs_P_C_T.sum().backward()
    for name, gradient in adapter_gradients(model).items():
        assert torch.equal(gradient, expected[name])


def test_new_weights_take_effect_after_refresh(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    model = make_model("llama")
    path = PrefixTreePath(model)
    before = path.prefill(prompts, grad=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.mul_(-1.0)
    path.refresh()
    with pytest.raises(EngineError, match="weights have changed"):
        path.score(before, continuations, temperature=1.0)
    scores = path.score(path.prefill(prompts, grad=False), continuations, temperature=TEMPERATURE)
    expected = plain_logprobs(model, prompts[0], continuations[0][0], TEMPERATURE).detach()
    assert torch.allclose(scores.logprobs_P_C_T[0, 0, : len(expected)], expected, atol=1e-5)


def test_the_model_itself_is_left_as_it_was(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    model = make_model("gpt_oss")
    before = model(input_ids=torch.tensor([prompts[0]])).logits
    path = PrefixTreePath(model)
    path.score(path.prefill(prompts, grad=False), continuations, temperature=1.0)
    with pytest.raises(EngineError):
        path.score(path.prefill(prompts, grad=False), continuations, temperature=0.0)
    assert torch.equal(model(input_ids=torch.tensor([prompts[0]])).logits, before)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_oss"])
def test_bfloat16_with_float32_adapters_is_as_exact_as_plain_forwards(
    family: str, prompts: list[Tokens], continuations: list[list[Tokens]]
) -> None:
    """Both are compared with float32 arithmetic on the same weights."""
    model = make_model(family, dtype=torch.bfloat16)
    path = PrefixTreePath(model)
    scores = path.score(path.prefill(prompts, grad=True), continuations, temperature=TEMPERATURE)
    weights = _weights(scores.logprobs_P_C_T.shape)
    (scores.logprobs_P_C_T * weights).sum().backward()
    gradients = adapter_gradients(model)
    plain, plain_gradients = _plain(model, prompts, continuations, weights)
    exact, exact_gradients = _plain(model.float(), prompts, continuations, weights)

    def distance(logprobs: list[list[torch.Tensor]], gradients: dict[str, torch.Tensor]) -> tuple[float, float]:
        of_scores = torch.cat([a - b for x, y in zip(logprobs, exact, strict=True) for a, b in zip(x, y, strict=True)])
        of_gradients = torch.cat([(gradients[name] - exact_gradients[name]).flatten() for name in gradients])
        return float(of_scores.norm()), float(of_gradients.norm())

    assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
    tree = [
        [scores.logprobs_P_C_T[p, c, : len(logprobs)].detach() for c, logprobs in enumerate(group)]
        for p, group in enumerate(exact)
    ]
    for ours, theirs in zip(distance(tree, gradients), distance(plain, plain_gradients), strict=True):
        assert 0 < ours < 2 * theirs


def test_small_updates_survive_in_bfloat16(prompts: list[Tokens], continuations: list[list[Tokens]]) -> None:
    """An adapter far below half a unit in the last place of the weights still moves the scores."""
    model = make_model("llama", dtype=torch.bfloat16)
    path = PrefixTreePath(model)

    def moved(factor: float) -> torch.Tensor:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.mul_(factor)
        path.refresh()
        prefix = path.prefill(prompts, grad=True)
        path.score(prefix, continuations, temperature=1.0).logprobs_P_C_T.sum().backward()
        return torch.cat([g.flatten() for name, g in adapter_gradients(model).items() if "lora_A" in name])

    whole, tiny = moved(1.0), moved(1e-4)
    assert 0 < tiny.norm() < 1e-2 * whole.norm()


def test_unproven_families_are_refused_with_the_reason() -> None:
    gpt2 = _gpt2()
    assert "gpt2" in str(unsupported_reason(gpt2))
    with pytest.raises(ModelError, match="plain path"):
        PrefixTreePath(gpt2)
    stretched = make_model("phi3", lora=False)
    stretched.config.rope_parameters = {"rope_type": "longrope", "rope_theta": 10000.0}
    assert "longrope" in str(unsupported_reason(stretched))
    assert unsupported_reason(make_model("phi3")) is None
    for family in HYBRID:
        assert "layers of linear_attention carry one state" in str(unsupported_reason(make_model(family)))


def _gpt2() -> Any:
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=16))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [([], "at least one prompt"), ([(3,), ()], "at least one token")],
)
def test_empty_prompts_are_refused(prompts: list[Tokens], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        PrefixTreePath(make_model("llama", lora=False)).prefill(prompts, grad=False)


def test_wrong_calls_are_refused(prompts: list[Tokens]) -> None:
    path = PrefixTreePath(make_model("llama", lora=False))
    prefix: TreePrefix = path.prefill(prompts, grad=False)
    with pytest.raises(EngineError, match="2 lists of continuations for 3 prompts"):
        path.score(prefix, [[(3,)]] * 2, temperature=1.0)
    with pytest.raises(EngineError, match="above 0"):
        path.score(prefix, [[(3,)]] * 3, temperature=0.0)
    with pytest.raises(EngineError, match="random numbers"):
        _sample(path, prefix, 2, 3, count=2)
