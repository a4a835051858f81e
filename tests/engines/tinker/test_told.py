"""A few sequences with the likeliest tokens in their places tell what all answers have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import special
from toy import TEMPLATE, byte_tokenizer

from candor.engines.answer_scores import scored_answers, spread_ended
from candor.engines.base import Tokens
from candor.engines.tinker.told import Read, read_of, to_read, told_by_few
from candor.errors import EngineError
from candor.prompts.grammar import answer_grammar

GRAMMAR = answer_grammar(TEMPLATE, byte_tokenizer())
ANSWERS = scored_answers(GRAMMAR, spread_ended(4))
VOCABULARY = 257


def logits(prompt: Tokens, before: Tokens) -> np.ndarray:
    """Those of a made-up model: any function of what stands before."""
    return np.random.default_rng([*prompt, 999, *before]).normal(size=VOCABULARY) * 2


def exactly(prompt: Tokens, tokens: Tokens) -> np.ndarray:
    return np.array([special.log_softmax(logits(prompt, tokens[:t]))[tokens[t]] for t in range(len(tokens))])


def service(pairs: Sequence[tuple[Tokens, Tokens]], likeliest: int) -> list[Read]:
    found = []
    for prompt, tokens in pairs:
        places: list[list[tuple[int, float]] | None] = [None] * len(prompt)
        for t in range(len(tokens)):
            values = special.log_softmax(logits(prompt, tokens[:t]))
            best = np.argsort(-values)[:likeliest]
            places.append([(int(token), float(values[token])) for token in best])
        found.append(read_of(exactly(prompt, tokens), places, tokens))
    return found


def test_33_sequences_tell_303_answers() -> None:
    pairs = [(prompt, answer) for prompt in ((1, 2), (3,)) for answer in ANSWERS]
    asked: list[tuple[Tokens, Tokens]] = []

    def ask(few: Sequence[tuple[Tokens, Tokens]]) -> list[Read]:
        asked.extend(few)
        return service(few, VOCABULARY)

    found = told_by_few(pairs, ask)
    assert len(asked) == 2 * 33
    assert found.keys() == set(pairs)
    for (prompt, answer), values in list(found.items())[::17]:
        assert values == pytest.approx(exactly(prompt, answer))


def test_what_is_not_among_the_likeliest_is_left_out() -> None:
    pairs = [((1,), answer) for answer in ANSWERS]
    found = told_by_few(pairs, lambda few: service(few, 20))
    assert 33 <= len(found) < len(pairs)
    assert {((1,), answer) for answer in to_read(ANSWERS)} <= found.keys()
    for (prompt, answer), values in found.items():
        assert values == pytest.approx(exactly(prompt, answer))


def test_where_all_would_be_read_nobody_is_asked() -> None:
    whole = [((1,), (2, 3)), ((4,), (2, 3)), ((4,), (5, 6))]
    assert told_by_few(whole, lambda few: pytest.fail("asked")) == {}


def test_a_service_that_tells_nothing_or_something_else_is_named() -> None:
    with pytest.raises(EngineError, match=r"engine\.top_logprobs.*does not tell"):
        read_of(np.array([-1.0]), None, (5,))
    shifted: list[list[tuple[int, float]] | None] = [None, [(6, -0.5)], [(5, -3.0)]]
    with pytest.raises(EngineError, match=r"engine\.top_logprobs.*do not fit"):
        read_of(np.array([-2.0, -1.0]), shifted, (6, 5))
