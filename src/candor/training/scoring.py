"""From sampled completions to rewards and token advantages: what a sampled training step needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from candor.means import Means
from candor.prompts.answers import Answer, label_position, parse
from candor.prompts.encoding import tokens_covering
from candor.prompts.probe import label_probs
from candor.prompts.templates import Template
from candor.recipe.objective import SampledConfig, SampledExpected, SampledSplit, SampledWhole
from candor.recipe.reward import RewardConfig
from candor.training.advantages import group_advantages, label_advantages
from candor.training.collapse import add_expected_confidences
from candor.training.rewards import Rewards, add_reward_means, calibration_against, score, warmup
from candor.types import LABELS, NO_LABEL, Rollout, Validity


@dataclass(frozen=True, slots=True)
class ScoredRollouts:
    """Completions of P prompts, G each, read and rewarded.

    Attributes:
        answers_P_G: what could be read.
        rewards: terms of shape P G.
        label_P_G: emitted label indices, -1 for none.
        clean_P_G: whether each is in the asked form and came to its end.
        probs_P_G_K: label probabilities where each emits its label.
        gold_P: gold label indices.
        confidence_P_G: stated confidences, NaN for none.
        reward: by which they were scored.
        step: of the training, from 0.
    """

    answers_P_G: list[list[Answer]]
    rewards: Rewards
    label_P_G: NDArray[np.int64]
    clean_P_G: NDArray[np.bool_]
    probs_P_G_K: NDArray[np.float64]
    gold_P: NDArray[np.int64]
    confidence_P_G: NDArray[np.float64]
    reward: RewardConfig
    step: int

    def calibration_against(self, group_share: float) -> NDArray[np.float64]:
        """The calibration term, shape P G, against a mixture of the group's share of right answers and this one's.

        Args:
            group_share: weight of that share, in [0, 1]; the rest is whether the completion itself is right.
        """
        if not group_share:
            return self.rewards.terms["calibration"]
        right_P_G = (self.label_P_G == self.gold_P[:, None]).astype(np.float64)
        outcome_P_G = group_share * right_P_G.mean(1, keepdims=True) + (1.0 - group_share) * right_P_G
        weight = warmup(self.step, self.reward.warmup_steps) * self.reward.calibration
        form = self.reward.calibration_score
        return calibration_against(self.label_P_G, self.confidence_P_G, outcome_P_G, weight=weight, form=form)


def score_rollouts(
    rollouts_P_G: Sequence[Sequence[Rollout]],
    gold_P: NDArray[np.int64],
    has_evidence_P: NDArray[np.bool_],
    *,
    template: Template,
    reward: RewardConfig,
    step: int,
) -> ScoredRollouts:
    """Read every completion and score it.

    Args:
        rollouts_P_G: completions of each prompt.
        gold_P: gold label indices.
        has_evidence_P: whether each prompt shows evidence (after cutting).
        template: gives the form of the answer.
        reward: weights of the terms.
        step: training step from 0.
    """
    answers_P_G = [[parse(rollout.text, template) for rollout in group] for group in rollouts_P_G]
    label_P_G = np.array(
        [[NO_LABEL if a.label is None else LABELS.index(a.label) for a in group] for group in answers_P_G]
    )
    confidence_P_G = np.array(
        [[np.nan if a.confidence is None else a.confidence for a in group] for group in answers_P_G]
    )
    # A completion that ran into the length limit is not in the asked form, however its beginning reads.
    clean_P_G = np.array(
        [
            [a.validity is Validity.CLEAN and r.stopped for a, r in zip(answers, group, strict=True)]
            for answers, group in zip(answers_P_G, rollouts_P_G, strict=True)
        ]
    )
    probs_P_G_K = label_probs(np.array([[r.probe_logprobs for r in group] for group in rollouts_P_G]))
    rewards = score(
        reward,
        label=label_P_G,
        confidence=confidence_P_G,
        clean=clean_P_G,
        gold=gold_P[:, None],
        has_evidence=has_evidence_P[:, None],
        probs=probs_P_G_K,
        step=step,
    )
    return ScoredRollouts(answers_P_G, rewards, label_P_G, clean_P_G, probs_P_G_K, gold_P, confidence_P_G, reward, step)


def token_advantages(
    scored: ScoredRollouts, rollouts_P_G: Sequence[Sequence[Rollout]], objective: SampledConfig, tokenizer: Any
) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    """Advantage of every token, shape P G T (padded with 0), and which groups are constant, shape P.

    With whole credit every token of a completion has its group advantage. With split credit the tokens up to the end
    of the label have the advantage of what the label decides, and those behind it the advantage of what the
    confidence decides among completions with the same label (or in the whole group, as the recipe says), plus its
    entropy bonus, unless that is taken in expectation (:mod:`candor.training.expected_confidence`). The form counts
    for both: within the group for the label, which may be missing, and among completions with the same label for what
    follows it.
    """
    whole = group_advantages(scored.rewards.total, divide_by_std=objective.divide_by_std)
    if isinstance(objective, SampledWhole):
        label_P_G = confidence_P_G = whole.values_P_G
    else:
        label_P_G, confidence_P_G = _split_advantages(scored, rollouts_P_G, objective, tokenizer)
    length = max(len(rollout.tokens) for group in rollouts_P_G for rollout in group)
    advantages_P_G_T = np.zeros((*scored.label_P_G.shape, length))
    ends_P_G = label_ends(rollouts_P_G, tokenizer)
    for p, group in enumerate(rollouts_P_G):
        for g, rollout in enumerate(group):
            advantages_P_G_T[p, g, : ends_P_G[p, g]] = label_P_G[p, g]
            advantages_P_G_T[p, g, ends_P_G[p, g] : len(rollout.tokens)] = confidence_P_G[p, g]
    return torch.from_numpy(advantages_P_G_T), whole.constant_P


def _split_advantages(
    scored: ScoredRollouts,
    rollouts_P_G: Sequence[Sequence[Rollout]],
    objective: SampledSplit | SampledExpected,
    tokenizer: Any,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Advantages of each completion's tokens up to the end of its label, and of those behind it."""
    terms = scored.rewards.terms
    label_rewards = objective.label_weight * scored.rewards.label_part + terms["format"]
    label_P_G = group_advantages(label_rewards, divide_by_std=objective.divide_by_std).values_P_G
    form_P_G = label_advantages(terms["format"], scored.label_P_G)
    if not isinstance(objective, SampledSplit):
        return label_P_G, form_P_G
    ends_P_G = label_ends(rollouts_P_G, tokenizer)
    surprise_P_G = [
        [-sum(r.logprobs[end:]) for r, end in zip(group, ends, strict=True)]
        for group, ends in zip(rollouts_P_G, ends_P_G.tolist(), strict=True)
    ]
    calibration_P_G = scored.calibration_against(objective.group_share)
    confidence_rewards = calibration_P_G + terms["alignment"] + objective.confidence_entropy * np.array(surprise_P_G)
    if objective.confidence_baseline == "group":
        earned_P_G = group_advantages(confidence_rewards, divide_by_std=objective.divide_by_std).values_P_G
    else:
        earned_P_G = label_advantages(confidence_rewards, scored.label_P_G)
    return label_P_G, form_P_G + objective.confidence_weight * earned_P_G


def label_ends(rollouts_P_G: Sequence[Sequence[Rollout]], tokenizer: Any) -> NDArray[np.int64]:
    """Index of each completion's first token behind its label, shape P G; all its tokens where there is no label."""

    def label_end(rollout: Rollout) -> int:
        position = label_position(rollout.text)
        return len(rollout.tokens) if position is None else tokens_covering(tokenizer, rollout.tokens, position[1])

    return np.array([[label_end(rollout) for rollout in group] for group in rollouts_P_G])


def rollout_means(
    scored: ScoredRollouts, rollouts_P_G: Sequence[Sequence[Rollout]], constant_P: NDArray[np.bool_]
) -> Means:
    """Figures of the sampled completions, to log."""
    means = Means()
    gold_P_G = np.broadcast_to(scored.gold_P[:, None], scored.label_P_G.shape)
    add_reward_means(means, scored.rewards.terms, (scored.label_P_G == gold_P_G).astype(float), gold_P_G)
    means.add("invalid", ~scored.clean_P_G)
    means.add("zero_variance", constant_P)
    stated_P = [[a.confidence for a in group if a.confidence is not None] for group in scored.answers_P_G]
    stated = [confidence for group in stated_P for confidence in group]
    means.add("confidence", stated)
    means.add("confidence_squared", np.square(stated))
    add_expected_confidences(means, (group for group in stated_P if len(group) > 1))
    for index, label in enumerate(LABELS):
        means.add(f"share_{label.value}", scored.label_P_G == index)
    means.add("completion_tokens", [len(r.tokens) for group in rollouts_P_G for r in group])
    means.add("stopped", [r.stopped for group in rollouts_P_G for r in group])
    return means
