"""All 101 confidences behind the beginning of an answer, in one forward pass of a plain transformers model.

The confidences 0.00 to 1.00 share most of their tokens, so they form a small tree. Its tokens are put behind the
beginning in one row, each at the position that it would have, and an attention mask lets each see the beginning and
its own ancestors alone. The log-probabilities are those of 101 separate rows; a first call checks that on some of them,
because a model whose attention takes no such mask would give others without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from candor.errors import ModelError
from candor.prompts.answers import CONFIDENCES
from candor.prompts.encoding import encode_continuation

CHECKED: Final = (0, 57, 100)
"""Confidences, in hundredths, whose log-probabilities are compared with those of separate rows."""

CLOSE: Final = {torch.float32: 1e-3, torch.float64: 1e-3}
CLOSE_ELSE: Final = 0.25
"""How far log-probabilities may lie from those of separate rows: in full precision, and in half."""


@dataclass(frozen=True, slots=True)
class ConfidenceTree:
    """The confidences as a tree of N tokens.

    Attributes:
        tokens_N: token of each node; parents stand before their children.
        parent_N: index of each node's parent, -1 for those that stand first.
        depth_N: tokens before each node within the tree.
        path_C: for each confidence its nodes, in order.
    """

    tokens_N: tuple[int, ...]
    parent_N: tuple[int, ...]
    depth_N: tuple[int, ...]
    path_C: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tokenizer: Any, lead: str = "") -> ConfidenceTree:
        """Tokenise ``0.00`` to ``1.00``.

        Args:
            tokenizer: of the model.
            lead: text in front of each, where a token of the beginning would straddle it.
        """
        places: dict[tuple[int, ...], int] = {}
        paths = []
        for confidence in CONFIDENCES:
            tokens = tuple(encode_continuation(tokenizer, f"{lead}{confidence:.2f}"))
            starts = [tokens[:end] for end in range(1, len(tokens) + 1)]
            paths.append(tuple(places.setdefault(start, len(places)) for start in starts))
        nodes = list(places)
        parents = tuple(places.get(node[:-1], -1) for node in nodes)
        return cls(tuple(node[-1] for node in nodes), parents, tuple(len(node) - 1 for node in nodes), tuple(paths))

    def sees(self) -> torch.Tensor:
        """Which nodes each node attends to, itself included: bool of shape ``[N, N]``."""
        seen = torch.eye(len(self.tokens_N), dtype=torch.bool)
        for node, parent in enumerate(self.parent_N):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def confidence_logprobs(
    model: Any, beginnings: Sequence[Sequence[int]], tree: ConfidenceTree, *, temperature: float = 1.0
) -> torch.Tensor:
    """Log-probability of every confidence behind each beginning, shape ``[B, C]``; differentiable.

    Args:
        model: a causal language model of transformers, wrapped or not.
        beginnings: B token sequences, none empty: a prompt and what has been answered up to the confidence.
        tree: the confidences.
        temperature: above 0.
    """
    count = len(tree.tokens_N)
    width = max(map(len, beginnings)) + count
    device = next(model.parameters()).device
    ids = torch.zeros((len(beginnings), width), dtype=torch.long)
    positions = torch.zeros_like(ids)
    seen = torch.eye(width, dtype=torch.bool).repeat(len(beginnings), 1, 1)  # padding sees itself: no row is empty
    nodes, depths = torch.tensor(tree.tokens_N), torch.tensor(tree.depth_N)
    for row, tokens in enumerate(beginnings):
        first, length = width - count - len(tokens), len(tokens)
        ids[row, first : first + length] = torch.tensor(list(tokens))
        ids[row, -count:] = nodes
        positions[row, first : first + length] = torch.arange(length)
        positions[row, -count:] = length + depths
        seen[row, first : first + length, first : first + length] = torch.ones(length, length).tril().bool()
        seen[row, -count:, first : first + length] = True
        seen[row, -count:, -count:] = tree.sees()
    logits = _logits(model, ids.to(device), positions.to(device), seen.to(device), count + 1)
    logprobs = (logits.float() / temperature).log_softmax(-1)
    # The node behind the beginning's last token is foretold there, every other at its parent.
    foretold_at = torch.tensor(tree.parent_N, device=device) + 1
    own = logprobs[:, foretold_at].gather(-1, nodes.to(device).expand(len(beginnings), -1)[..., None])[..., 0]
    return torch.stack([own[:, list(path)].sum(-1) for path in tree.path_C], dim=-1)


@torch.no_grad()
def check_tree(model: Any, beginning: Sequence[int], tree: ConfidenceTree) -> None:
    """Compare some log-probabilities with those of separate rows.

    Raises:
        ModelError: they differ, so the model's attention takes no mask of one's own.
    """
    was_training = model.training
    model.eval()  # what is dropped at random would differ from call to call
    try:
        got = confidence_logprobs(model, [beginning], tree)[0]
        worst = max(abs(_plain(model, beginning, tree, place) - float(got[place])) for place in CHECKED)
    finally:
        model.train(was_training)
    allowed = CLOSE.get(next(model.parameters()).dtype, CLOSE_ELSE)
    if not worst <= allowed:
        raise ModelError(
            f"the confidences' log-probabilities are {worst:.3g} off on this model ({allowed:g} is allowed): its "
            "attention takes no mask of one's own; load it with attn_implementation='sdpa' or 'eager', or take a model "
            "with full attention in all layers"
        )


def _plain(model: Any, beginning: Sequence[int], tree: ConfidenceTree, place: int) -> float:
    """Log-probability of one confidence, in a row of its own."""
    tail = [tree.tokens_N[node] for node in tree.path_C[place]]
    row = torch.tensor([[*beginning, *tail]], device=next(model.parameters()).device)
    logprobs = model(input_ids=row, use_cache=False).logits[0].float().log_softmax(-1)
    return sum(float(logprobs[len(beginning) - 1 + at, token]) for at, token in enumerate(tail))


def _logits(model: Any, ids: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor, kept: int) -> torch.Tensor:
    """Logits at the last ``kept`` places, ``[B, kept, V]``, with an additive mask of the weights' own precision."""
    dtype = next(model.parameters()).dtype
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    mask = mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]
    logits: torch.Tensor = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=kept
    ).logits
    return logits[:, -kept:]
