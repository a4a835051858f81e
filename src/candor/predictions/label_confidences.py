"""What a model states behind each label, whichever it chooses: one that is easily led states much behind several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from candor.engines.answer_scores import C, K, greedy_answer
from candor.engines.base import Engine, Tokens
from candor.engines.ragged import padded
from candor.errors import PromptError
from candor.prompts.answers import CONFIDENCES
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.prompts.templates import Template

_PADDING = -1
"""No token."""


def grammar_behind_prompt(template: Template, engine: Engine) -> AnswerGrammar:
    """The answers that are given right behind the prompt.

    Raises:
        PromptError: the template asks for reasoning first, so that nothing is stated right behind the prompt.
    """
    if template.reasons:
        raise PromptError(
            f"the template {template.name!r} asks for reasoning before the label; what is stated behind each label can "
            "be asked of others alone, e.g. verdict"
        )
    return answer_grammar(template, engine.tokenizer, engine.stop_token_ids)


def label_confidences(
    engine: Engine, grammar: AnswerGrammar, prompts: Sequence[Tokens]
) -> list[tuple[float, float, float]]:
    """Decode the confidence behind each label greedily, keeping to the form.

    Args:
        engine: the model.
        grammar: the answers that stand right behind a prompt.
        prompts: P prompts.

    Returns:
        For each prompt what is stated behind PASS, FAIL and NA, each in [0, 1].
    """
    stated = [answer[:closing] for answer, closing in zip(grammar.answers, grammar.closing, strict=True)]
    tokens_K_C_T = padded([stated], fill=_PADDING)[0].reshape(K, C, -1)
    scores_P_A_T = padded(engine.logprobs(prompts, [stated] * len(prompts)))
    found = np.zeros((len(prompts), K))
    for p, scores_A_T in enumerate(scores_P_A_T):
        scores_K_C_T = scores_A_T.reshape(K, C, -1)
        found[p] = [CONFIDENCES[greedy_answer(tokens_K_C_T[k], scores_K_C_T[k])] for k in range(K)]
    return [(row[0], row[1], row[2]) for row in found.tolist()]
