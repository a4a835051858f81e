"""Branches of a decode by hand: which token a number picks, who is merged, who has ended."""

from __future__ import annotations

import math

import pytest
import torch

from candor.engines.tree.decode import Branches

STOP = 0


def uniforms(*rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def logits(*rows: list[float]) -> torch.Tensor:
    """Logits of these probabilities, a row for each branch."""
    return torch.tensor(rows).log()


HALVES = [0.0, 0.5, 0.25, 0.25]


def test_a_number_takes_the_first_token_whose_cumulative_probability_passes_it() -> None:
    branches = Branches(1.0, frozenset({STOP}), uniforms([[0.0], [0.49], [0.5], [0.74], [0.75], [0.9999]]))
    assert not branches.advance(logits(HALVES))
    (group,) = branches.completions()
    assert [sampled.tokens for sampled in group] == [(1,), (1,), (2,), (2,), (3,), (3,)]
    assert [sampled.logprobs[0] for sampled in group] == pytest.approx([math.log(p) for p in (0.5, 0.5, *[0.25] * 4)])
    assert not any(sampled.stopped for sampled in group)


def test_rounding_never_draws_what_cannot_be_drawn() -> None:
    branches = Branches(1.0, frozenset(), uniforms([[math.nextafter(1.0, 0.0)]]))
    branches.advance(logits([0.3, 0.7, 0.0, 0.0]))
    assert branches.completions()[0][0].tokens == (1,)


def test_completions_that_agree_are_one_branch_and_part_where_they_differ() -> None:
    first, second = [[0.1, 0.1], [0.2, 0.8], [0.6, 0.1]], [[0.9, 0.1], [0.9, 0.2], [0.95, 0.9]]
    branches = Branches(1.0, frozenset({STOP}), uniforms(first, second))
    assert branches.advance(logits(HALVES, HALVES))
    # Of the first prompt two agree on token 1 and one takes 2; all three of the second agree on token 3.
    assert branches.tokens.tolist() == [1, 2, 3]
    assert branches.parents.tolist() == [0, 0, 1]
    assert branches.counts_P.tolist() == [2, 1]
    assert branches.step == 1
    assert not branches.advance(logits(HALVES, HALVES, [0.15, 0.85, 0.0, 0.0]))
    assert [[sampled.tokens for sampled in group] for group in branches.completions()] == [
        [(1, 1), (1, 3), (2, 1)],
        [(3, 0), (3, 1), (3, 1)],
    ]


def test_who_has_ended_takes_no_part_any_more() -> None:
    branches = Branches(1.0, frozenset({STOP}), uniforms([[0.1, 0.9], [0.9, 0.9]], [[0.1, 0.9], [0.2, 0.9]]))
    assert branches.advance(logits([0.5, 0.5], [0.5, 0.5]))
    # The whole second prompt has ended.
    assert branches.tokens.tolist() == [1]
    assert branches.counts_P.tolist() == [1, 0]
    assert not branches.advance(logits([0.5, 0.5]))
    ended = [[(sampled.tokens, sampled.stopped) for sampled in group] for group in branches.completions()]
    assert ended == [[((0,), True), ((1, 1), False)], [((0,), True), ((0,), True)]]


def test_when_all_have_ended_no_pass_is_asked_for() -> None:
    branches = Branches(1.0, frozenset({STOP}), uniforms([[0.1, 0.1]], [[0.1, 0.1]]))
    assert not branches.advance(logits([1.0, 0.0], [1.0, 0.0]))


def test_a_temperature_sharpens_what_is_drawn_and_both_logprobs_are_told() -> None:
    branches = Branches(0.5, frozenset(), uniforms([[0.75]]))
    branches.advance(logits([2 / 3, 1 / 3]))
    (sampled,) = branches.completions()[0]
    # Squared and normalised: 4/5 and 1/5.
    assert sampled.tokens == (0,)
    assert sampled.logprobs[0] == pytest.approx(math.log(4 / 5), abs=1e-6)
    assert sampled.raw_logprobs[0] == pytest.approx(math.log(2 / 3), abs=1e-6)


def test_greedy_looks_at_no_number_and_counts_as_temperature_one() -> None:
    branches = Branches(0.0, frozenset(), uniforms([[0.999], [0.0]]))
    branches.advance(logits([0.2, 0.5, 0.3]))
    for sampled in branches.completions()[0]:
        assert sampled.tokens == (1,)
        assert sampled.logprobs == sampled.raw_logprobs
        assert sampled.logprobs[0] == pytest.approx(math.log(0.5), abs=1e-6)
