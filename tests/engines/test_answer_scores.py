"""Answers' log-probabilities from their tokens', with the ends of a few standing for all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy import TEMPLATE, toy_tokenizer

from candor.engines.answer_scores import (
    C,
    K,
    answer_logprobs,
    draw_ended,
    grammar_logprobs,
    greedy_answer,
    open_answers,
    scored_answers,
    spread_ended,
)
from candor.prompts.grammar import AnswerGrammar, answer_grammar


def test_so_many_ends_are_drawn_behind_each_label_anew_each_time() -> None:
    rng = np.random.default_rng(0)
    one, two = draw_ended(4, rng), draw_ended(4, rng)
    assert one.shape == (K, C)
    assert one.sum(axis=1).tolist() == [4] * K
    assert (one != two).any()
    assert (one == draw_ended(4, np.random.default_rng(0))).all()
    assert draw_ended("all", rng).all()


@pytest.mark.parametrize("ends", [1, 4, 50, 101])
def test_ends_that_are_not_drawn_lie_apart(ends: int) -> None:
    ended = spread_ended(ends)
    assert ended.sum(axis=1).tolist() == [ends] * K
    gaps = np.diff(np.flatnonzero(ended[0]), prepend=-1, append=C)
    assert gaps.max() <= np.ceil(C / ends)
    assert (ended == ended[0]).all()


def test_answers_that_are_not_ended_lose_their_end() -> None:
    ended = np.array([[True, False], [False, True]])
    # The second is closed by a word of the template and the end token, the others by the end token alone.
    grammar = AnswerGrammar(((1, 9), (2, 3, 8, 9), (4, 9), (5, 9)), (0,) * 4, (1,) * 4, (1, 2, 1, 1))
    assert open_answers(grammar, ended) == [(1, 9), (2, 3), (4,), (5, 9)]
    with pytest.raises(ValueError, match="zip"):
        open_answers(grammar, ended[:1])


SCORES = torch.tensor([[-1.0, -2.0, -0.5], [-1.0, -3.0, 0.0], [-4.0, -0.25, 0.0]])
"""Three answers: two tokens and an end; two tokens whose end is not scored; one token and an end."""


def test_tokens_are_summed_and_a_missing_end_is_the_mean_of_those_scored() -> None:
    begin, last = torch.zeros(3, dtype=torch.long), torch.tensor([2, 2, 1])
    ended = torch.tensor([True, False, True])
    mean_end = (-0.5 - 0.25) / 2
    assert answer_logprobs(SCORES, begin, last, ended).tolist() == pytest.approx([-3.5, -4.0 + mean_end, -4.25])
    assert answer_logprobs(SCORES, begin, last, torch.tensor([True] * 3)).tolist() == pytest.approx([-3.5, -4.0, -4.25])


def test_what_stands_before_the_beginning_does_not_count() -> None:
    begin, last = torch.tensor([1, 1, 1]), torch.tensor([2, 2, 1])
    found = answer_logprobs(SCORES, begin, last, torch.tensor([True] * 3))
    assert found.tolist() == pytest.approx([-2.5, -3.0, -0.25])


def test_gradients_reach_every_scored_end_that_stands_for_others() -> None:
    scores = SCORES.clone().requires_grad_()
    begin, last = torch.zeros(3, dtype=torch.long), torch.tensor([2, 2, 1])
    answer_logprobs(scores, begin, last, torch.tensor([True, False, True]))[1].backward()
    assert scores.grad is not None
    # All that stands behind the closing ends the answer; of the third, the last place is masked further up.
    assert scores.grad.tolist() == [[0, 0, 0.5], [1, 1, 0], [0, 0.5, 0.5]]


def test_leading_dimensions_are_batches() -> None:
    both = torch.stack([SCORES, 2 * SCORES])
    begin, last = torch.zeros(3, dtype=torch.long), torch.tensor([2, 2, 1])
    ended = torch.tensor([True, False, True])
    found = answer_logprobs(both, begin, last, ended)
    torch.testing.assert_close(found[0], answer_logprobs(SCORES, begin, last, ended))
    torch.testing.assert_close(found[1], 2 * found[0])


@pytest.mark.parametrize("ends", ["all", 4])
def test_every_token_that_ends_an_answer_counts(ends: int | str) -> None:
    """An answer's probability is the sum over its ends; scores of a made-up model, whatever stands in front."""
    grammar = answer_grammar(TEMPLATE, toy_tokenizer(), (5, 7))
    assert grammar.other_ends == (5, 7)
    ended = draw_ended(ends, np.random.default_rng(1))
    rows = scored_answers(grammar, ended)
    assert rows[: K * C] == open_answers(grammar, ended)
    assert len(set(rows)) == len(rows) == K * C + 2 * ended.sum()
    prefixes = [[()], [(3, 4)]]
    continuations = [[prefix + row for prefix in group for row in rows] for group in prefixes]

    def score(tokens: tuple[int, ...], at: int) -> float:
        return -0.1 - (sum(tokens[: at + 1]) * 7919 % 101) / 50

    length = max(len(tokens) for group in continuations for tokens in group)
    scores = torch.zeros(2, len(rows), length, dtype=torch.float64)
    for p, group in enumerate(continuations):
        for a, tokens in enumerate(group):
            scores[p, a, : len(tokens)] = torch.tensor(
                [score(tokens, at) for at in range(len(tokens))], dtype=scores.dtype
            )
    scores.requires_grad_()
    found = grammar_logprobs(scores, grammar, np.array([[0], [2]]), ended)[:, 0]
    for p, (prefix,) in enumerate(prefixes):
        for a in np.flatnonzero(ended):
            answer = grammar.answers[a]
            body = sum(score(prefix + answer, at) for at in range(len(prefix), len(prefix + answer) - 1))
            every = [(*prefix, *answer[:-1], end) for end in (answer[-1], 5, 7)]
            expected = body + np.log(sum(np.exp(score(tokens, len(tokens) - 1)) for tokens in every))
            assert found[p].flatten()[a].item() == pytest.approx(expected, abs=1e-9)
    found.sum().backward()
    assert (scores.grad[:, K * C :] != 0).any(-1).all()  # every other end learns, too


def test_greedy_follows_the_likeliest_token_not_the_likeliest_answer() -> None:
    # The likeliest answer is 2 (0.4), but greedily the first token is 1 (0.6), then 4.
    tokens = np.array([[1, 3, 9], [1, 4, 9], [2, 5, 9]])
    scores = np.log([[0.6, 0.45, 1.0], [0.6, 0.55, 1.0], [0.4, 1.0, 1.0]])
    assert greedy_answer(tokens, scores) == 1
