"""The enumerated objective: the expected reward over all answers of the grammar, and its exact gradient.

The 3 x 101 answers share almost all of their tokens, so one forward pass over their prefix tree gives the probability
of each. A policy gradient then needs no sampling, and has no sampling noise. What has no place in the grammar counts
as an invalid answer. Where a model reasons before it answers, the reasoning is sampled and the verdict behind it
enumerated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import ObjectiveResult, TokenScores
from candor.means import Means
from candor.prompts.answers import CONFIDENCES
from candor.prompts.grammar import AnswerGrammar
from candor.recipe.objective import ObjectiveConfig
from candor.recipe.reward import RewardConfig
from candor.training.advantages import ZERO_SPREAD, clipped_surrogate, group_advantages
from candor.training.answer_scores import C, K, answer_logprobs
from candor.training.collapse import add_expected_confidences
from candor.training.rewards import NO_LABEL, Rewards, add_reward_means, score
from candor.types import LABELS


@dataclass(frozen=True, slots=True)
class AnswerProbs:
    """Exact probabilities of all answers behind P prompts with R reasoning prefixes each.

    Attributes:
        log_answers_P_R_K_C: log-probability of every answer, end token included, at the batch's temperature.
        raw_log_answers_P_R_K_C: the same at temperature 1.
        log_labels_P_R_K: raw log-probability of each label where it is emitted (not normalised over the three).
        log_reasoning_P_R_T: per-token log-probabilities of the reasoning at the batch's temperature, padded with 0.
    """

    log_answers_P_R_K_C: torch.Tensor
    raw_log_answers_P_R_K_C: torch.Tensor
    log_labels_P_R_K: torch.Tensor
    log_reasoning_P_R_T: torch.Tensor


def answer_probs(
    scores: TokenScores, grammar: AnswerGrammar, prefix_lengths_P_R: NDArray[np.int64], ended_K_C: NDArray[np.bool_]
) -> AnswerProbs:
    """Sum token scores to answers.

    Args:
        scores: of the continuations ``reasoning + answer``, for each prompt R times the grammar's answers in order.
        grammar: the answers.
        prefix_lengths_P_R: tokens of each reasoning prefix; 0 where there is none.
        ended_K_C: answers that carry their end token. The end of the others has the mean log-probability of those
            that do behind the same label.
    """
    device = scores.mask_P_C_T.device
    length = scores.mask_P_C_T.shape[-1]
    shape = (*prefix_lengths_P_R.shape, K, C, length)
    position_T = torch.arange(length, device=device)
    offset_P_R = torch.as_tensor(prefix_lengths_P_R, device=device)
    begin = offset_P_R[:, :, None, None]
    last = torch.tensor([len(answer) - 1 for answer in grammar.answers], device=device).view(K, C) + begin
    ended = torch.as_tensor(ended_K_C, device=device)
    logprobs, raw = scores.logprobs_P_C_T.view(shape), scores.raw_logprobs_P_C_T.view(shape)
    log_answers = answer_logprobs(logprobs, begin, last, ended)
    untempered = scores.raw_logprobs_P_C_T is scores.logprobs_P_C_T
    raw_answers = log_answers if untempered else answer_logprobs(raw, begin, last, ended)
    start_K = torch.tensor(grammar.label_start[::C], device=device)
    end_K = torch.tensor(grammar.label_end[::C], device=device)
    place_P_R_K_T = position_T - offset_P_R[:, :, None, None]
    is_label = (place_P_R_K_T >= start_K[:, None]) & (place_P_R_K_T < end_K[:, None])
    labels = (raw[:, :, :, 0] * is_label).sum(-1)
    reasoning = logprobs[:, :, 0, 0] * (position_T < offset_P_R[..., None])
    return AnswerProbs(log_answers, raw_answers, labels, reasoning)


@dataclass(frozen=True, slots=True)
class EnumeratedObjective:
    """Expected reward over all answers; see ``docs/objective.md`` for the formulas.

    Attributes:
        config: terms and weights.
        reward: the reward's terms.
        grammar: all answers.
        gold_P: gold label indices; prompts behind those that have one are unlabelled: for them the reward's alignment,
            the form, the entropy and the KL count, and nothing that needs a label.
        has_evidence_P: whether the prompt shows evidence.
        prefix_lengths_P_R: tokens of each reasoning prefix.
        ended_K_C: answers whose end token is scored.
        reference_P_R_K_C: the base model's raw log-probabilities of all answers, or ``None``.
        step: training step, for the reward's warm-up.
        sampled_lengths_P_R: tokens of each prefix, from its first, that stand in it as they were sampled and so earn
            what the verdict behind them can expect; ``None`` for all of them.
    """

    config: ObjectiveConfig
    reward: RewardConfig
    grammar: AnswerGrammar
    gold_P: NDArray[np.int64]
    has_evidence_P: NDArray[np.bool_]
    prefix_lengths_P_R: NDArray[np.int64]
    ended_K_C: NDArray[np.bool_]
    reference_P_R_K_C: NDArray[np.float64] | None
    step: int
    sampled_lengths_P_R: NDArray[np.int64] | None = None

    def __call__(self, scores: TokenScores, part: slice) -> ObjectiveResult:
        """Loss of the prompts ``part``: a mean over the batch's labelled prompts and their reasoning prefixes.

        Unlabelled prompts add up to it with the same weight each.
        """
        labelled_P, gold_P = self._labels(part)
        prefix_lengths_P_R = self.prefix_lengths_P_R[part]
        probs = answer_probs(scores, self.grammar, prefix_lengths_P_R, self.ended_K_C)
        log_answers = probs.log_answers_P_R_K_C.double()
        answers = log_answers.exp()
        mass = answers.sum((2, 3))
        invalid = (1.0 - mass).clamp(min=0.0)
        log_probe = probs.log_labels_P_R_K.double().log_softmax(-1)
        rewards, invalid_rewards = self._rewards(log_probe.detach().exp().cpu().numpy(), gold_P, part)

        def tensor(values: NDArray[np.float64]) -> torch.Tensor:
            return torch.as_tensor(values, dtype=log_answers.dtype, device=log_answers.device)

        total, invalid_total = tensor(rewards.total), tensor(invalid_rewards.total)
        expected = (answers * total).sum((2, 3)) + invalid * invalid_total
        spread = (answers * (total - expected[..., None, None]) ** 2).sum((2, 3)) + invalid * (
            invalid_total - expected
        ) ** 2
        log_confidence = log_answers.log_softmax(-1)
        confidence = log_confidence.exp()
        entropy_K = -(confidence * log_confidence).sum(-1)
        label = answers.sum(-1) / mass[..., None]
        if self.config.credit == "whole":
            loss = -expected / self._scale(spread)
        else:
            label_reward = tensor(rewards.label_part[..., 0])
            mean = (label * label_reward).sum(-1)
            label_spread = (label * (label_reward - mean[..., None]) ** 2).sum(-1)
            labelled = tensor(labelled_P[:, None].astype(np.float64))
            loss = -labelled * mean / self._scale(label_spread) + self.reward.format * invalid
            weight = label.detach() if self.config.confidence_labels == "emitted" else torch.full_like(label, 1 / K)
            confidence_reward = tensor(
                np.where(labelled_P[:, None, None, None], rewards.confidence_part, rewards.terms["alignment"])
            )
            earned = (confidence * confidence_reward).sum(-1) + self.config.confidence_entropy * entropy_K
            loss = loss - self.config.confidence_weight * (weight * earned).sum(-1)
        if self.config.log_gold:
            gold = torch.as_tensor(gold_P, device=log_answers.device)[:, None, None].expand(-1, loss.shape[1], -1)
            log_gold = log_probe.gather(2, gold)[..., 0] * tensor(labelled_P[:, None].astype(np.float64))
            loss = loss - self.config.log_gold * log_gold
        if self.config.log_valid:
            loss = loss - self.config.log_valid * mass.clamp(min=torch.finfo(mass.dtype).tiny).log()
        kl = self._kl(probs.raw_log_answers_P_R_K_C.double(), part)
        if kl is not None and self.config.kl:
            loss = loss + self.config.kl * kl
        constant_P = None
        if self.prefix_lengths_P_R.shape[1] > 1:
            reasoning_loss, constant_P = self._reasoning_loss(probs.log_reasoning_P_R_T, expected, part)
            loss = loss + reasoning_loss

        # Unlabelled prompts come last, and have one figure: how far the confidence is from the probe on them.
        known = slice(0, int(labelled_P.sum()))
        means = self._means(answers.detach(), invalid.detach(), rewards, invalid_rewards, gold_P, known)
        without_variance = spread.detach() < ZERO_SPREAD**2 if constant_P is None else torch.from_numpy(constant_P)
        means.add("zero_variance", without_variance[known].double().cpu())
        means.add("entropy", -(answers * log_answers).sum((2, 3)).detach()[known].cpu())
        means.add("entropy_confidence", (label * entropy_K).sum(-1).detach()[known].cpu())
        alignment = (answers.detach() * tensor(rewards.terms["alignment"])).sum((2, 3)) / mass.detach()
        means.add("reward_alignment_unlabelled", alignment[known.stop :].cpu())
        if kl is not None:
            means.add("kl", kl.detach()[known].cpu())
        return ObjectiveResult(loss.sum() / (len(self.gold_P) * self.prefix_lengths_P_R.shape[1]), means)

    def _labels(self, part: slice) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which prompts of ``part`` have a gold label, and it; 0, which then must not count, where there is none."""
        labelled_P = np.arange(len(self.has_evidence_P))[part] < len(self.gold_P)
        gold_P = np.zeros(len(labelled_P), dtype=np.int64)
        gold_P[labelled_P] = self.gold_P[part]
        return labelled_P, gold_P

    def _scale(self, variance: torch.Tensor) -> torch.Tensor | float:
        return variance.detach().sqrt() + 1e-4 if self.config.divide_by_std else 1.0

    def _rewards(
        self, probe_P_R_K: NDArray[np.float64], gold_P: NDArray[np.int64], part: slice
    ) -> tuple[Rewards, Rewards]:
        """Rewards of all answers, shape P R K C, and of an invalid one, shape P R."""
        gold, evidence = gold_P[:, None], self.has_evidence_P[part, None]
        answers = score(
            self.reward,
            label=np.arange(K)[:, None],
            confidence=np.array(CONFIDENCES),
            clean=True,
            gold=gold[..., None, None],
            has_evidence=evidence[..., None, None],
            probs=probe_P_R_K[:, :, None, None],
            step=self.step,
        )
        invalid = score(
            self.reward,
            label=NO_LABEL,
            confidence=np.nan,
            clean=False,
            gold=gold,
            has_evidence=evidence,
            probs=probe_P_R_K,
            step=self.step,
        )
        return answers, invalid

    def _kl(self, raw_log_answers: torch.Tensor, part: slice) -> torch.Tensor | None:
        """Exact KL(policy || base) over the answers and the rest, at temperature 1."""
        if self.reference_P_R_K_C is None:
            return None
        reference = torch.as_tensor(self.reference_P_R_K_C[part]).to(raw_log_answers)
        answers = raw_log_answers.exp()
        tiny = 1e-12  # the rest is a difference of numbers near 1, known to about that
        rest = (1.0 - answers.sum((2, 3))).clamp(min=tiny)
        reference_rest = (1.0 - reference.exp().sum((2, 3))).clamp(min=tiny)
        return (answers * (raw_log_answers - reference)).sum((2, 3)) + rest * (rest / reference_rest).log()

    def _reasoning_loss(
        self, log_reasoning_P_R_T: torch.Tensor, expected: torch.Tensor, part: slice
    ) -> tuple[torch.Tensor, NDArray[np.bool_]]:
        """Policy gradient on the sampled reasoning, whose reward is what its verdict can expect; constant groups."""
        if self.sampled_lengths_P_R is not None:
            position_T = torch.arange(log_reasoning_P_R_T.shape[-1], device=log_reasoning_P_R_T.device)
            lengths = torch.as_tensor(self.sampled_lengths_P_R[part], device=position_T.device)
            log_reasoning_P_R_T = log_reasoning_P_R_T * (position_T < lengths[..., None])
        advantages = group_advantages(expected.detach().cpu().numpy(), divide_by_std=self.config.divide_by_std)
        advantages_P_R_T = torch.as_tensor(advantages.values_P_G).to(log_reasoning_P_R_T)[..., None]
        surrogate, _ = clipped_surrogate(
            log_reasoning_P_R_T, log_reasoning_P_R_T.detach(), advantages_P_R_T, clip=self.config.clip
        )
        return -surrogate.sum(-1), advantages.constant_P

    def _means(
        self,
        answers: torch.Tensor,
        invalid: torch.Tensor,
        rewards: Rewards,
        invalid_rewards: Rewards,
        gold_P: NDArray[np.int64],
        known: slice,
    ) -> Means:
        means = Means()
        answers_P_R_K_C, invalid_P_R = answers[known].cpu().numpy(), invalid[known].cpu().numpy()
        gold_P_R = np.broadcast_to(gold_P[known, None], invalid_P_R.shape)
        terms = {
            name: (answers_P_R_K_C * values[known]).sum((2, 3)) + invalid_P_R * invalid_rewards.terms[name][known]
            for name, values in rewards.terms.items()
        }
        labels_P_R_K = answers_P_R_K_C.sum(-1)
        correct_P_R = np.take_along_axis(labels_P_R_K, gold_P_R[..., None], axis=-1)[..., 0]
        add_reward_means(means, terms, correct_P_R, gold_P_R)
        means.add("invalid", invalid_P_R)
        stated = answers_P_R_K_C.sum(2)
        means.add("confidence", np.broadcast_to(CONFIDENCES, stated.shape), stated)
        means.add("confidence_squared", np.broadcast_to(np.square(CONFIDENCES), stated.shape), stated)
        mass_P_R = stated.sum(-1)
        expected = zip(stated @ np.array(CONFIDENCES), mass_P_R, strict=True)
        add_expected_confidences(means, (sums[mass > 0] / mass[mass > 0] for sums, mass in expected))
        for k, name in enumerate(LABELS):
            means.add(f"share_{name.value}", labels_P_R_K[..., k])
        return means
