"""From completions to rewards, token advantages and reasoning prefixes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toy import TEMPLATE, byte_tokenizer, sentencepiece_tokenizer, toy_tokenizer

from candor.means import Means
from candor.prompts.encoding import decode, encode_continuation
from candor.prompts.probe import label_probs
from candor.recipe.objective import objective_config
from candor.recipe.reward import RewardConfig
from candor.training.collapse import CollapseWatch
from candor.training.enumerated import reasoning_of
from candor.training.loop import figures
from candor.training.scoring import rollout_means, score_rollouts, token_advantages
from candor.types import LABELS, Label, Rollout

TOKENIZER = toy_tokenizer()
PROBE = (math.log(0.2), math.log(0.1), math.log(0.1))


def _rollout(text: str, *, stopped: bool = True, tokenizer: Any = TOKENIZER) -> Rollout:
    tokens = (*encode_continuation(tokenizer, text), *([tokenizer.eos_token_id] if stopped else []))
    logprobs = tuple(-0.1 * (i + 1) for i in range(len(tokens)))
    return Rollout(tokens, decode(tokenizer, tokens), logprobs, logprobs, PROBE, stopped)


def _scored(texts: list[str], reward: dict[str, Any], **options: Any) -> tuple[Any, list[list[Rollout]]]:
    group = [[_rollout(text, **options) for text in texts]]
    config = RewardConfig.model_validate(reward)
    gold = np.array([LABELS.index(Label.PASS)])
    return score_rollouts(group, gold, np.array([True]), template=TEMPLATE, reward=config, step=100), group


TEXTS = ["LABEL=PASS\nCONF=0.80", "LABEL=PASS\nCONF=0.20", "LABEL=NA\nCONF=0.50", "no idea"]


def test_label_probs_are_the_softmax_of_the_probe() -> None:
    assert label_probs(np.array([PROBE])) == pytest.approx(np.array([[0.5, 0.25, 0.25]]))
    assert label_probs(np.array([-2000.0, -2001.0, -3000.0])).sum() == pytest.approx(1.0)


def test_completions_are_scored() -> None:
    scored, _ = _scored(TEXTS, {"preset": "paper"})
    assert scored.label_P_G.tolist() == [[0, 0, 2, -1]]
    terms = scored.rewards.terms
    assert terms["accuracy"].tolist() == [[2, 2, -1, -1]]
    assert terms["calibration"][0] == pytest.approx([-0.25 * 0.04, -0.25 * 0.64, -0.25 * 0.25, -0.25])
    assert terms["false_na"].tolist() == [[0, 0, -2, -2]]
    assert terms["format"].tolist() == [[0, 0, 0, -0.25]]
    unended, _ = _scored(TEXTS[:1], {"preset": "paper"}, stopped=False)
    assert unended.rewards.terms["format"].tolist() == [[-0.25]]


def test_whole_credit_gives_each_token_its_completions_advantage() -> None:
    scored, group = _scored(TEXTS, {"preset": "paper"})
    config = objective_config({"preset": "paper", "divide_by_std": False})
    advantages, constant = token_advantages(scored, group, config, TOKENIZER)
    total = scored.rewards.total[0]
    for g, rollout in enumerate(group[0]):
        count = len(rollout.tokens)
        assert advantages[0, g, :count].tolist() == pytest.approx([total[g] - total.mean()] * count)
        assert not advantages[0, g, count:].any()
    assert constant.tolist() == [False]


def test_split_credit_by_hand() -> None:
    scored, group = _scored(TEXTS, {"preset": "rlcr"})
    config = objective_config(
        {"preset": "candor", "kind": "sampled", "confidence_weight": 10.0, "confidence_entropy": 0.5}
    )
    advantages, _ = token_advantages(scored, group, config, TOKENIZER)
    label = np.array([1.0, 1.0, 0.0, 0.0 - 1.0])  # no label: wrong, and not in form
    label -= label.mean()
    # LABEL= and PASS are two tokens; behind them five more, with the end.
    surprise = [0.1 * sum(range(3, 8))] * 2
    calibration = [-0.04, -0.64]
    confidence = np.array([calibration[g] + 0.5 * surprise[g] for g in range(2)])
    confidence = 10.0 * (confidence - confidence.mean())
    for g in range(2):
        assert len(group[0][g].tokens) == 7
        assert advantages[0, g, :2].tolist() == pytest.approx([label[g]] * 2)
        assert advantages[0, g, 2:7].tolist() == pytest.approx([confidence[g]] * 5)
    # The only NA has nothing to be compared with; what has no label earns for all its tokens.
    assert advantages[0, 2, :7].tolist() == pytest.approx([label[2]] * 2 + [0.0] * 5)
    count = len(group[0][3].tokens)
    assert advantages[0, 3, :count].tolist() == pytest.approx([label[3]] * count)


def test_split_credit_blames_the_confidence_for_its_form() -> None:
    scored, group = _scored(["LABEL=PASS\nCONF=0.80", "LABEL=PASS\nCONF=0.801"], {"preset": "rlcr", "calibration": 0.0})
    config = objective_config({"preset": "candor", "kind": "sampled", "confidence_entropy": 0.0})
    advantages, _ = token_advantages(scored, group, config, TOKENIZER)
    assert advantages[0, :, 3].tolist() == pytest.approx([0.5, -0.5])  # behind the label, a format cost of 1


def test_dcpo_by_hand_and_by_its_authors_target() -> None:
    """Labels earn correctness, confidences their distance from half this answer and half the group's share."""
    scored, group = _scored(TEXTS[:3], {"preset": "dcpo"})
    advantages, _ = token_advantages(scored, group, objective_config({"preset": "dcpo"}), TOKENIZER)
    right = np.array([1.0, 1.0, 0.0])
    target = 0.5 * right + 0.5 * right.mean()
    distance = -np.abs(np.array([0.8, 0.2, 0.5]) - target)
    assert scored.calibration_against(0.5)[0] == pytest.approx(distance)
    for values, tokens in ((right, slice(0, 2)), (distance, slice(2, 7))):
        expected = (values - values.mean()) / (values.std() + 1e-4)
        for g in range(3):
            assert advantages[0, g, tokens].tolist() == pytest.approx([expected[g]] * (tokens.stop - tokens.start))
    # Their code squares what their paper takes the absolute of.
    squared, _ = _scored(TEXTS[:3], {"preset": "dcpo", "calibration_score": "brier", "calibration": 0.5})
    assert squared.calibration_against(0.5)[0] == pytest.approx(-0.5 * distance**2)
    # What has no confidence is as far off as can be.
    unread, _ = _scored(TEXTS, {"preset": "dcpo"})
    assert unread.calibration_against(0.5)[0, 3] == -1.0
    assert unread.calibration_against(0.0) is unread.rewards.terms["calibration"]


def test_rewarding_doubt_leaves_the_label_alone() -> None:
    scored, group = _scored(TEXTS[:3], {"preset": "rewarding-doubt"})
    advantages, _ = token_advantages(scored, group, objective_config({"preset": "rewarding-doubt"}), TOKENIZER)
    assert not advantages[0, :, :2].any()
    earned = np.log([0.8, 0.2])
    assert advantages[0, :2, 3].tolist() == pytest.approx((earned - earned.mean()).tolist())


def test_constant_groups_are_told() -> None:
    scored, group = _scored([TEXTS[0]] * 3, {"preset": "paper"})
    advantages, constant = token_advantages(scored, group, objective_config({"preset": "paper"}), TOKENIZER)
    assert constant.tolist() == [True]
    assert not advantages.any()
    assert rollout_means(scored, group, constant).values()["zero_variance"] == 1.0


def test_what_is_out_of_form_is_invalid_though_its_label_can_be_read() -> None:
    scored, group = _scored(
        ["LABEL=PASS\nCONF=0.80", "LABEL=PASS\nCONF=0.80LABEL", "no", "LABEL=NA"], {"preset": "paper"}
    )
    assert scored.label_P_G.tolist() == [[0, 0, -1, 2]]
    assert rollout_means(scored, group, np.array([False])).values()["invalid"] == 0.75


@pytest.mark.parametrize(("shift", "variance"), [(0.0, 0.0), (0.2, 0.04)])
def test_the_variance_over_prompts_leaves_out_what_a_few_draws_vary_by(shift: float, variance: float) -> None:
    """Groups of four whose confidences are drawn from .3 and .7; with a shift one half of the prompts states more."""
    rng, means = np.random.default_rng(0), Means()
    for prompt in range(1000):
        stated = rng.choice([0.3, 0.7], size=4) + (shift if prompt % 2 else -shift)
        scored, group = _scored([f"LABEL=NA\nCONF={confidence:.2f}" for confidence in stated], {"preset": "candor"})
        means.merge(rollout_means(scored, group, np.array([False])))
    # The means of four draws alone have a variance of .01 where all prompts are alike.
    assert figures(means)["prompt_variance"] == pytest.approx(variance, abs=0.002)


def test_one_confidence_for_all_prompts_is_named_however_widely_it_is_drawn() -> None:
    rng, watch = np.random.default_rng(0), CollapseWatch()
    named = []
    for step in range(20):
        means = Means()
        for prompt in range(32):
            shift = 0.2 if step < 10 and prompt % 2 else 0.0
            stated = np.round(rng.normal(0.5 + shift, 0.05, size=8).clip(0, 1), 2)
            scored, group = _scored([f"LABEL=NA\nCONF={confidence:.2f}" for confidence in stated], {"preset": "candor"})
            means.merge(rollout_means(scored, group, np.array([False])))
        named.append(watch.look(figures(means)))
    confidence = [step for step, words in enumerate(named) if any("one confidence" in word for word in words)]
    assert confidence == [19]  # ten steps after it began


def test_figures() -> None:
    scored, group = _scored(TEXTS, {"preset": "paper"})
    means = rollout_means(scored, group, np.array([False])).values()
    assert (means["accuracy"], means["invalid"], means["zero_variance"]) == (0.5, 0.25, 0.0)
    assert (means["share_PASS"], means["share_FAIL"], means["share_NA"]) == (0.5, 0.0, 0.25)
    assert means["confidence"] == pytest.approx(0.5)
    assert means["completion_tokens"] == pytest.approx((3 * 7 + 8) / 4)


@pytest.mark.parametrize(
    "tokenizer",
    [TOKENIZER, byte_tokenizer((" LABEL", "so")), sentencepiece_tokenizer(normalised=True)],
    ids=["pieces", "space in the anchor", "prefix space"],
)
def test_reasoning_is_what_was_sampled_before_the_label(tokenizer: Any) -> None:
    engine: Any = SimpleNamespace(tokenizer=tokenizer)
    for text, stopped, kept in (
        ("so\nLABEL=PASS\nCONF=0.80", True, "so\n"),
        ("so LABEL=NA, so LABEL=PASS", True, "so LABEL=NA, so "),
        ("LABEL=PASS\nCONF=0.80", True, ""),
        ("so so", True, "so so"),
        ("so so", False, "so so"),
    ):
        rollout = _rollout(text, stopped=stopped, tokenizer=tokenizer)
        reasoning = reasoning_of(engine.tokenizer, rollout)
        assert decode(tokenizer, reasoning) == kept
        # Only a space that shares a token with the label is not as it was sampled.
        own = len(reasoning) - kept.endswith(" ")
        assert reasoning[:own] == rollout.tokens[:own]
        assert tokenizer.eos_token_id not in reasoning
