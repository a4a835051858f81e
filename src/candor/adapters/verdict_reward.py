"""The reward of one answer by its text alone, for trainers that hand over one text at a time.

Such a trainer knows the text, the gold label and the evidence, and neither p(label) nor its own step: terms that need
p(label) are left out, and a reward that is warmed up over steps has to say that it is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from candor.errors import DataError, RecipeError
from candor.prompts import templates
from candor.prompts.answers import Answer, parse
from candor.recipe.reward import PRESETS, TERMS, RewardConfig
from candor.training.rewards import Rewards, score
from candor.types import LABELS, NO_LABEL, Validity

NEED_PROBE: Final = frozenset({"shaping", "alignment", "consistency"})
"""Terms that look at p(label)."""

UNKNOWN_PROBS: Final = np.full(len(LABELS), 1 / len(LABELS))
"""What stands for p(label) where no term looks at it."""


def reward_config(preset: str | RewardConfig, **changes: Any) -> RewardConfig:
    """The reward of a preset, with values of it changed.

    Raises:
        RecipeError: there is no such preset or value, a value is out of range, or the reward has terms of one's own,
            which a trainer is given beside it.
    """
    if isinstance(preset, str) and preset not in PRESETS:
        raise RecipeError(f"no reward preset {preset!r}; there are: {', '.join(PRESETS)}")
    if unknown := ", ".join(sorted(changes.keys() - RewardConfig.model_fields.keys())):
        raise RecipeError(f"no such part of a reward: {unknown}; there are: {', '.join(RewardConfig.model_fields)}")
    given = {"preset": preset} if isinstance(preset, str) else preset.model_dump()
    try:
        made = RewardConfig.model_validate(given | changes)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"reward: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if made.own:
        raise RecipeError(
            f"reward: own: {made.own[0].name} is not taken here; give the trainer that function as a reward of its own"
        )
    return made


def sentences(value: Any) -> list[str]:
    """The evidence of a row: a list, tuple or array of texts.

    Raises:
        DataError: it is something else; one text alone would be taken letter by letter.
    """
    found = None if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    if found is None or not all(isinstance(one, str) for one in found):
        raise DataError(f"evidence must be a list of sentences, not {value!r:.80}")
    return [str(one) for one in found]


def asked_of(row: Mapping[str, Any], reward: str) -> tuple[str, list[str]]:
    """The gold label and the evidence of a trainer's row.

    Args:
        row: as :func:`candor.adapters.verl.rows` or :func:`candor.adapters.skyrl.rows` make it.
        reward: the column that holds ``ground_truth``: ``reward_model`` or ``reward_spec``.

    Raises:
        DataError: the row lacks one of them.
    """
    try:
        return str(row[reward]["ground_truth"]), sentences(row["extra_info"]["evidence"])
    except (KeyError, TypeError) as error:
        raise DataError(f"the row has no {error}; rows() of candor's adapter makes rows that have all") from None


class VerdictReward:
    """Scores answers to claims, one by one."""

    def __init__(self, preset: str | RewardConfig = "candor", *, template: str = "verdict", **changes: Any) -> None:
        """Choose the reward.

        Args:
            preset: ``paper``, ``rlcr``, ``candor``, or a configuration of one's own.
            template: the prompt template, which gives the form of the answer.
            changes: values of the preset that are to be others, e.g. ``warmup_steps=0``.

        Raises:
            RecipeError: there is no such preset or value, or the reward is warmed up.
            PromptError: there is no such template.
        """
        config = reward_config(preset, **changes)
        if config.warmup_steps:
            raise RecipeError(
                f"the warm-up over {config.warmup_steps} steps needs the trainer's step, which is not told here; "
                "set warmup_steps to 0"
            )
        self._config = config.model_copy(update=dict.fromkeys(NEED_PROBE, 0.0))
        self._template = templates.get(template)
        self._terms = [term for term in TERMS if term == "accuracy" or getattr(self._config, term) > 0]

    def score(self, text: str, gold: str, evidence: Sequence[str], *, ended: bool = True) -> dict[str, float]:
        """Score an answer.

        Args:
            text: the answer.
            gold: the gold label: PASS, FAIL or NA.
            evidence: the sentences that the prompt shows.
            ended: whether the answer came to its own end.

        Returns:
            ``score``, the whole reward; ``acc``, whether the label is right; ``in_form``, whether the answer is exactly
            in the asked form; and each term under its name. All are numbers, for every answer the same.

        Raises:
            DataError: the gold label is none.
        """
        answer = parse(text, self._template)
        clean = answer.validity is Validity.CLEAN and ended
        rewards = self._rewards(answer, clean, gold, evidence)
        terms = {name: float(rewards.terms[name][0]) for name in self._terms}
        right = answer.label is not None and answer.label.value == gold
        return {"score": sum(terms.values()), "acc": float(right), "in_form": float(clean), **terms}

    def parts(self, text: str, gold: str, evidence: Sequence[str], *, ended: bool = True) -> dict[str, float]:
        """What label, confidence and form earn each, as ``label``, ``confidence`` and ``form``; arguments as of score.

        Raises:
            DataError: the gold label is none.
        """
        answer = parse(text, self._template)
        rewards = self._rewards(answer, answer.validity is Validity.CLEAN and ended, gold, evidence)
        parts = {
            "label": rewards.label_part,
            "confidence": rewards.confidence_part,
            "form": rewards.terms["format"],
        }
        return {name: float(values[0]) for name, values in parts.items()}

    def _rewards(self, answer: Answer, clean: bool, gold: str, evidence: Sequence[str]) -> Rewards:
        names = [label.value for label in LABELS]
        if gold not in names:
            raise DataError(f"gold label {gold!r}; it must be one of {', '.join(names)}")
        return score(
            self._config,
            label=np.array([NO_LABEL if answer.label is None else LABELS.index(answer.label)]),
            confidence=np.array([np.nan if answer.confidence is None else answer.confidence]),
            clean=np.array([clean]),
            gold=np.array([names.index(gold)]),
            has_evidence=np.array([len(evidence) > 0]),
            probs=UNKNOWN_PROBS[None],
            step=0,
        )


def reward_of(preset: str, template: str, changes: Mapping[str, Any]) -> VerdictReward:
    """The same reward for the same words: trainers ask for it with every answer.

    Args:
        preset: of the reward.
        template: the prompt template.
        changes: values of the preset that are to be others.

    Raises:
        RecipeError: there is no such preset or value, or the reward is warmed up.
        PromptError: there is no such template.
    """
    return _reward_of(preset, template, json.dumps(changes, sort_keys=True))


@cache
def _reward_of(preset: str, template: str, changes: str) -> VerdictReward:
    return VerdictReward(preset, template=template, **json.loads(changes))
