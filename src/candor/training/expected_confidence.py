"""The stated confidence behind sampled labels, taken in expectation over all 101 confidences instead of sampled.

A group of eight completions tries one or two confidences behind each of its labels, which says next to nothing about
the other hundred. But behind a label that has been sampled, after whatever reasoning, all of them can be scored in the
forward pass that scores the completions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.answer_scores import C, K, answer_logprobs, open_answers
from candor.engines.base import Tokens
from candor.prompts.answers import CONFIDENCES
from candor.prompts.encoding import decode
from candor.prompts.grammar import AnswerGrammar
from candor.recipe.reward import RewardConfig
from candor.training.rewards import score
from candor.types import NO_LABEL, Rollout


@dataclass(frozen=True, slots=True)
class SampledLabel:
    """What some completions of a group have in common up to the end of their label.

    Attributes:
        tokens: from the start of the completion to the end of its label.
        label: index.
        probs_K: what the label probe says there.
        share: of the group's completions that begin so, above 0 and at most 1.
    """

    tokens: Tokens
    label: int
    probs_K: NDArray[np.float64]
    share: float


def written_as_asked(
    tokenizer: Any,
    grammar: AnswerGrammar,
    group: Sequence[Rollout],
    label_G: NDArray[np.int64],
    label_end_G: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether each completion is written like the grammar's answers up to the end of its label, so that tails fit on.

    ``LABEL: PASS`` is not; nor is a label whose last token ends elsewhere than the grammar's, as where a tokenizer can
    write label and line break as one token or as two.

    Args:
        tokenizer: made the tokens.
        grammar: all answers.
        group: completions.
        label_G: their labels, -1 for none, which is not written at all.
        label_end_G: index of each one's first token behind the label.
    """
    asked_K = [
        decode(tokenizer, answer[:end])
        for answer, end in zip(grammar.answers[::C], grammar.label_end[::C], strict=True)
    ]
    return np.array(
        [
            label != NO_LABEL and decode(tokenizer, rollout.tokens[:end]).endswith(asked_K[label])
            for rollout, label, end in zip(group, label_G, label_end_G, strict=True)
        ]
    )


def sampled_labels(
    group: Sequence[Rollout], label_G: NDArray[np.int64], label_end_G: NDArray[np.int64], probs_G_K: NDArray[np.float64]
) -> list[SampledLabel]:
    """The different beginnings of a group's completions that come to a label, in the order of their first.

    Args:
        group: completions.
        label_G: their labels, -1 for none.
        label_end_G: index of each one's first token behind the label.
        probs_G_K: label probabilities where each emits its label.
    """
    beginnings = [
        rollout.tokens[:end] if label != NO_LABEL else None
        for rollout, label, end in zip(group, label_G, label_end_G, strict=True)
    ]
    counts = Counter(tokens for tokens in beginnings if tokens is not None)
    return [
        SampledLabel(tokens, int(label_G[at]), probs_G_K[at], count / len(group))
        for tokens, count in counts.items()
        for at in [beginnings.index(tokens)]
    ]


@dataclass(frozen=True, slots=True)
class ExpectedConfidence:
    """Expected reward of the confidence behind each sampled label, and its entropy.

    Attributes:
        labels_P: each prompt's sampled labels.
        tails_K_C: tokens of each answer behind its label, what closes it included where that is scored.
        closing_K_C: index in each tail of what closes the answer.
        ended_K_C: answers whose end is scored.
        rewards_P: for each prompt the reward of every confidence behind each of its labels, shape ``[labels, C]``.
        entropy: bonus on the entropy of the confidence.
    """

    labels_P: Sequence[Sequence[SampledLabel]]
    tails_K_C: Sequence[Sequence[Tokens]]
    closing_K_C: NDArray[np.int64]
    ended_K_C: NDArray[np.bool_]
    rewards_P: Sequence[NDArray[np.float64]]
    entropy: float

    @classmethod
    def of(
        cls,
        labels_P: Sequence[Sequence[SampledLabel]],
        grammar: AnswerGrammar,
        ended_K_C: NDArray[np.bool_],
        *,
        reward: RewardConfig,
        gold_P: NDArray[np.int64],
        has_evidence_P: NDArray[np.bool_],
        entropy: float,
        step: int,
    ) -> ExpectedConfidence:
        """Reward every confidence behind the sampled labels; arguments as in the attributes and in ``score``."""
        answers = open_answers(grammar, ended_K_C)
        closing_K_C = np.subtract(grammar.closing, grammar.label_end).reshape(K, C)
        tails = [answer[end:] for answer, end in zip(answers, grammar.label_end, strict=True)]
        rewards_P = [
            np.array(
                [
                    score(
                        reward,
                        label=label.label,
                        confidence=np.array(CONFIDENCES),
                        clean=True,
                        gold=gold,
                        has_evidence=has_evidence,
                        probs=label.probs_K,
                        step=step,
                    ).confidence_part
                    for label in labels
                ]
            ).reshape(-1, C)
            for labels, gold, has_evidence in zip(labels_P, gold_P, has_evidence_P, strict=True)
        ]
        tails_K_C = [tails[k * C : (k + 1) * C] for k in range(K)]
        return cls(labels_P, tails_K_C, closing_K_C, ended_K_C, rewards_P, entropy)

    def continuations(self) -> list[list[Tokens]]:
        """For each prompt, every confidence behind each of its sampled labels, a label's all in a row."""
        return [
            [label.tokens + tail for label in labels for tail in self.tails_K_C[label.label]]
            for labels in self.labels_P
        ]

    def loss(self, token_scores: torch.Tensor, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of the prompts ``part``, as their share of the mean over all prompts, and the entropy of each.

        Args:
            token_scores: of :meth:`continuations`, shape ``[P, R, T]``, 0 where masked; R is at least C for each label
                of the prompt that has most, and what stands behind a prompt's own rows does not count.
            part: which prompts.
        """
        prompts, _, length = token_scores.shape
        widest = max(map(len, self.labels_P[part]))
        scores = token_scores[:, : widest * C].reshape(prompts, widest, C, length)
        begin_P_H = np.zeros((prompts, widest), dtype=np.int64)
        closing_P_H_C = np.zeros((prompts, widest, C), dtype=np.int64)
        ended_P_H_C = np.ones((prompts, widest, C), dtype=np.bool_)
        share_P_H = np.zeros((prompts, widest))
        reward_P_H_C = np.zeros((prompts, widest, C))
        for p, (labels, rewards) in enumerate(zip(self.labels_P[part], self.rewards_P[part], strict=True)):
            for h, label in enumerate(labels):
                begin_P_H[p, h] = len(label.tokens)
                closing_P_H_C[p, h] = len(label.tokens) + self.closing_K_C[label.label]
                ended_P_H_C[p, h] = self.ended_K_C[label.label]
                share_P_H[p, h] = label.share
                reward_P_H_C[p, h] = rewards[h]
        device = token_scores.device
        begin, closing, ended = (torch.from_numpy(a).to(device) for a in (begin_P_H, closing_P_H_C, ended_P_H_C))
        log_confidence = answer_logprobs(scores, begin[..., None], closing, ended).double().log_softmax(-1)
        confidence = log_confidence.exp()
        share, reward = (torch.from_numpy(a).to(confidence) for a in (share_P_H, reward_P_H_C))
        entropy_P_H = -(confidence * log_confidence).sum(-1)
        earned = (confidence * reward).sum(-1) + self.entropy * entropy_P_H
        return -(share * earned).sum() / len(self.labels_P), (share * entropy_P_H).sum(-1).detach()
