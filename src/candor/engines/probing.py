"""From sampled completions to rollouts: each is decoded, and probed where it emits its label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candor.engines.base import Tokens
from candor.engines.forward import Sampled
from candor.prompts.encoding import decode
from candor.prompts.probe import Probe, ProbeSite, probe_site
from candor.types import Rollout

Score: TypeAlias = Callable[[list[list[Tokens]]], Sequence[Sequence[NDArray[np.float64]]]]
"""From each prompt's continuations to their tokens' log-probabilities at temperature 1; rows may end with zeros."""


def probed(tokenizer: Any, groups: Sequence[Sequence[Sampled]], probe: Probe, score: Score) -> list[list[Rollout]]:
    """Decode every completion and read the probe at its own label.

    Args:
        tokenizer: made the tokens.
        groups: completions of each prompt.
        probe: what is read, and where.
        score: of the prompts that the groups belong to, under the weights that sampled them.
    """
    sites: dict[Tokens, ProbeSite] = {}
    for sampled in (s for group in groups for s in group):
        if sampled.tokens not in sites:
            sites[sampled.tokens] = probe_site(tokenizer, sampled.tokens, probe.anchor, probe.choices)
    # Completions of one group mostly emit their label at the same place: each place is scored once.
    choices_P = [list({c: None for s in group for c in sites[s.tokens].choices}) for group in groups]
    rollouts = []
    for group, choices, rows in zip(groups, choices_P, score(choices_P), strict=True):
        # Rows may be more than choices where they are padded to the longest group.
        row_of = dict(zip(choices, rows, strict=False))
        rollouts.append([_rollout(tokenizer, sampled, sites[sampled.tokens], row_of) for sampled in group])
    return rollouts


def _rollout(tokenizer: Any, sampled: Sampled, site: ProbeSite, row_of: dict[Tokens, NDArray[np.float64]]) -> Rollout:
    # A token that ends a turn is no part of the answer, and some tokenizers do not list it as special.
    answer = sampled.tokens[:-1] if sampled.stopped else sampled.tokens
    return Rollout(
        tokens=sampled.tokens,
        text=decode(tokenizer, answer),
        logprobs=sampled.logprobs,
        raw_logprobs=sampled.raw_logprobs,
        probe_logprobs=tuple(float(row_of[choice][site.start :].sum()) for choice in site.choices),
        stopped=sampled.stopped,
    )
