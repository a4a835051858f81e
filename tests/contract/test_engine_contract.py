"""The engine's contract, one test or more for each of its sentences (see :mod:`candor.engines.base`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import EXAMPLES, TEMPLATE

from candor.engines.base import Batch, Engine, Objective, ObjectiveResult, OptimiserStep, Sampling, Tokens, TokenScores
from candor.errors import EngineError, NumericsError
from candor.means import Means
from candor.prompts.encoding import decode, encode, encode_continuation
from candor.prompts.probe import LABEL_PROBE, probe_site
from candor.types import Rollout

MakeEngine = Callable[[], Engine]
TOLERANCE = 2e-5
STEP = OptimiserStep(learning_rate=0.01, max_grad_norm=1.0)


def _prompts(engine: Engine, count: int = 3) -> list[Tokens]:
    return [encode(TEMPLATE, e, engine.tokenizer, max_tokens=120).tokens for e in EXAMPLES[:count]]


def _answer(engine: Engine, text: str) -> Tokens:
    return (*encode_continuation(engine.tokenizer, text), engine.tokenizer.eos_token_id)


def _flat(groups: list[list[Rollout]]) -> list[Rollout]:
    return [rollout for group in groups for rollout in group]


def _likelihood(scores: TokenScores, part: slice) -> ObjectiveResult:
    """Minus the sum of all log-probabilities."""
    means = Means()
    means.add("tokens_scored", scores.mask_P_C_T.sum().item())
    return ObjectiveResult(-scores.logprobs_P_C_T.sum(), means)


def _batch(engine: Engine, temperature: float = 1.0) -> Batch:
    answers = [_answer(engine, "LABEL=NA\nCONF=0.30"), _answer(engine, "so LABEL=NA\nCONF=0.9")]
    return Batch(_prompts(engine), [answers, answers[:1] * 2, answers], temperature)


def _total(engine: Engine, batch: Batch) -> float:
    return sum(float(row.sum()) for group in engine.logprobs(batch.prompts, batch.continuations) for row in group)


# ------------------------------------------------------------------------------------------ tokens and their ends


def test_completions_end_with_a_stop_token_or_at_the_limit(engine: Engine, sampling: Sampling) -> None:
    rollouts = _flat(engine.rollout(_prompts(engine), 16, sampling, LABEL_PROBE))
    assert len(rollouts) == 48
    assert {rollout.stopped for rollout in rollouts} == {True, False}, "the test needs completions of both kinds"
    for rollout in rollouts:
        assert not set(rollout.tokens[:-1]) & engine.stop_token_ids
        assert rollout.stopped == (rollout.tokens[-1] in engine.stop_token_ids)
        assert rollout.stopped or len(rollout.tokens) == sampling.max_new_tokens
        assert len(rollout.tokens) == len(rollout.logprobs) == len(rollout.raw_logprobs)
        assert rollout.text == decode(engine.tokenizer, rollout.tokens)


# ------------------------------------------------------------------------------------------------ log-probabilities


def test_logprobs_of_all_next_tokens_are_a_distribution(engine: Engine, temperatures: tuple[float, ...]) -> None:
    prompts = _prompts(engine, 2)
    vocabulary = [(token,) for token in range(len(engine.tokenizer))]
    for temperature in temperatures:
        scored = engine.logprobs(prompts, [vocabulary, vocabulary], temperature=temperature)
        for group in scored:
            assert np.exp(np.concatenate(group)).sum() == pytest.approx(1.0, abs=1e-4)


def test_a_token_is_scored_given_the_prompt_and_the_tokens_before_it(engine: Engine) -> None:
    prompts = _prompts(engine, 2)
    answer = _answer(engine, "LABEL=FAIL\nCONF=0.27")
    prefixes = [answer[:end] for end in range(1, len(answer) + 1)]
    other_end = (*answer[:3], answer[1])
    scored = engine.logprobs(prompts, [[*prefixes, other_end]] * 2)
    for group in scored:
        for prefix, row in zip(prefixes, group, strict=False):
            assert row.shape == (len(prefix),)
            assert row == pytest.approx(group[len(prefixes) - 1][: len(prefix)], abs=TOLERANCE)
        # What follows a token does not change it; what precedes does.
        assert group[-1][:3] == pytest.approx(group[len(prefixes) - 1][:3], abs=TOLERANCE)
    assert not np.allclose(scored[0][-1], scored[1][-1], atol=1e-3), "the prompts should matter"
    # The tokens of an answer scored behind a longer prompt are those of the answer behind the shorter one.
    (moved,) = engine.logprobs([prompts[0] + answer[:2]], [[answer[2:]]])
    assert moved[0] == pytest.approx(scored[0][len(prefixes) - 1][2:], abs=TOLERANCE)


def test_each_prompt_is_scored_by_itself(engine: Engine) -> None:
    batch = _batch(engine)
    together = engine.logprobs(batch.prompts, batch.continuations)
    for p, prompt in enumerate(batch.prompts):
        (alone,) = engine.logprobs([prompt], [batch.continuations[p]])
        for row, expected in zip(together[p], alone, strict=True):
            assert row == pytest.approx(expected, abs=TOLERANCE)


def test_equal_prompts_are_allowed(engine: Engine) -> None:
    prompt = _prompts(engine, 1)[0]
    batch = Batch([prompt, prompt], [[_answer(engine, "LABEL=NA\nCONF=0.30")]] * 2)
    first, second = engine.logprobs(batch.prompts, batch.continuations)
    assert first[0] == pytest.approx(second[0], abs=TOLERANCE)
    greedy = engine.rollout(batch.prompts, 1, Sampling(0.0, 10), LABEL_PROBE)
    assert greedy[0][0].tokens == greedy[1][0].tokens
    assert math.isfinite(engine.update(batch, _likelihood, STEP).values()["loss"])


def test_the_reference_is_the_base_model_whatever_the_adapter(engine: Engine) -> None:
    batch = _batch(engine)
    before = engine.logprobs(batch.prompts, batch.continuations, reference=True)
    adapted = engine.logprobs(batch.prompts, batch.continuations)
    engine.update(batch, _likelihood, STEP)
    after = engine.logprobs(batch.prompts, batch.continuations, reference=True)
    for row, expected, own in zip(after[0], before[0], adapted[0], strict=True):
        assert row == pytest.approx(expected, abs=TOLERANCE)
        assert not np.allclose(row, own, atol=1e-3)


# -------------------------------------------------------------------------------------------------------- rollouts


def test_rollouts_carry_the_logprobs_of_the_policy_that_sampled_them(engine: Engine, sampling: Sampling) -> None:
    prompts = _prompts(engine)
    groups = engine.rollout(prompts, 4, sampling, LABEL_PROBE)
    completions = [[rollout.tokens for rollout in group] for group in groups]
    for name, temperature in (("logprobs", sampling.temperature), ("raw_logprobs", 1.0)):
        scored = engine.logprobs(prompts, completions, temperature=temperature)
        for group, rows in zip(groups, scored, strict=True):
            for rollout, row in zip(group, rows, strict=True):
                # Linear attention has one formula for a token and another for many, which round differently.
                close = 5e-5 if "qwen3_5" in engine.describe()["model_type"] else TOLERANCE
                assert getattr(rollout, name) == pytest.approx(row.tolist(), abs=close)


def test_completions_are_as_frequent_as_they_are_probable(engine: Engine, sampling: Sampling) -> None:
    prompt = _prompts(engine, 1)
    count = 2000
    (group,) = engine.rollout(prompt, count, Sampling(sampling.temperature, 1, seed=1), LABEL_PROBE)
    drawn = np.bincount([rollout.tokens[0] for rollout in group], minlength=len(engine.tokenizer))
    vocabulary = [(token,) for token in range(len(engine.tokenizer))]
    (scored,) = engine.logprobs(prompt, [vocabulary], temperature=sampling.temperature)
    probable = np.exp(np.concatenate(scored))
    # Five standard deviations and one for what is rare: with a fixed seed this either holds or does not.
    assert np.all(np.abs(drawn - count * probable) < 5 * np.sqrt(count * probable * (1 - probable)) + 1)


def test_every_rollout_samples_from_the_current_weights(engine: Engine, sampling: Sampling) -> None:
    prompts = _prompts(engine)
    stale = engine.rollout(prompts, 4, sampling, LABEL_PROBE)
    engine.update(_batch(engine), _likelihood, STEP)
    fresh = engine.rollout(prompts, 4, sampling, LABEL_PROBE)
    scored = engine.logprobs(prompts, [[rollout.tokens for rollout in group] for group in fresh])
    for group, rows in zip(fresh, scored, strict=True):
        for rollout, row in zip(group, rows, strict=True):
            assert rollout.raw_logprobs == pytest.approx(row.tolist(), abs=TOLERANCE)
    assert [r.raw_logprobs for r in _flat(fresh)] != [r.raw_logprobs for r in _flat(stale)]


def test_greedy_takes_the_likeliest_token_each_time(engine: Engine) -> None:
    prompts = _prompts(engine, 1)
    groups = engine.rollout(prompts, 2, Sampling(0.0, 3), LABEL_PROBE)
    vocabulary = [(token,) for token in range(len(engine.tokenizer))]
    for prompt, (first, second) in zip(prompts, groups, strict=True):
        assert first.tokens == second.tokens
        for at, token in enumerate(first.tokens):
            (scored,) = engine.logprobs([prompt + first.tokens[:at]], [vocabulary])
            assert scored[token][0] >= max(float(row[0]) for row in scored) - TOLERANCE


def test_the_same_seed_gives_the_same_rollouts(
    make_engine: MakeEngine, implementation: str, sampling: Sampling
) -> None:
    one, two = make_engine(), make_engine()
    prompts = _prompts(one)
    first = one.rollout(prompts, 4, sampling, LABEL_PROBE)
    for again in (one.rollout(prompts, 4, sampling, LABEL_PROBE), two.rollout(prompts, 4, sampling, LABEL_PROBE)):
        assert [r.tokens for r in _flat(again)] == [r.tokens for r in _flat(first)]
        if not implementation.startswith("tinker"):
            assert again == first
        # A service may compute the same in another batch, and so in other last digits.
        for there, here in zip(_flat(again), _flat(first), strict=True):
            assert there.logprobs == pytest.approx(here.logprobs, abs=TOLERANCE)
            assert there.probe_logprobs == pytest.approx(here.probe_logprobs, abs=TOLERANCE)
    other = one.rollout(prompts, 4, replace(sampling, seed=4), LABEL_PROBE)
    assert [r.tokens for r in _flat(other)] != [r.tokens for r in _flat(first)]


# ----------------------------------------------------------------------------------------------------------- probe


def _probed(engine: Engine, prompt: Tokens, completions: list[Tokens]) -> list[list[float]]:
    """The probe by its definition: the label strings in the place of each completion's own label."""
    sites = [probe_site(engine.tokenizer, tokens, LABEL_PROBE.anchor, LABEL_PROBE.choices) for tokens in completions]
    (rows,) = engine.logprobs([prompt], [[choice for site in sites for choice in site.choices]])
    found = iter(rows)
    return [[float(next(found)[site.start :].sum()) for _ in site.choices] for site in sites]


def test_the_probe_is_read_where_the_label_is_emitted(engine: Engine) -> None:
    prompts = _prompts(engine)
    groups = engine.rollout(prompts, 16, Sampling(1.0, 10, seed=5), LABEL_PROBE)
    kinds = set()
    for prompt, group in zip(prompts, groups, strict=True):
        bare, *probed = _probed(engine, prompt, [(), *(rollout.tokens for rollout in group)])
        for rollout, expected in zip(group, probed, strict=True):
            position = rollout.text.rfind(LABEL_PROBE.anchor)
            kinds.add("none" if position < 0 else "first" if position == 0 else "later")
            assert rollout.probe_logprobs == pytest.approx(expected, abs=TOLERANCE)
            if position <= 0:
                assert rollout.probe_logprobs == pytest.approx(bare, abs=TOLERANCE)
            if position == 0 and rollout.text.startswith("LABEL=PASS"):
                # Tokenised in context: the probe of the emitted label is what its own tokens were worth.
                assert rollout.raw_logprobs[1] == pytest.approx(rollout.probe_logprobs[0], abs=TOLERANCE)
    assert kinds == {"none", "first", "later"}, "the test needs completions of all kinds"


# ---------------------------------------------------------------------------------------------------------- update


def test_an_update_follows_the_objective(engine: Engine) -> None:
    batch = _batch(engine)
    before = _total(engine, batch)
    means = engine.update(batch, _likelihood, STEP).values()
    assert means["loss"] == pytest.approx(-before, rel=1e-4)
    assert means["grad_norm"] > STEP.max_grad_norm, "the norm is the one before clipping"
    assert means["tokens_scored"] == sum(len(tokens) for group in batch.continuations for tokens in group)
    assert _total(engine, batch) > before + 0.1


def test_an_update_scores_at_the_batch_temperature_and_raw(engine: Engine, temperatures: tuple[float, ...]) -> None:
    low = min(temperatures)
    batch = _batch(engine, temperature=low)
    seen: list[TokenScores] = []

    def look(scores: TokenScores, part: slice) -> ObjectiveResult:
        seen.append(scores)
        return _likelihood(scores, part)

    expected = {t: engine.logprobs(batch.prompts, batch.continuations, temperature=t) for t in (low, 1.0)}
    engine.update(batch, look, STEP)
    (scores,) = seen
    for values, temperature in ((scores.logprobs_P_C_T, low), (scores.raw_logprobs_P_C_T, 1.0)):
        for p, group in enumerate(batch.continuations):
            for c, tokens in enumerate(group):
                assert values[p, c, : len(tokens)].tolist() == pytest.approx(expected[temperature][p][c], abs=TOLERANCE)
                assert not values[p, c, len(tokens) :].any()
                assert scores.mask_P_C_T[p, c].tolist() == [t < len(tokens) for t in range(values.shape[-1])]


def test_an_update_after_a_rollout_is_that_without_one(make_engine: MakeEngine, sampling: Sampling) -> None:
    kept, bare = make_engine(), make_engine()
    batch = _batch(kept)
    kept.rollout(batch.prompts, 2, sampling, LABEL_PROBE)
    with_rollout = kept.update(batch, _likelihood, STEP).values()
    without = bare.update(batch, _likelihood, STEP).values()
    assert with_rollout == pytest.approx(without, rel=1e-4)
    assert _total(kept, batch) == pytest.approx(_total(bare, batch), abs=1e-3)


def test_a_learning_rate_of_nothing_changes_nothing(engine: Engine) -> None:
    batch = _batch(engine)
    before = engine.logprobs(batch.prompts, batch.continuations)
    engine.update(batch, _likelihood, OptimiserStep(0.0, 1.0))
    after = engine.logprobs(batch.prompts, batch.continuations)
    assert [row.tolist() for group in after for row in group] == [row.tolist() for group in before for row in group]


def _spoiled(value: float) -> Objective:
    def objective(scores: TokenScores, part: slice) -> ObjectiveResult:
        return ObjectiveResult(scores.logprobs_P_C_T.sum() * value, Means())

    return objective


def _spoiled_gradient(scores: TokenScores, part: slice) -> ObjectiveResult:
    # The loss is 0, its gradient 0 * inf.
    zero = (scores.logprobs_P_C_T.sum() * 0.0).sqrt()
    return ObjectiveResult(torch.where(zero == 0.0, zero, zero), Means())


@pytest.mark.parametrize("objective", [_spoiled(math.nan), _spoiled(math.inf), _spoiled_gradient])
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(make_engine: MakeEngine, objective: Objective) -> None:
    engine, untouched = make_engine(), make_engine()
    batch = _batch(engine)
    before = engine.logprobs(batch.prompts, batch.continuations)
    with pytest.raises(NumericsError, match=r"nan|inf"):
        engine.update(batch, objective, STEP)
    after = engine.logprobs(batch.prompts, batch.continuations)
    assert [row.tolist() for group in after for row in group] == [row.tolist() for group in before for row in group]
    # Nor does anything of it remain in the optimiser.
    engine.update(batch, _likelihood, STEP)
    untouched.update(batch, _likelihood, STEP)
    assert _total(engine, batch) == pytest.approx(_total(untouched, batch), abs=1e-6)


# ----------------------------------------------------------------------------------------------------------- state


def test_what_follows_a_load_is_what_followed_the_save(
    make_engine: MakeEngine, tmp_path: Path, sampling: Sampling
) -> None:
    engine = make_engine()
    batch = _batch(engine)
    engine.update(batch, _likelihood, STEP)
    engine.save(tmp_path / "saved")
    middle = _total(engine, batch)

    def go_on(target: Engine) -> list[object]:
        figures = [dict(target.update(batch, _likelihood, STEP).values()) for _ in range(2)]
        return [*figures, _total(target, batch), _flat(target.rollout(batch.prompts, 2, sampling, LABEL_PROBE))]

    expected = go_on(engine)
    for target in (engine, make_engine()):
        target.load(tmp_path / "saved")
        assert _total(target, batch) == middle
        assert go_on(target) == expected


def test_saving_takes_the_place_of_what_was_there(engine: Engine, tmp_path: Path) -> None:
    batch = _batch(engine)
    engine.save(tmp_path / "saved")
    engine.update(batch, _likelihood, STEP)
    engine.save(tmp_path / "saved")
    expected = _total(engine, batch)
    engine.update(batch, _likelihood, STEP)
    engine.load(tmp_path / "saved")
    assert _total(engine, batch) == expected
    engine.save_adapter(tmp_path / "adapter")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "saved"]


# ------------------------------------------------------------------------------------------------------- wrong use


def test_a_temperature_that_an_engine_does_not_know_is_refused(engine: Engine, temperatures: tuple[float, ...]) -> None:
    if 0.5 in temperatures:
        pytest.skip("this engine takes any temperature")
    prompts = _prompts(engine, 1)
    batch = _batch(engine, temperature=0.5)
    for wrong in (
        lambda: engine.rollout(prompts, 1, Sampling(0.5, 4), LABEL_PROBE),
        lambda: engine.logprobs(batch.prompts, batch.continuations, temperature=0.5),
        lambda: engine.update(batch, _likelihood, STEP),
    ):
        with pytest.raises(EngineError, match=r"temperature 0\.5"):
            wrong()


def test_wrong_use_is_named(engine: Engine, sampling: Sampling) -> None:
    prompts = _prompts(engine, 1)
    with pytest.raises(EngineError, match="no prompts"):
        engine.rollout([], 1, sampling, LABEL_PROBE)
    with pytest.raises(EngineError, match="prompt 1 has no tokens"):
        engine.rollout([*prompts, ()], 1, sampling, LABEL_PROBE)
    with pytest.raises(EngineError, match=str(engine.max_length)):
        engine.rollout(prompts, 1, Sampling(1.0, engine.max_length), LABEL_PROBE)
    for group_size, wrong in ((0, sampling), (1, Sampling(-0.1, 4)), (1, Sampling(1.0, 0))):
        with pytest.raises(EngineError, match="cannot sample"):
            engine.rollout(prompts, group_size, wrong, LABEL_PROBE)
    with pytest.raises(EngineError, match="prompt 0 has no continuation"):
        engine.logprobs(prompts, [[()]])
    with pytest.raises(EngineError, match="1 prompts but continuations for 2"):
        engine.update(Batch(prompts, [[(1,)], [(1,)]]), _likelihood, STEP)


def test_an_engine_says_what_it_is(engine: Engine) -> None:
    described = engine.describe()
    assert described["model_type"] in ("llama", "qwen3", "qwen3_5_text")
    assert described["trained_parameters"] > 0
    assert engine.tokenizer.eos_token_id in engine.stop_token_ids
    assert engine.max_length == 160
