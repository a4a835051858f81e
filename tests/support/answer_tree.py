"""A policy over the answers' tree, given by a logit for every branch, for tests of objectives."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch

from candor.engines.answer_scores import C, K
from candor.engines.base import TokenScores
from candor.prompts.grammar import AnswerGrammar

INVALID_LOGIT = -1.0
"""Every place of the tree has one more branch than the grammar knows, with this logit."""

FIXED_REWARD = {"preset": "paper", "alignment": 0.0, "shaping": 0.0, "consistency": 0.0}
"""Terms that do not look at p(label), so that they stay as they are when the policy moves."""


class Tree:
    """A policy with a logit for every branch of the answers' tree and one for leaving it."""

    def __init__(self, grammar: AnswerGrammar) -> None:
        nodes: dict[tuple[int, ...], dict[int, int]] = {}
        self.count = 0
        self._way_out = INVALID_LOGIT
        for answer in grammar.answers:
            for end, token in enumerate(answer):
                branches = nodes.setdefault(answer[:end], {})
                if token not in branches:
                    branches[token] = self.count
                    self.count += 1
        parents = {index: list(branches.values()) for branches in nodes.values() for index in branches.values()}
        self.siblings = torch.zeros(self.count, max(map(len, parents.values())), dtype=torch.long)
        self.known = torch.zeros_like(self.siblings, dtype=torch.bool)
        for index, family in parents.items():
            self.siblings[index, : len(family)] = torch.tensor(family)
            self.known[index, : len(family)] = True
        length = max(map(len, grammar.answers))
        self.path = torch.zeros(K * C, length, dtype=torch.long)
        self.mask = torch.zeros(K * C, length, dtype=torch.bool)
        for row, answer in enumerate(grammar.answers):
            for end, token in enumerate(answer):
                self.path[row, end] = nodes[answer[:end]][token]
                self.mask[row, end] = True

    @contextlib.contextmanager
    def without_a_way_out(self) -> Iterator[None]:
        """Give the answers all of the probability meanwhile."""
        self._way_out = -math.inf
        try:
            yield
        finally:
            self._way_out = INVALID_LOGIT

    def scores(self, logits_P_N: torch.Tensor, temperature: float = 1.0) -> TokenScores:
        """Scores of all answers behind P prompts whose places have these logits."""

        def logprobs(scaled: torch.Tensor) -> torch.Tensor:
            families = scaled[:, self.siblings].masked_fill(~self.known, -math.inf)
            leaving = torch.full_like(families[..., :1], self._way_out)
            total = torch.cat([families, leaving], -1).logsumexp(-1)
            return ((scaled - total)[:, self.path]) * self.mask

        raw = logprobs(logits_P_N)
        return TokenScores(
            raw if temperature == 1.0 else logprobs(logits_P_N / temperature),
            raw,
            self.mask.expand(len(logits_P_N), -1, -1),
        )
