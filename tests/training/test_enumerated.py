"""The enumerated objective is what sampling would give on average, and its gradient is exact."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from answer_tree import FIXED_REWARD, Tree
from chat_templates import chat_tokenizer
from toy import TEMPLATE, toy_tokenizer

from candor.engines.answer_scores import C, K, answer_probs, draw_ended, open_answers
from candor.engines.base import TokenScores
from candor.engines.tree.layout import Trie
from candor.prompts import templates
from candor.prompts.answers import CONFIDENCES
from candor.prompts.chat import ChatSettings, frame_of
from candor.prompts.encoding import decode
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.recipe.objective import objective_config
from candor.recipe.reward import RewardConfig
from candor.training.batches import NO_GOLD
from candor.training.enumerated import EnumeratedObjective, reasoning_of
from candor.training.loop import figures
from candor.training.rewards import score
from candor.training.sampled import SampledObjective
from candor.training.scoring import score_rollouts, token_advantages
from candor.training.sections import Sections
from candor.types import NO_LABEL, Rollout

PLAIN = {"preset": "candor", "credit": "whole", "log_gold": 0.0, "log_valid": 0.0}
PLAIN_CONFIDENCE = {"confidence_entropy": 0.0, "confidence_weight": 1.0}
"""The same for credit that is split."""


@pytest.fixture(scope="module")
def grammar() -> AnswerGrammar:
    return answer_grammar(TEMPLATE, toy_tokenizer())


@pytest.fixture(scope="module")
def tree(grammar: AnswerGrammar) -> Tree:
    return Tree(grammar)


def _logits(tree: Tree, prompts: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(prompts, tree.count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _objective(
    grammar: AnswerGrammar, config: dict[str, Any], reward: dict[str, Any] | None = None, **changed: Any
) -> EnumeratedObjective:
    values: dict[str, Any] = {
        "config": objective_config({**PLAIN, **(PLAIN_CONFIDENCE if "credit" in config else {}), **config}),
        "reward": RewardConfig.model_validate(reward or {"preset": "paper"}),
        "grammar": grammar,
        "gold_P": np.array([0, 2]),
        "has_evidence_P": np.array([True, False]),
        "prefix_lengths_P_R": np.zeros((2, 1), dtype=np.int64),
        "ended_K_C": np.ones((K, C), dtype=bool),
        "reference_P_R_K_C": None,
        "step": 60,
        **changed,
    }
    return EnumeratedObjective(**values)


def _loss(objective: EnumeratedObjective, tree: Tree, logits: torch.Tensor) -> torch.Tensor:
    return objective(tree.scores(logits), slice(0, len(logits))).loss


def _answer_rewards(
    objective: EnumeratedObjective, probs_P_K_C: np.ndarray, probe_P_K: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rewards of all answers and of an invalid one, and the mass of the latter, with loops instead of broadcasts."""
    rewards, invalid = np.zeros((2, K, C)), np.zeros(2)
    for p in range(2):
        asked = {
            "gold": int(objective.gold_P[p]),
            "has_evidence": bool(objective.has_evidence_P[p]),
            "probs": probe_P_K[p],
            "step": objective.step,
        }
        for k in range(K):
            for c in range(C):
                given = score(objective.reward, label=k, confidence=CONFIDENCES[c], clean=True, **asked)
                rewards[p, k, c] = float(given.total)
        invalid[p] = float(score(objective.reward, label=NO_LABEL, confidence=math.nan, clean=False, **asked).total)
    return rewards, invalid, 1 - probs_P_K_C.sum((1, 2))


def _probs(tree: Tree, logits: torch.Tensor, grammar: AnswerGrammar) -> tuple[np.ndarray, np.ndarray]:
    found = answer_probs(
        tree.scores(logits.detach()), grammar, np.zeros((len(logits), 1), dtype=np.int64), np.ones((K, C), dtype=bool)
    )
    return found.log_answers_P_R_K_C[:, 0].exp().numpy(), found.log_labels_P_R_K[:, 0].softmax(-1).numpy()


# ---------------------------------------------------------------------------------------------- the distribution


def test_answers_and_the_rest_share_out_all_probability(tree: Tree, grammar: AnswerGrammar) -> None:
    # Without a way out of the tree the answers would have all of it.
    with tree.without_a_way_out():
        probs, probe = _probs(tree, _logits(tree), grammar)
    assert probs.sum((1, 2)) == pytest.approx(1.0)
    assert probe == pytest.approx(probs.sum(2))
    probs, _ = _probs(tree, _logits(tree), grammar)
    assert np.all(probs.sum((1, 2)) < 0.9)


def test_open_answers_take_the_average_end_of_their_label(tree: Tree, grammar: AnswerGrammar) -> None:
    ended = draw_ended(5, np.random.default_rng(0))
    assert ended.sum(1).tolist() == [5, 5, 5]
    assert draw_ended("all", np.random.default_rng(0)).all()
    rows = open_answers(grammar, ended)
    assert [len(a) - len(r) for a, r in zip(grammar.answers, rows, strict=True)] == (~ended).ravel().astype(
        int
    ).tolist()
    full = tree.scores(_logits(tree))
    lasts = torch.tensor([len(a) - 1 for a in grammar.answers])
    cut = full.mask_P_C_T & ~(
        (torch.arange(full.mask_P_C_T.shape[-1]) == lasts[:, None]) & ~torch.tensor(ended.reshape(-1, 1))
    )
    opened = TokenScores(full.logprobs_P_C_T * cut, full.raw_logprobs_P_C_T * cut, cut)
    none = np.zeros((2, 1), dtype=np.int64)
    got = answer_probs(opened, grammar, none, ended).log_answers_P_R_K_C[:, 0].numpy()
    ends = full.logprobs_P_C_T[:, torch.arange(K * C), lasts].view(2, K, C).numpy()
    body = full.logprobs_P_C_T.sum(-1).view(2, K, C).numpy() - ends
    for k in range(K):
        mean = ends[:, k, ended[k]].mean(1, keepdims=True)
        expected = body[:, k] + np.where(ended[k], ends[:, k], mean)
        assert got[:, k] == pytest.approx(expected)


def test_words_that_close_an_answer_are_part_of_its_end() -> None:
    grammar = answer_grammar(templates.get("verdict-rationale"), toy_tokenizer())
    assert {len(answer) - closing for answer, closing in zip(grammar.answers, grammar.closing, strict=True)} == {11}
    ended = draw_ended(4, np.random.default_rng(0))
    rows = open_answers(grammar, ended)
    for answer, row, closing, is_ended in zip(grammar.answers, rows, grammar.closing, ended.ravel(), strict=True):
        assert row == (answer if is_ended else answer[:closing])
    # Twelve closings are run, and not all of 303.
    assert len(Trie.build(rows).tokens) < len(Trie.build(grammar.answers).tokens) / 10

    tree = Tree(grammar)
    full = tree.scores(_logits(tree))
    lengths = torch.tensor([len(row) for row in rows])
    kept = full.mask_P_C_T & (torch.arange(full.mask_P_C_T.shape[-1]) < lengths[:, None])
    opened = TokenScores(full.logprobs_P_C_T * kept, full.raw_logprobs_P_C_T * kept, kept)
    none = np.zeros((2, 1), dtype=np.int64)
    got = answer_probs(opened, grammar, none, ended).log_answers_P_R_K_C[:, 0].numpy()
    place = torch.arange(full.mask_P_C_T.shape[-1]) >= torch.tensor(grammar.closing)[:, None]
    ends = (full.logprobs_P_C_T * place).sum(-1).view(2, K, C).numpy()
    body = (full.logprobs_P_C_T * ~place).sum(-1).view(2, K, C).numpy()
    for k in range(K):
        expected = body[:, k] + np.where(ended[k], ends[:, k], ends[:, k, ended[k]].mean(1, keepdims=True))
        assert got[:, k] == pytest.approx(expected)
    everything = answer_probs(full, grammar, none, np.ones((K, C), dtype=bool)).log_answers_P_R_K_C[:, 0]
    assert everything.numpy() == pytest.approx(body + ends)


# --------------------------------------------------------------------------------------- against the sampled one


def test_loss_is_minus_the_expected_reward_with_the_rest_as_invalid(tree: Tree, grammar: AnswerGrammar) -> None:
    objective = _objective(grammar, {})
    logits = _logits(tree)
    result = objective(tree.scores(logits), slice(0, 2))
    probs, probe = _probs(tree, logits, grammar)
    rewards, invalid_reward, invalid = _answer_rewards(objective, probs, probe)
    expected = (probs * rewards).sum((1, 2)) + invalid * invalid_reward
    assert float(result.loss) == pytest.approx(-expected.mean())
    means = result.means.values()
    assert means["reward"] == pytest.approx(expected.mean())
    assert means["invalid"] == pytest.approx(invalid.mean())
    assert means["accuracy"] == pytest.approx((probs[0, 0].sum() + probs[1, 2].sum()) / 2)
    assert means["share_NA"] == pytest.approx(probs[:, 2].sum(1).mean())
    assert means["confidence"] == pytest.approx((probs.sum((0, 1)) * CONFIDENCES).sum() / probs.sum())
    assert means["reward_PASS"] == pytest.approx(expected[0])
    assert means["reward_NA"] == pytest.approx(expected[1])


@pytest.mark.parametrize("divide_by_std", [False, True])
def test_gradient_is_the_mean_of_the_sampled_estimator(tree: Tree, grammar: AnswerGrammar, divide_by_std: bool) -> None:
    """Policy gradient of many samples, in expectation written out and with real draws within their error."""
    objective = _objective(grammar, {"divide_by_std": divide_by_std})
    logits = _logits(tree).requires_grad_()
    (exact,) = torch.autograd.grad(_loss(objective, tree, logits), logits)
    probs, probe = _probs(tree, logits, grammar)
    rewards, invalid_reward, invalid = _answer_rewards(objective, probs, probe)
    samples = 40_000
    rng = np.random.default_rng(0)
    scores = tree.scores(logits)
    log_answers = scores.logprobs_P_C_T.sum(-1)
    log_invalid = (1 - log_answers.exp().sum(1)).log()
    events = torch.cat([log_answers, log_invalid[:, None]], 1)
    weights = torch.zeros(2, K * C + 1, dtype=torch.float64)
    errors = torch.zeros(2, dtype=torch.float64)
    for p in range(2):
        values = np.append(rewards[p].ravel(), invalid_reward[p])
        chances = np.append(probs[p].ravel(), invalid[p])
        drawn = np.bincount(rng.choice(len(chances), samples, p=chances / chances.sum()), minlength=len(chances))
        mean = (drawn * values).sum() / samples
        std = math.sqrt((drawn * (values - mean) ** 2).sum() / samples)
        advantages = (values - mean) / (std + 1e-4) if divide_by_std else values - mean
        weights[p] = torch.from_numpy(drawn * advantages / samples)
        errors[p] = np.abs(advantages).max() / math.sqrt(samples)
    (sampled,) = torch.autograd.grad(-(weights * events).sum() / 2, logits)
    # Each entry of the gradient of a log-probability is at most 1, so five standard errors are at most this.
    assert torch.all((sampled - exact).abs() <= 5 * errors[:, None] / 2)
    direction = torch.nn.functional.cosine_similarity(sampled.flatten(), exact.flatten(), dim=0)
    assert float(direction) > 0.99


def _in_form(
    tree: Tree,
    grammar: AnswerGrammar,
    logits: torch.Tensor,
    config: dict[str, Any],
    reward: dict[str, Any] | None = None,
) -> tuple[EnumeratedObjective, TokenScores, np.ndarray, np.ndarray, torch.Tensor]:
    """Objective, scores, probabilities, probe and exact gradient for one prompt, all of whose samples are answers."""
    objective = dataclasses.replace(
        _objective(grammar, config, reward),
        gold_P=np.array([0]),
        has_evidence_P=np.array([True]),
        prefix_lengths_P_R=np.zeros((1, 1), int),
    )
    with tree.without_a_way_out():
        scores = tree.scores(logits)
        loss = objective(scores, slice(0, 1)).loss
        probs, probe = _probs(tree, logits, grammar)
    (exact,) = torch.autograd.grad(loss, logits, retain_graph=True)
    return objective, scores, probs, probe, exact


def _policy_gradient(taken: TokenScores, advantages_P_G_T: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Gradient of the sampled objective for one prompt's samples, with nothing but their advantages in it."""
    sampled_objective = SampledObjective(
        sections=Sections({"completions": [taken.mask_P_C_T.shape[1]], "label_choices": [0], "confidences": [0]}),
        rollout_logprobs_P_G_T=taken.logprobs_P_C_T.detach(),
        reference_P_G_T=None,
        advantages_P_G_T=advantages_P_G_T,
        gold_P=torch.tensor([0]),
        sites_P=[[]],
        log_gold=0.0,
        kl=0.0,
    )
    (gradient,) = torch.autograd.grad(sampled_objective(taken, slice(0, 1)).loss, logits)
    return gradient


def test_a_large_group_of_real_samples_agrees_through_the_sampled_objective(tree: Tree, grammar: AnswerGrammar) -> None:
    logits = _logits(tree, 1).requires_grad_()
    objective, scores, probs, probe, exact = _in_form(tree, grammar, logits, {})
    group = 20_000
    drawn = np.random.default_rng(1).choice(K * C, group, p=probs[0].ravel() / probs[0].sum())
    given = score(
        objective.reward, label=drawn // C, confidence=np.array(CONFIDENCES)[drawn % C], clean=True,
        gold=0, has_evidence=True, probs=probe[0], step=objective.step,
    )  # fmt: skip
    advantages = torch.from_numpy(given.total - given.total.mean())
    taken = TokenScores(*(v[:, drawn] for v in (scores.logprobs_P_C_T, scores.raw_logprobs_P_C_T, scores.mask_P_C_T)))
    sampled = _policy_gradient(taken, advantages[None, :, None].expand(taken.mask_P_C_T.shape), logits)
    assert float(torch.nn.functional.cosine_similarity(sampled.flatten(), exact.flatten(), dim=0)) > 0.99
    assert float(sampled.norm()) == pytest.approx(float(exact.norm()), rel=0.1)


def test_split_credit_is_the_mean_of_its_sampled_estimator(tree: Tree, grammar: AnswerGrammar) -> None:
    """A large group of real samples, scored and given advantages as in training, label and confidence apart."""
    terms = {"credit": "split", "confidence_weight": 2.0, "confidence_entropy": 0.06}
    logits = _logits(tree, 1).requires_grad_()
    objective, scores, probs, probe, exact = _in_form(tree, grammar, logits, terms, {"preset": "candor"})
    drawn = np.random.default_rng(1).choice(K * C, 6_000, p=probs[0].ravel() / probs[0].sum())
    tokenizer = toy_tokenizer()
    log_probe = tuple(np.log(probe[0]).tolist())
    rollouts = []
    for answer, row in zip(grammar.answers, scores.logprobs_P_C_T[0].tolist(), strict=True):
        logprobs = tuple(row[: len(answer)])
        rollouts.append(Rollout(answer, decode(tokenizer, answer), logprobs, logprobs, log_probe, True))
    group = [[rollouts[i] for i in drawn.tolist()]]
    scored = score_rollouts(
        group,
        np.array([0]),
        objective.has_evidence_P,
        template=TEMPLATE,
        reward=objective.reward,
        step=objective.step,
    )
    config = objective_config({"preset": "candor", **terms, "kind": "sampled", "log_gold": 0.0})
    taken = TokenScores(*(v[:, drawn] for v in (scores.logprobs_P_C_T, scores.raw_logprobs_P_C_T, scores.mask_P_C_T)))
    sampled = _policy_gradient(taken, token_advantages(scored, group, config, tokenizer)[0], logits)
    # The label's places and the confidence's, each on their own, so that neither drowns in the other.
    of_labels = torch.zeros(tree.count, dtype=torch.bool)
    of_labels[tree.path[:, : grammar.label_end[0]].flatten()] = True
    for places in (of_labels, ~of_labels):
        one, other = sampled[0, places], exact[0, places]
        assert float(torch.nn.functional.cosine_similarity(one, other, dim=0)) > 0.97
        assert float(one.norm()) == pytest.approx(float(other.norm()), rel=0.1)


# ------------------------------------------------------------------------------------------- finite differences


def _differences(function: Any, logits: torch.Tensor, where: list[tuple[int, int]], step: float = 1e-5) -> list[float]:
    slopes = []
    for place in where:
        ends = []
        for sign in (1, -1):
            moved = logits.detach().clone()
            moved[place] += sign * step
            ends.append(float(function(moved)))
        slopes.append((ends[0] - ends[1]) / (2 * step))
    return slopes


# Rewards that no probability enters: what is left is a function of the logits alone.
REFERENCE_SEED = 9


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"log_gold": 3.0},
        {"log_valid": 3.0},
        {"kl": 0.5},
        {"credit": "split", "confidence_labels": "all", "confidence_weight": 0.0},
        {"credit": "split", "confidence_labels": "all", "confidence_weight": 40.0},
        {"credit": "split", "confidence_labels": "all", "confidence_weight": 40.0, "confidence_entropy": 0.06},
        {"credit": "split", "confidence_labels": "all", "log_gold": 3.0, "log_valid": 3.0, "kl": 0.1},
    ],
    ids=str,
)
def test_gradient_by_finite_differences(tree: Tree, grammar: AnswerGrammar, config: dict[str, Any]) -> None:
    reference = None
    if config.get("kl"):
        reference = answer_probs(
            tree.scores(_logits(tree, seed=REFERENCE_SEED)), grammar, np.zeros((2, 1), int), np.ones((K, C), bool)
        ).raw_log_answers_P_R_K_C.numpy()
    objective = _objective(grammar, config, FIXED_REWARD, reference_P_R_K_C=reference)
    logits = _logits(tree).requires_grad_()
    (gradient,) = torch.autograd.grad(_loss(objective, tree, logits), logits)
    rng = np.random.default_rng(0)
    large = gradient.abs().flatten().topk(6).indices.tolist()
    where = [divmod(i, tree.count) for i in large + rng.integers(gradient.numel(), size=10).tolist()]
    slopes = _differences(lambda moved: _loss(objective, tree, moved), logits, where)
    assert [float(gradient[place]) for place in where] == pytest.approx(slopes, abs=1e-7, rel=1e-5)
    assert max(map(abs, slopes)) > 1e-3


def test_split_credit_by_finite_differences_of_its_formula(tree: Tree, grammar: AnswerGrammar) -> None:
    """With ``emitted`` the label's share is a weight and not a way to earn, so it is held where it was."""
    objective = _objective(
        grammar,
        {"credit": "split", "confidence_weight": 40.0, "confidence_entropy": 0.06, "divide_by_std": True},
        {"preset": "candor", "format": 0.5},
    )
    logits = _logits(tree).requires_grad_()
    (gradient,) = torch.autograd.grad(_loss(objective, tree, logits), logits)
    probs, probe = _probs(tree, logits, grammar)
    held = probs.sum(2) / probs.sum((1, 2))[:, None]
    confidences = np.array(CONFIDENCES)

    def formula(moved: torch.Tensor) -> float:
        answers, _ = _probs(tree, moved, grammar)
        loss = 0.0
        for p in range(2):
            mass = answers[p].sum()
            label = answers[p].sum(1) / mass
            right = np.arange(K) == objective.gold_P[p]
            earned = np.where(right, 2.0, -1.0)
            std = math.sqrt((held[p] * (earned - held[p] @ earned) ** 2).sum())
            loss -= label @ earned / (std + 1e-4)
            loss += 0.5 * (1 - mass)
            for k in range(K):
                given = answers[p, k] / answers[p, k].sum()
                value = -((confidences - right[k]) ** 2) - (confidences - probe[p, k]) ** 2
                loss -= 40.0 * held[p, k] * (given @ value - 0.06 * given @ np.log(given))
        return loss / 2

    assert float(_loss(objective, tree, logits).detach()) == pytest.approx(formula(logits))
    large = gradient.abs().flatten().topk(12).indices.tolist()
    where = [divmod(i, tree.count) for i in large]
    assert [float(gradient[place]) for place in where] == pytest.approx(_differences(formula, logits, where), rel=1e-5)


def test_conftuner_is_the_expected_brier_score_behind_the_likeliest_label(tree: Tree, grammar: AnswerGrammar) -> None:
    """Its formula (arXiv 2508.18847) with loops: the sum of q (y - c)^2, and no gradient for labels."""
    objective = dataclasses.replace(
        _objective(grammar, {"preset": "conftuner"}, {"preset": "conftuner"}),
        config=objective_config({"preset": "conftuner"}),
    )
    logits = _logits(tree).requires_grad_()
    loss = _loss(objective, tree, logits)
    probs, _ = _probs(tree, logits, grammar)
    expected = 0.0
    for p in range(2):
        label = int(probs[p].sum(1).argmax())
        right = float(label == objective.gold_P[p])
        given = probs[p, label] / probs[p, label].sum()
        expected += sum(given[c] * (right - CONFIDENCES[c]) ** 2 for c in range(C)) / 2
    assert float(loss.detach()) == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    labels = {
        int(i) for row, s, e in zip(tree.path, grammar.label_start, grammar.label_end, strict=True) for i in row[s:e]
    }
    assert gradient[:, sorted(labels)].abs().max() < 1e-12
    assert gradient.abs().max() > 1e-3


def test_split_credit_keeps_label_and_confidence_apart(tree: Tree, grammar: AnswerGrammar) -> None:
    """Confidence rewards leave the label's logits alone, label rewards those of the confidence."""
    label_logits = sorted(
        {int(i) for row, s, e in zip(tree.path, grammar.label_start, grammar.label_end, strict=True) for i in row[s:e]}
    )
    logits = _logits(tree).requires_grad_()
    config = {"credit": "split", "confidence_weight": 40.0, "confidence_entropy": 0.06}
    only_confidence = {"preset": "rlcr", "correct": 0.0, "wrong": 0.0, "format": 0.0}
    (gradient,) = torch.autograd.grad(_loss(_objective(grammar, config, only_confidence), tree, logits), logits)
    assert gradient[:, label_logits].abs().max() < 1e-12
    assert gradient.abs().max() > 0.1


def test_temperature_is_that_of_the_policy_and_the_probe_is_raw(tree: Tree, grammar: AnswerGrammar) -> None:
    logits = _logits(tree)
    found = answer_probs(tree.scores(logits, 0.5), grammar, np.zeros((2, 1), int), np.ones((K, C), bool))
    raw = answer_probs(tree.scores(logits), grammar, np.zeros((2, 1), int), np.ones((K, C), bool))
    assert torch.equal(found.raw_log_answers_P_R_K_C, raw.log_answers_P_R_K_C)
    assert torch.equal(found.log_labels_P_R_K, raw.log_labels_P_R_K)
    assert not torch.allclose(found.log_answers_P_R_K_C, raw.log_answers_P_R_K_C)


def test_kl_is_exact_over_answers_and_the_rest(tree: Tree, grammar: AnswerGrammar) -> None:
    logits, other = _logits(tree), _logits(tree, seed=REFERENCE_SEED)
    probs, _ = _probs(tree, logits, grammar)
    base, _ = _probs(tree, other, grammar)
    objective = _objective(grammar, {"kl": 1.0}, reference_P_R_K_C=np.log(base)[:, None])
    rest, base_rest = 1 - probs.sum((1, 2)), 1 - base.sum((1, 2))
    expected = (probs * np.log(probs / base)).sum((1, 2)) + rest * np.log(rest / base_rest)
    result = objective(tree.scores(logits), slice(0, 2))
    assert result.means.values()["kl"] == pytest.approx(expected.mean())
    same = _objective(grammar, {"kl": 1.0}, reference_P_R_K_C=np.log(probs)[:, None])
    assert same(tree.scores(logits), slice(0, 2)).means.values()["kl"] == pytest.approx(0.0, abs=1e-9)


# ------------------------------------------------------------------------------------------------------ reasoning


def _behind_reasoning(
    tree: Tree, logits_PR_N: torch.Tensor, reasoning_P_R_T: torch.Tensor, lengths_P_R: np.ndarray
) -> TokenScores:
    """Scores of ``reasoning + answer``; each reasoning has a distribution of verdicts of its own."""
    prompts, reasonings = lengths_P_R.shape
    answers = tree.scores(logits_PR_N)
    width = int(lengths_P_R.max()) + answers.mask_P_C_T.shape[-1]
    rows, masks = [], []
    for p in range(prompts):
        for r in range(reasonings):
            count = int(lengths_P_R[p, r])
            head = reasoning_P_R_T[p, r, :count].expand(K * C, -1)
            row = torch.cat([head, answers.logprobs_P_C_T[p * reasonings + r]], 1)
            mask = torch.cat([torch.ones_like(head, dtype=torch.bool), answers.mask_P_C_T[p * reasonings + r]], 1)
            rows.append(torch.nn.functional.pad(row, (0, width - row.shape[1])))
            masks.append(torch.nn.functional.pad(mask, (0, width - mask.shape[1])))
    scores = torch.stack(rows).view(prompts, reasonings * K * C, width)
    return TokenScores(scores, scores, torch.stack(masks).view(scores.shape))


def test_verdicts_behind_reasoning_and_the_policy_gradient_on_it(tree: Tree, grammar: AnswerGrammar) -> None:
    lengths = np.array([[3, 0, 1], [2, 2, 4]])
    logits = torch.randn(6, tree.count, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    reasoning = (-torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)).requires_grad_()
    scores = _behind_reasoning(tree, logits, reasoning, lengths)
    found = answer_probs(scores, grammar, lengths, np.ones((K, C), bool))
    expected_answers = tree.scores(logits).logprobs_P_C_T.sum(-1).view(2, 3, K, C)
    assert torch.allclose(found.log_answers_P_R_K_C, expected_answers)
    assert found.log_labels_P_R_K.shape == (2, 3, K)
    present = torch.arange(4) < torch.tensor(lengths)[..., None]
    assert torch.allclose(found.log_reasoning_P_R_T[..., :4], reasoning * present)
    assert not found.log_reasoning_P_R_T[..., 4:].any()

    objective = _objective(grammar, {}, prefix_lengths_P_R=lengths)
    result = objective(scores, slice(0, 2))
    result.loss.backward()
    # What each reasoning's verdict can expect, one by one, through the objective without reasoning.
    values = np.zeros((2, 3))
    for p in range(2):
        for r in range(3):
            alone = dataclasses.replace(
                _objective(grammar, {}),
                gold_P=objective.gold_P[p : p + 1],
                has_evidence_P=objective.has_evidence_P[p : p + 1],
                prefix_lengths_P_R=np.zeros((1, 1), int),
            )
            values[p, r] = -float(alone(tree.scores(logits[p * 3 + r][None]), slice(0, 1)).loss)
    advantages = values - values.mean(1, keepdims=True)
    assert reasoning.grad.numpy() == pytest.approx(-advantages[..., None] * present.numpy() / 6)
    assert np.abs(advantages).max() > 0.05
    parts = [
        objective(
            TokenScores(*(v[p : p + 1] for v in (scores.logprobs_P_C_T, scores.raw_logprobs_P_C_T, scores.mask_P_C_T))),
            slice(p, p + 1),
        )
        for p in range(2)
    ]
    assert float(sum(part.loss for part in parts).detach()) == pytest.approx(float(result.loss.detach()))


def test_reasonings_that_lead_to_one_verdict_are_groups_without_variance(tree: Tree, grammar: AnswerGrammar) -> None:
    lengths = np.array([[2, 2, 2], [2, 2, 2]])
    logits = torch.randn(6, tree.count, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    logits[:3] = logits[0]  # whatever the first prompt's reasoning, its verdict is the same
    scores = _behind_reasoning(tree, logits, -torch.ones(2, 3, 2, dtype=torch.float64), lengths)
    result = _objective(grammar, {}, prefix_lengths_P_R=lengths)(scores, slice(0, 2))
    assert result.means.values()["zero_variance"] == 0.5
    # Completions that all come to their verdict at once have no reasoning to tell apart.
    at_once = np.zeros((2, 3), dtype=np.int64)
    scores = _behind_reasoning(tree, logits[:1].expand(6, -1), torch.zeros(2, 3, 0, dtype=torch.float64), at_once)
    result = _objective(grammar, {}, prefix_lengths_P_R=at_once)(scores, slice(0, 2))
    assert result.means.values()["zero_variance"] == 1.0


def test_what_was_not_sampled_earns_nothing(tree: Tree, grammar: AnswerGrammar) -> None:
    lengths = np.array([[3, 0, 1], [2, 2, 4]])
    sampled = np.array([[2, 0, 1], [2, 1, 3]])
    logits = torch.randn(6, tree.count, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    reasoning = (-torch.rand(2, 3, 4, dtype=torch.float64)).requires_grad_()
    objective = _objective(grammar, {}, prefix_lengths_P_R=lengths, sampled_lengths_P_R=sampled)
    objective(_behind_reasoning(tree, logits, reasoning, lengths), slice(0, 2)).loss.backward()
    assert np.array_equal(reasoning.grad.numpy() != 0.0, np.arange(4) < sampled[..., None])


def test_the_variance_over_prompts_is_not_that_of_what_is_drawn(tree: Tree, grammar: AnswerGrammar) -> None:
    objective = _objective(grammar, {})
    alike = _logits(tree)[:1].expand(2, -1)
    found = figures(objective(tree.scores(alike), slice(0, 2)).means)
    assert found["prompt_variance"] == pytest.approx(0.0, abs=1e-12)
    assert found["confidence_std"] > 0.2
    probs, _ = _probs(tree, _logits(tree), grammar)
    expected = (probs.sum(1) * CONFIDENCES).sum(1) / probs.sum((1, 2))
    differing = objective(tree.scores(_logits(tree)), slice(0, 2)).means
    assert figures(differing)["prompt_variance"] == pytest.approx(expected.var())
    single = objective(tree.scores(alike[:1]), slice(0, 1)).means
    assert "prompt_variance" not in figures(single)  # of a single prompt there is none


def test_unlabelled_prompts_count_for_alignment_form_and_entropy_alone(tree: Tree, grammar: AnswerGrammar) -> None:
    """The first prompt has a label; the loss is its own plus, for the second, what needs none."""
    config = {
        "credit": "split",
        "confidence_weight": 40.0,
        "confidence_entropy": 0.06,
        "log_gold": 3.0,
        "log_valid": 3.0,
    }
    logits = _logits(tree)
    both = _objective(grammar, config, {"preset": "candor"}, gold_P=np.array([0, NO_GOLD]))
    first = _objective(
        grammar, config, {"preset": "candor"}, gold_P=np.array([0]), has_evidence_P=np.array([True]),
        prefix_lengths_P_R=np.zeros((1, 1), dtype=np.int64),
    )  # fmt: skip
    alone = first(tree.scores(logits[:1]), slice(0, 1))
    result = both(tree.scores(logits), slice(0, 2))
    probs, probe = _probs(tree, logits, grammar)
    mass = probs[1].sum()
    confidence = probs[1] / probs[1].sum(1, keepdims=True)
    entropy = -(confidence * np.log(confidence)).sum(1)
    alignment = -((np.array(CONFIDENCES) - probe[1][:, None]) ** 2)
    share = probs[1].sum(1) / mass
    earned = (confidence * alignment).sum(1) + 0.06 * entropy
    expected = 1.0 * (1 - mass) - 40.0 * (share * earned).sum() - 3.0 * math.log(mass)
    assert float(result.loss - alone.loss) == pytest.approx(expected)
    means = result.means.values()
    assert means["reward_alignment_unlabelled"] == pytest.approx((probs[1] * alignment).sum() / mass)
    assert {name: means[name] for name in alone.means.values()} == pytest.approx(dict(alone.means.values()))
    # In parts of a batch, one of them without any label, it is the same.
    parts = [both(tree.scores(logits[at : at + 1]), slice(at, at + 1)) for at in (0, 1)]
    assert float(sum(part.loss for part in parts)) == pytest.approx(float(result.loss))
    assert set(parts[1].means.values()) == {"reward_alignment_unlabelled"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("hm LABEL=NA", "hm \n</think>\n\n"),
        ("hm, cut off", "hm, cut off\n</think>\n\n"),
        ("hm</think>\n\nso LABEL=NA", "hm</think>\n\nso "),
        ("LABEL=NA", "\n</think>\n\n"),
    ],
)
def test_a_thought_is_over_before_the_verdict_is_enumerated(written: str, expected: str) -> None:
    tokenizer = chat_tokenizer("qwen3.5")
    tokens = tuple(tokenizer(written, add_special_tokens=False)["input_ids"])
    rollout = Rollout(tokens, decode(tokenizer, tokens), (), (), (), stopped=False)
    frame = frame_of(ChatSettings(enable_thinking=True), tokenizer)
    assert tokenizer.decode(reasoning_of(tokenizer, rollout, frame)) == expected
    closed = frame_of(ChatSettings(), tokenizer)
    assert tokenizer.decode(reasoning_of(tokenizer, rollout, closed)) == written.partition("LABEL")[0]
