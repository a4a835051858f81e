"""Log-probabilities of continuations that begin alike, from what a service says about other tokens in their place.

A service that is asked for the likeliest tokens at each place of a prompt says by one sequence what all continuations
that leave it there have as their next token. So 33 sequences tell what 303 answers have, where digits are tokens of
their own. What is not among the likeliest is read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.engines.base import Tokens
from candor.errors import EngineError

SAME: Final = 0.05
"""Difference up to which a token's log-probability and that among the likeliest are the same; services round."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a service says about one continuation.

    Attributes:
        logprobs: of its tokens.
        likeliest: for each of its tokens, log-probabilities of the likeliest ones in its place.
    """

    logprobs: NDArray[np.float64]
    likeliest: Sequence[Mapping[int, float]]


def to_read(continuations: Sequence[Tokens]) -> list[Tokens]:
    """The fewest continuations that run through every beginning that others have as well, and one token on.

    >>> to_read([(1, 2, 5), (1, 2, 6), (1, 3, 5), (4, 5)])
    [(1, 2, 5), (1, 3, 5), (4, 5)]
    """
    begun = {tokens[:end] for tokens in continuations for end in range(len(tokens))}
    forked = {node[:-1] for node in begun if node}
    found: dict[Tokens, Tokens] = {}
    for tokens in continuations:
        if tokens[:-1] not in forked:
            found.setdefault(tokens[:-1], tokens)
    return list(found.values())


def read_of(
    logprobs: NDArray[np.float64], likeliest: Sequence[Sequence[tuple[int, float]] | None] | None, tokens: Tokens
) -> Read:
    """What a service said of a continuation at the end of a prompt.

    Args:
        logprobs: of its tokens.
        likeliest: for each token of the whole prompt, the likeliest in its place with their log-probabilities.
        tokens: the continuation's.

    Raises:
        EngineError: there is nothing about other tokens, or it does not fit the log-probabilities, so that it is not
            known in which place they stand.
    """
    if likeliest is None:
        raise EngineError(NOT_TOLD)
    places = [dict(place or ()) for place in likeliest[-len(tokens) :]]
    for token, logprob, others in zip(tokens, logprobs, places, strict=True):
        if abs(others.get(token, logprob) - logprob) > SAME:
            raise EngineError(
                "engine.top_logprobs: the service's likeliest tokens do not fit its log-probabilities of these places; "
                "set 0, and all answers are read"
            )
    return Read(logprobs, places)


def told_by_few(
    pairs: Sequence[tuple[Tokens, Tokens]], ask: Callable[[Sequence[tuple[Tokens, Tokens]]], Sequence[Read]]
) -> dict[tuple[Tokens, Tokens], NDArray[np.float64]]:
    """Log-probabilities of prompts' continuations; those of which a token is missing are left out.

    Args:
        pairs: prompts and continuations.
        ask: the service; where every continuation would have to be read, it is not asked.
    """
    groups: dict[Tokens, list[Tokens]] = {}
    for prompt, tokens in pairs:
        groups.setdefault(prompt, []).append(tokens)
    few = [(prompt, tokens) for prompt, group in groups.items() for tokens in to_read(group)]
    if len(few) == len(pairs):
        return {}
    reads: dict[Tokens, dict[Tokens, Read]] = {prompt: {} for prompt in groups}
    for (prompt, tokens), read in zip(few, ask(few), strict=True):
        reads[prompt][tokens] = read
    return {
        (prompt, tokens): values
        for prompt, group in groups.items()
        for tokens, values in told(group, reads[prompt]).items()
    }


def told(continuations: Sequence[Tokens], reads: Mapping[Tokens, Read]) -> dict[Tokens, NDArray[np.float64]]:
    """What is known of continuations from the few that were read; those of which a token is missing are left out."""
    known: dict[Tokens, float] = {}
    for tokens, read in reads.items():
        for place, others in enumerate(read.likeliest):
            for token, logprob in others.items():
                known.setdefault((*tokens[:place], token), logprob)
    for tokens, read in reads.items():
        for place, logprob in enumerate(read.logprobs.tolist()):
            known[tokens[: place + 1]] = logprob
    found = {}
    for tokens in continuations:
        values = [known.get(tokens[:end]) for end in range(1, len(tokens) + 1)]
        if None not in values:
            found[tokens] = np.array(values, dtype=np.float64)
    return found


NOT_TOLD: Final = (
    "engine.top_logprobs: the service does not tell the likeliest tokens of a prompt's places; set 0, and all answers "
    "are read"
)
