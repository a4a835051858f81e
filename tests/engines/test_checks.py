"""What every engine refuses, with the values that are wrong."""

from __future__ import annotations

import pytest

from candor.engines.base import Sampling, Tokens
from candor.engines.checks import check_continuations, check_prompts, check_sampling
from candor.errors import EngineError


def test_the_least_that_can_be_sampled() -> None:
    check_sampling(Sampling(temperature=0.0, max_new_tokens=1), 1)


@pytest.mark.parametrize(
    ("sampling", "group_size", "words"),
    [
        (Sampling(1.0, 0), 4, "4 completions of 0 tokens at temperature 1.0"),
        (Sampling(1.0, 5), 0, "0 completions of 5 tokens"),
        (Sampling(-0.5, 5), 4, "at temperature -0.5"),
    ],
)
def test_sampling_nothing_is_refused(sampling: Sampling, group_size: int, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_sampling(sampling, group_size)


def test_prompts_may_fill_the_model_to_the_last_token() -> None:
    check_prompts([(1, 2), (3,)], 3, max_length=5)
    with pytest.raises(
        EngineError, match=r"prompt 1 has 3 tokens and 3 more may follow, but the model takes 5; shorten"
    ):
        check_prompts([(1, 2), (1, 2, 3)], 3, max_length=5)


@pytest.mark.parametrize(
    ("prompts", "words"), [([], "no prompts were given"), ([(1,), (), ()], "prompt 1 has no tokens")]
)
def test_empty_prompts_are_refused(prompts: list[Tokens], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_prompts(prompts, 1, max_length=5)


@pytest.mark.parametrize(
    ("continuations", "words"),
    [
        ([[(1,)]], "2 prompts but continuations for 1"),
        ([[(1,)], []], "prompt 1 has no continuation, or an empty one"),
        ([[(1,), ()], [(1,)]], "prompt 0 has no continuation, or an empty one"),
    ],
)
def test_prompts_without_continuations_are_refused(continuations: list[list[Tokens]], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_continuations([(1,), (2,)], continuations)
    check_continuations([(1,), (2,)], [[(1,)], [(1,), (2, 3)]])
