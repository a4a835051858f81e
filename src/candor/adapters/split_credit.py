"""Split credit for trainers that know an answer as tokens and one reward for each of them.

Such a trainer's estimator of advantages is given the rewards of the tokens, which answers are of one group, and nothing
else. So the rewards say themselves where the label ends: what the form earns stands at the first token, what the label
earns at its last one, what the confidence earns at the last of the answer, and a reward of exactly 0 is written as
:data:`NOTHING`, so that its place is not lost. An answer that is one part has :data:`WHOLE` at its first token.
:func:`split_advantages` reads them back, and refuses rewards that are not placed so.

DCPO (arXiv 2603.09117) had split credit first.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from candor.adapters.verdict_reward import reward_of
from candor.errors import DataError, RecipeError
from candor.prompts.answers import label_position
from candor.prompts.encoding import decode, tokens_covering
from candor.training.advantages import group_advantages, label_advantages

ESTIMATOR: Final = "candor_split"
"""Name of the estimator of advantages in the trainers' settings."""

NOTHING: Final = 1e-30
"""A reward of 0 at a token that earns one: below what any sum notices, and a number in bfloat16, too."""

WHOLE: Final = -1e-30
"""At the first token of an answer whose reward at the last token is that of the whole."""

LEAST_WEIGHT: Final = 0.01
"""Of what the label earns: rewards that tell right from wrong have to stay apart."""

SAME: Final = 5
"""Decimals to which label rewards of one group are the same."""


class SplitReward:
    """Rewards the tokens of answers, apart for label and confidence."""

    def __init__(
        self,
        preset: str = "candor",
        *,
        template: str = "verdict",
        label_weight: float = 1.0,
        confidence_weight: float = 1.0,
        **changes: Any,
    ) -> None:
        """Choose the reward.

        Args:
            preset: of the reward.
            template: the prompt template, which gives the form of the answer.
            label_weight: of what the label earns, at least :data:`LEAST_WEIGHT`.
            confidence_weight: of what the confidence earns, at least 0.
            changes: values of the preset that are to be others.

        Raises:
            RecipeError: there is no such preset or value, a weight is too small, or the reward is warmed up.
            PromptError: there is no such template.
        """
        for name, weight, least in (
            ("label_weight", label_weight, LEAST_WEIGHT),
            ("confidence_weight", confidence_weight, 0.0),
        ):
            if not weight >= least:
                raise RecipeError(f"{name} is {weight:g}; it is at least {least:g}")
        self._reward = reward_of(preset, template, changes)
        self._weights = {"label": label_weight, "confidence": confidence_weight}

    @classmethod
    def of(cls, settings: Any = None) -> SplitReward:
        """The reward that a trainer's settings ask for.

        Args:
            settings: a mapping, or an object with these attributes, of the arguments; ``changes`` may be a mapping of
                its own. ``None``: all as it comes.

        Raises:
            RecipeError: there is no such argument, preset or value, a weight is too small, or the reward is warmed up.
            PromptError: there is no such template.
        """
        given = dict(settings if isinstance(settings, Mapping) else vars(settings) if settings else {})
        return cls(**(given.pop("changes", None) or {}), **given)

    def score(self, text: str, gold: str, evidence: Sequence[str], *, ended: bool = True) -> dict[str, float]:
        """What is logged of an answer, without these weights: as of :meth:`VerdictReward.score`."""
        return self._reward.score(text, gold, evidence, ended=ended)

    def of_tokens(
        self, tokenizer: Any, tokens: Sequence[int], gold: str, evidence: Sequence[str], *, ended: bool = True
    ) -> list[float]:
        """The rewards of an answer's tokens: 0 but at its first, at the label's last, and at its last.

        An answer without a label, or that ends with it, is one part: what label and form earn stands at its last
        token. Where the label is the first token, what the form earns stands with the confidence's.

        Args:
            tokenizer: of the model.
            tokens: of the answer, its end included where it came to one.
            gold: the gold label: PASS, FAIL or NA.
            evidence: the sentences that the prompt shows.
            ended: whether the answer came to its own end.

        Raises:
            DataError: the gold label is none.
        """
        text = decode(tokenizer, tokens)
        earned = self._reward.parts(text, gold, evidence, ended=ended)
        label = self._weights["label"] * earned["label"]
        confidence = self._weights["confidence"] * earned["confidence"]
        rewards = [0.0] * len(tokens)
        position = label_position(text)
        label_end = len(tokens) if position is None else tokens_covering(tokenizer, tokens, position[1])
        if not tokens:
            return rewards
        if label_end == len(tokens):
            rewards[0] = WHOLE
            rewards[-1] = label + earned["form"] or NOTHING
        else:
            rewards[-1] = confidence or NOTHING
            rewards[label_end - 1] = label or NOTHING
            if label_end == 1:
                rewards[-1] = confidence + earned["form"] or NOTHING
            else:
                rewards[0] = earned["form"] or NOTHING
        return rewards


def split_advantages(
    rewards_B_T: torch.Tensor,
    mask_B_T: torch.Tensor,
    groups_B: Sequence[Hashable],
    *,
    divide_by_std: bool,
) -> torch.Tensor:
    """Advantages of the tokens of B answers, shape ``[B, T]``, from rewards that :class:`SplitReward` placed.

    Tokens up to the label's end have what label and form earned beyond their group's mean, those behind it what
    confidence and form earned beyond the mean of the answers of its group whose label earned the same: right ones among
    right ones, wrong ones among wrong ones.

    >>> rewards = torch.tensor([[1e-30, 2.0, 0.0, -0.25], [1e-30, 2.0, 0.0, -0.75]])
    >>> split_advantages(rewards, torch.ones(2, 4), ["a", "a"], divide_by_std=False).tolist()
    [[0.0, 0.0, 0.25, 0.25], [0.0, 0.0, -0.25, -0.25]]

    Args:
        rewards_B_T: rewards of the tokens.
        mask_B_T: not 0 where a token is the answer's.
        groups_B: what answers to one prompt share.
        divide_by_std: divide what a label earned by its group's standard deviation.

    Raises:
        DataError: an answer's rewards are not placed so.
    """
    rewards, mask = (tensor.detach().float().cpu().numpy() for tensor in (rewards_B_T, mask_B_T))
    read = [_Earned.of(*row) for row in zip(rewards, mask, range(len(rewards)), strict=True)]
    advantages = np.zeros_like(rewards)
    rows: dict[Hashable, list[int]] = {}
    for row, name in enumerate(groups_B):
        if mask[row].any():  # a row without tokens fills a batch up and is no answer
            rows.setdefault(name, []).append(row)
    for group in rows.values():
        label = np.array([read[row].label for row in group])
        form = np.array([read[row].form for row in group])
        confidence = np.array([read[row].confidence for row in group])
        beyond = group_advantages((label + form)[None], divide_by_std=divide_by_std).values_P_G[0]
        alike = np.unique(label.round(SAME), return_inverse=True)[1].reshape(1, -1)
        behind = label_advantages((confidence + form)[None], alike)[0]
        for row, of_label, of_confidence in zip(group, beyond, behind, strict=True):
            advantages[row, : read[row].label_end] = of_label
            advantages[row, read[row].label_end :] = of_confidence
    return torch.from_numpy(advantages * mask).to(rewards_B_T.device, torch.float32)


@dataclass(frozen=True, slots=True)
class _Earned:
    """What the parts of one answer earned, and where its label's tokens end; NaN: it states no confidence."""

    label_end: int
    label: float
    form: float
    confidence: float

    @classmethod
    def of(cls, rewards: NDArray[np.float32], mask: NDArray[np.float32], row: int) -> _Earned:
        places = np.flatnonzero(rewards).tolist()
        values = [float(rewards[place]) for place in places]
        match values:
            case _ if not mask.any():  # fills a batch up
                return cls(len(rewards), 0.0, 0.0, np.nan)
            case [whole] if mask.sum() == 1:  # there is no second token for a mark
                return cls(len(rewards), whole, 0.0, np.nan)
            case [mark, whole] if 0 > mark >= 2 * WHOLE:
                return cls(len(rewards), whole, 0.0, np.nan)
            case [] | [_]:
                raise DataError(
                    f"answer {row} has its reward at one token, so there is nothing to split; candor's loop of answers "
                    "(verl) or its trainer and environment (SkyRL) place it"
                )
            case [label, confidence]:
                return cls(places[0] + 1, label, 0.0, confidence)
            case [form, label, confidence]:
                return cls(places[1] + 1, label, form, confidence)
            case _:
                raise DataError(
                    f"answer {row} earns at {len(places)} tokens, where split credit knows three; a divergence from "
                    "the reference model belongs into the loss, not into the rewards"
                )
