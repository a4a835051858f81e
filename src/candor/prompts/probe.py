"""The label probe: where in a completion its label stands, and from its log-probabilities to p(label)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candor.prompts.answers import LABEL_ANCHOR
from candor.prompts.encoding import common_prefix_length, decode, encode_continuation, tokens_within
from candor.types import LABELS


@dataclass(frozen=True, slots=True)
class Probe:
    """Strings whose probability is read at one place of a completion.

    Attributes:
        anchor: text after which the probed strings stand, e.g. ``LABEL=``.
        choices: the strings, e.g. ``("PASS", "FAIL", "NA")``.
    """

    anchor: str
    choices: tuple[str, ...]


LABEL_PROBE: Final = Probe(LABEL_ANCHOR, tuple(label.value for label in LABELS))
"""Reads p(PASS), p(FAIL) and p(NA) where a completion emits its label."""


def label_probs(probe_logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the probed labels, last axis."""
    shifted = np.exp(probe_logprobs - probe_logprobs.max(-1, keepdims=True))
    normalised: NDArray[np.float64] = shifted / shifted.sum(-1, keepdims=True)
    return normalised


@dataclass(frozen=True, slots=True)
class ProbeSite:
    """Where the label probe of a completion is read.

    Attributes:
        choices: continuations of the prompt, one for each probed string: the completion's own tokens before its
            label, then the label.
        start: index of the first token in which the choices differ; its predecessors are no part of the probe.
    """

    choices: tuple[tuple[int, ...], ...]
    start: int


def probe_site(tokenizer: Any, tokens: Sequence[int], anchor: str, choices: Sequence[str]) -> ProbeSite:
    """Find where a completion emits its label: behind the last ``anchor`` of its text.

    Args:
        tokenizer: made the tokens.
        tokens: the completion; one without the anchor is probed as if it consisted of the anchor alone.
        anchor: text before the label.
        choices: the probed strings.
    """
    position = decode(tokenizer, tokens).rfind(anchor)
    kept, lead = split_before(tokenizer, tokens if position >= 0 else (), max(position, 0))
    sites = tuple((*kept, *encode_continuation(tokenizer, lead + anchor + choice)) for choice in choices)
    return ProbeSite(sites, common_prefix_length(sites))


def split_before(tokenizer: Any, tokens: Sequence[int], characters: int) -> tuple[tuple[int, ...], str]:
    """What stands before a place in a completion's text: whole tokens, special ones too, and the text behind them.

    Args:
        tokenizer: made the tokens.
        tokens: the completion.
        characters: the place. The text is not empty where a token straddles it, as many do that begin with a space.
    """
    kept = tuple(tokens[: tokens_within(tokenizer, tokens, characters)])
    return kept, decode(tokenizer, tokens)[len(decode(tokenizer, kept)) : characters]
