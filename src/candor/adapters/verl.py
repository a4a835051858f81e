"""The reward for verl: a custom reward function, and the rows of its datasets.

    reward.custom_reward_function.path=pkg://candor.adapters.verl
    +reward.custom_reward_function.reward_kwargs.preset=candor

A reward function is one number for an answer, so label and confidence share one advantage;
:mod:`candor.adapters.verl_trainer` splits it. Nothing here imports verl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from candor.adapters.verdict_reward import reward_of, sentences
from candor.errors import DataError
from candor.prompts import templates
from candor.prompts.control import disarm
from candor.types import Example


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    preset: str = "candor",
    template: str = "verdict",
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
    **changes: Any,
) -> dict[str, float]:
    """Score one answer, as verl's reward managers ask for it.

    Args:
        data_source: not looked at.
        solution_str: the answer, decoded without special tokens.
        ground_truth: the gold label: PASS, FAIL or NA.
        extra_info: holds ``evidence``, the sentences that the prompt shows, as :func:`rows` puts it there.
        preset: of the reward, from verl's ``reward_kwargs`` as all that follows.
        template: the prompt template.
        reward_router_address: not looked at.
        reward_model_tokenizer: not looked at.
        changes: values of the preset that are to be others, e.g. ``warmup_steps=0``.

    Returns:
        ``score``, which verl trains on, and ``acc``, ``in_form`` and every term, which it logs.

    Raises:
        DataError: the gold label is none, or ``extra_info`` has no evidence.
        RecipeError: there is no such preset or value, or the reward is warmed up.
        PromptError: there is no such template.
    """
    if extra_info is None or extra_info.get("evidence") is None:
        raise DataError("extra_info holds no 'evidence'; candor.adapters.verl.rows makes rows that do")
    evidence = sentences(extra_info["evidence"])
    return reward_of(preset, template, changes).score(solution_str, ground_truth, evidence)


def rows(examples: Iterable[Example], tokenizer: Any, *, template: str = "verdict") -> list[dict[str, Any]]:
    """Examples as rows of a verl dataset; ``pandas.DataFrame(rows(...)).to_parquet("train.parquet")`` writes one.

    Args:
        examples: claims with gold label and evidence.
        tokenizer: of the model that is trained; words in claims and evidence that it would take for special tokens are
            written so that it does not.
        template: the prompt template.

    Raises:
        PromptError: there is no such template.
    """
    asked = templates.get(template)
    return [
        {
            "data_source": example.dataset,
            "prompt": [{"role": "user", "content": asked.render(disarm(example, tokenizer))}],
            "ability": "verdict",
            "reward_model": {"style": "rule", "ground_truth": example.label.value},
            "extra_info": {"id": example.id, "group": example.group, "evidence": list(example.evidence)},
        }
        for example in examples
    ]
