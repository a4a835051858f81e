"""What a model says of examples where an answer in the form would say it: of their labels, and in its hidden states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from candor.engines.base import Engine, ShowsHiddenStates, Tokens
from candor.errors import EngineError
from candor.prompts.answers import CONFIDENCES
from candor.prompts.encoding import common_prefix_length, encode
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.prompts.probe import label_probs
from candor.recipe.recipe import Recipe
from candor.types import LABELS, Example


def label_probabilities(recipe: Recipe, engine: Engine, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Probability of each label where an answer to each of N examples would emit it, shape N x 3."""
    grammar = _grammar(recipe, engine)
    firsts = [k * len(CONFIDENCES) for k in range(len(LABELS))]
    choices = [grammar.answers[first][: grammar.label_end[first]] for first in firsts]
    starts = [grammar.label_start[first] for first in firsts]
    prompts = _prompts(recipe, engine, examples, grammar)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    probs_N_K = np.empty((len(prompts), len(LABELS)))
    size = recipe.evaluation.batch_size
    for at in range(0, len(order), size):
        part = order[at : at + size]
        scored = engine.logprobs([prompts[index] for index in part], [choices] * len(part))
        for index, rows in zip(part, scored, strict=True):
            sums = np.array([row[start:].sum() for row, start in zip(rows, starts, strict=True)])
            probs_N_K[index] = label_probs(sums)
    return probs_N_K


def states_behind_labels(
    recipe: Recipe, engine: Engine, examples: Sequence[Example], label_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Hidden states from which a confidence would be stated, shape N x hidden size.

    Args:
        recipe: prompt and chat settings.
        engine: the model.
        examples: N claims with their evidence.
        label_N: index of the label that each is given before.

    Raises:
        EngineError: the engine shows none.
    """
    if not isinstance(engine, ShowsHiddenStates):
        raise EngineError(
            "this engine shows no hidden states, which taught_confidence: probe reads; set engine.kind: local"
        )
    grammar = _grammar(recipe, engine)
    heads = []
    for k in range(len(LABELS)):
        answers = grammar.answers[k * len(CONFIDENCES) : (k + 1) * len(CONFIDENCES)]
        heads.append(answers[0][: common_prefix_length(answers)])
    prompts = _prompts(recipe, engine, examples, grammar)
    return engine.hidden_states([(*prompt, *heads[k]) for prompt, k in zip(prompts, label_N, strict=True)])


def _grammar(recipe: Recipe, engine: Engine) -> AnswerGrammar:
    return answer_grammar(recipe.prompt.rendered(), engine.tokenizer, engine.stop_token_ids)


def _prompts(recipe: Recipe, engine: Engine, examples: Sequence[Example], grammar: AnswerGrammar) -> list[Tokens]:
    template = recipe.prompt.rendered()
    room = engine.max_length - recipe.answer_room(grammar)
    return [encode(template, example, engine.tokenizer, max_tokens=room).tokens for example in examples]
