"""The confidence behind sampled labels is taken in expectation: the same as the enumerated objective's part."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from answer_tree import FIXED_REWARD, Tree
from toy import TEMPLATE, byte_tokenizer, toy_tokenizer

from candor.engines.answer_scores import C, K, answer_probs, draw_ended
from candor.engines.base import TokenScores
from candor.prompts.encoding import decode
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.prompts.probe import ProbeSite
from candor.recipe.objective import objective_config
from candor.recipe.reward import RewardConfig
from candor.training.enumerated import EnumeratedObjective
from candor.training.expected_confidence import ExpectedConfidence, SampledLabel, sampled_labels, written_as_asked
from candor.training.sampled import LabelSite, SampledObjective
from candor.training.sections import Sections
from candor.types import Rollout

GRAMMAR = answer_grammar(TEMPLATE, toy_tokenizer())
TREE = Tree(GRAMMAR)
GOLD = np.array([0, 2])
EVIDENCE = np.array([True, False])
REWARD = RewardConfig.model_validate({"preset": "candor"})


def _label_tokens(label: int, grammar: AnswerGrammar = GRAMMAR) -> tuple[int, ...]:
    return grammar.answers[label * C][: grammar.label_end[label * C]]


def _expected(labels_P: list[list[SampledLabel]], ended: np.ndarray, reward: RewardConfig) -> ExpectedConfidence:
    return ExpectedConfidence.of(
        labels_P, GRAMMAR, ended, reward=reward, gold_P=GOLD, has_evidence_P=EVIDENCE, entropy=0.06, step=60
    )


def _logits() -> torch.Tensor:
    return torch.randn(2, TREE.count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_completions_that_agree_up_to_their_label_stand_for_one() -> None:
    rollouts = [
        Rollout(tokens, "", (0.0,) * len(tokens), (0.0,) * len(tokens), (0.0, 0.0, 0.0), True)
        for tokens in [(5, 1, 7), (5, 2, 7), (5, 1, 8, 9), (6,)]
    ]
    found = sampled_labels(rollouts, np.array([0, 1, 0, -1]), np.array([2, 2, 2, 1]), np.eye(4)[:, :3])
    assert [(each.tokens, each.label, each.share) for each in found] == [((5, 1), 0, 0.5), ((5, 2), 1, 0.25)]
    assert found[1].probs_K.tolist() == [0, 1, 0]


def test_labels_written_otherwise_than_in_the_grammar_have_no_tails_that_fit() -> None:
    tokenizer = byte_tokenizer(merges=("PASS\n",))
    grammar = answer_grammar(TEMPLATE, tokenizer)
    asked = grammar.answers[:1] + grammar.answers[C : C + 1]  # PASS with its line break in one token, FAIL without
    letters, colon, bracket = (
        tuple(token for sign in text for token in tokenizer(sign)["input_ids"])
        for text in ("LABEL=PASS\nCONF=0.50", "LABEL: FAIL\nCONF=0.50", "LABEL=<FAIL>\nCONF=0.50")
    )
    group = [
        Rollout(tokens, decode(tokenizer, tokens), (), (), (0.0, 0.0, 0.0), True)
        for tokens in (*asked, letters, letters[:5], colon, bracket, (*letters[:1], *asked[1]))
    ]
    ends = np.array([grammar.label_end[0], grammar.label_end[C], 10, 5, 11, 11, 1 + grammar.label_end[C]])
    assert decode(tokenizer, asked[0][: ends[0]]) == "LABEL=PASS\n"
    found = written_as_asked(tokenizer, grammar, group, np.array([0, 1, 0, -1, 1, 1, 1]), ends)
    assert found.tolist() == [True, True, False, False, False, False, True]


@pytest.mark.parametrize("ends", ["all", 4])
def test_equals_the_enumerated_part_when_labels_are_sampled_as_often_as_they_are_likely(ends: str | int) -> None:
    """With every label's share its probability, loss and gradient are those of the enumerated confidence part."""
    logits = _logits().requires_grad_()
    ended = draw_ended(ends, np.random.default_rng(3))
    scores = TREE.scores(logits)
    config = objective_config({"preset": "candor", "log_gold": 0.0, "log_valid": 0.0})
    lengths = torch.tensor([len(answer) for answer in GRAMMAR.answers])
    kept = torch.tensor(ended.ravel())
    mask = TREE.mask & (torch.arange(TREE.mask.shape[1]) < (lengths - (~kept).long())[:, None])
    scores = TokenScores(scores.logprobs_P_C_T * mask, scores.raw_logprobs_P_C_T * mask, mask.expand(2, -1, -1))
    enumerated = EnumeratedObjective(
        config, REWARD, GRAMMAR, GOLD, EVIDENCE, np.zeros((2, 1), dtype=np.int64), ended, None, 60
    )
    without = dataclasses.replace(enumerated, config=config.model_copy(update={"confidence_weight": 0.0}))
    part = enumerated(scores, slice(0, 2)).loss - without(scores, slice(0, 2)).loss

    probe = torch.stack(
        [scores.raw_logprobs_P_C_T[:, k * C, GRAMMAR.label_start[k * C] : GRAMMAR.label_end[k * C]].sum(-1)
         for k in range(K)], 1
    ).detach().softmax(-1).numpy()  # fmt: skip
    shares = enumerated_shares(scores, ended)
    labels_P = [[SampledLabel(_label_tokens(k), k, probe[p], float(shares[p, k])) for k in range(K)] for p in range(2)]
    expected = _expected(labels_P, ended, REWARD)
    rows = [label.tokens + tail for label in labels_P[0] for tail in expected.tails_K_C[label.label]]
    assert expected.continuations()[0] == rows
    assert [len(row) for row in rows] == mask.sum(1).tolist()
    loss, entropy = expected.loss(scores.logprobs_P_C_T, slice(0, 2))
    assert float(config.confidence_weight * loss.detach()) == pytest.approx(float(part.detach()))
    (got,) = torch.autograd.grad(config.confidence_weight * loss, logits, retain_graph=True)
    (exact,) = torch.autograd.grad(part, logits)
    assert float(exact.abs().max()) > 1e-3
    assert torch.allclose(got, exact, atol=1e-10)
    assert torch.all(entropy > 1.0)
    assert torch.all(entropy < np.log(C))


def enumerated_shares(scores: TokenScores, ended: np.ndarray) -> np.ndarray:
    """Each label's share of all answers, shape P K."""
    log_answers = answer_probs(scores, GRAMMAR, np.zeros((2, 1), dtype=np.int64), ended).log_answers_P_R_K_C
    answers = log_answers[:, 0].detach().exp().sum(-1).numpy()
    shares: np.ndarray = answers / answers.sum(1, keepdims=True)
    return shares


def test_prompts_may_have_different_numbers_of_labels_and_parts_add_up() -> None:
    ended = draw_ended(3, np.random.default_rng(1))
    third = np.full(K, 1 / 3)
    labels_P = [
        [SampledLabel(_label_tokens(1), 1, third, 0.5)],
        [SampledLabel(_label_tokens(k), k, third, 0.25) for k in (2, 0)],
    ]
    expected = _expected(labels_P, ended, REWARD)
    full = TREE.scores(_logits()).logprobs_P_C_T
    lengths = torch.tensor([len(a) for a in GRAMMAR.answers]) - torch.tensor(~ended.ravel()).long()
    full = full * (torch.arange(full.shape[-1]) < lengths[:, None])
    first = full[0, C : 2 * C]
    second = torch.cat([full[1, 2 * C :], full[1, :C]])
    padded = torch.stack([torch.cat([first, torch.zeros_like(first)]), second])
    whole, _ = expected.loss(padded, slice(0, 2))
    one, _ = expected.loss(padded[:1, :C], slice(0, 1))
    other, _ = expected.loss(padded[1:], slice(1, 2))
    assert float(whole) == pytest.approx(float(one + other))
    assert float(one) != pytest.approx(float(other))


def test_a_prompt_without_any_label_adds_nothing() -> None:
    expected = _expected([[], []], draw_ended("all", np.random.default_rng(0)), REWARD)
    assert expected.continuations() == [[], []]
    loss, entropy = expected.loss(torch.zeros(2, 0, 4, requires_grad=True), slice(0, 2))
    assert float(loss.detach()) == 0.0
    assert entropy.tolist() == [0.0, 0.0]


def test_the_sampled_objective_adds_it_behind_completions_and_labels() -> None:
    ended = draw_ended("all", np.random.default_rng(0))
    labels_P = [[SampledLabel(_label_tokens(k), k, np.full(K, 1 / 3), 1.0)] for k in (0, 1)]
    expected = _expected(labels_P, ended, RewardConfig.model_validate(FIXED_REWARD))
    full = TREE.scores(_logits())
    drawn = torch.stack([torch.cat([full.logprobs_P_C_T[p, [5, 150]], full.logprobs_P_C_T[p, 0 : 3 * C : C],
                         full.logprobs_P_C_T[p, k * C : (k + 1) * C]]) for p, k in enumerate((0, 1))])  # fmt: skip
    scores = TokenScores(drawn, drawn, drawn != 0)
    site = LabelSite(ProbeSite(tuple(_label_tokens(k) for k in range(K)), GRAMMAR.label_start[0]), 1.0)
    without = SampledObjective(
        sections=Sections({"completions": [2, 2], "label_choices": [K, K], "confidences": [C, C]}),
        rollout_logprobs_P_G_T=drawn[:, :2],
        reference_P_G_T=None,
        advantages_P_G_T=torch.ones_like(drawn[:, :2]),
        gold_P=torch.from_numpy(GOLD),
        sites_P=[[site], [site]],
        log_gold=3.0,
        kl=0.0,
    )
    with_it = dataclasses.replace(without, confidence=expected, confidence_weight=40.0)
    part, _ = expected.loss(drawn[:, 5:], slice(0, 2))
    both = [objective(scores, slice(0, 2)) for objective in (with_it, without)]
    assert float(both[0].loss - both[1].loss) == pytest.approx(40.0 * float(part))
    assert abs(float(part)) > 1e-3
    assert "entropy_confidence" in both[0].means.values()
    assert "entropy_confidence" not in both[1].means.values()


@pytest.mark.parametrize("in_both", [False, True])
def test_the_confidence_is_found_behind_however_many_places_of_labels(in_both: bool) -> None:
    ended = draw_ended("all", np.random.default_rng(0))
    labels_P = [[SampledLabel(_label_tokens(k), k, np.full(K, 1 / 3), 1.0)] for k in (0, 1)]
    if not in_both:
        labels_P[1] = []
    expected = _expected(labels_P, ended, RewardConfig.model_validate(FIXED_REWARD))
    full = TREE.scores(_logits()).logprobs_P_C_T
    site = LabelSite(ProbeSite(tuple(_label_tokens(k) for k in range(K)), GRAMMAR.label_start[0]), 0.5)
    one, two = full[0, 0 : 3 * C : C], full[1, 0 : 3 * C : C]
    first = torch.cat([full[0, [5, 150]], one, full[0, :C]])
    behind = full[1, C : 2 * C] if in_both else full[1, :0]
    second = torch.cat([full[1, [5, 150]], two, two, behind])
    drawn = torch.nn.utils.rnn.pad_sequence([first, second], batch_first=True)
    without = SampledObjective(
        sections=Sections({"completions": [2, 2], "label_choices": [K, 2 * K], "confidences": [C, len(behind)]}),
        rollout_logprobs_P_G_T=drawn[:, :2],
        reference_P_G_T=None,
        advantages_P_G_T=torch.ones_like(drawn[:, :2]),
        gold_P=torch.from_numpy(GOLD),
        sites_P=[[site], [site, site]],
        log_gold=3.0,
        kl=0.0,
    )
    with_it = dataclasses.replace(without, confidence=expected, confidence_weight=40.0)
    scores = TokenScores(drawn, drawn, drawn != 0)
    both = [objective(scores, slice(0, 2)) for objective in (with_it, without)]
    alone = torch.nn.utils.rnn.pad_sequence([full[0, :C], behind], batch_first=True)
    part, _ = expected.loss(alone, slice(0, 2))
    assert abs(float(part)) > 1e-3
    assert float(both[0].loss - both[1].loss) == pytest.approx(40.0 * float(part))
