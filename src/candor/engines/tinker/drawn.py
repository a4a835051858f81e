"""A gradient over all continuations of a prompt from a drawn few of them, right on average.

A service trains every sequence at its full length, and the 303 answers to a prompt share nearly all of theirs. So a few
are drawn, and what they carry is divided by the chance that it was drawn (Horvitz and Thompson 1952).

The gradient belongs to the nodes of the continuations' tree, one for each token behind each beginning: continuations
that begin alike share what stands there. Of it a multiple of the tokens' own probabilities is taken apart at every
fork: over all tokens such a sum has no gradient, so this part is next to nothing as a whole where answers keep to the
form, and all noise where it is drawn token by token. What is left is drawn by its size, systematically and in the order
of the tree, so that the chance of any node is known exactly. The part taken apart is trained whole, now and then, and
counts for more then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.engines.base import Tokens

Floats = NDArray[np.float64]
Node = Tokens
"""A beginning of a continuation; its last token is what is predicted there."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes that continuations of one prompt share.

    Attributes:
        leaves: the continuations, each once, sorted, so that those that begin alike stand together.
        logprobs: of the last token of each node.
        gradients: the objective's by that log-probability.
    """

    leaves: list[Tokens]
    logprobs: dict[Node, float]
    gradients: dict[Node, float]


def tree_of(continuations: Sequence[Tokens], logprobs: Sequence[Floats], gradients: Sequence[Floats]) -> Tree:
    """Put together what continuations share.

    Args:
        continuations: of one prompt, none empty.
        logprobs: of each one's tokens.
        gradients: the objective's by these.
    """
    known: dict[Node, float] = {}
    summed: defaultdict[Node, float] = defaultdict(float)
    for tokens, own_logprobs, own_gradients in zip(continuations, logprobs, gradients, strict=True):
        for end in range(1, len(tokens) + 1):
            known[tokens[:end]] = float(own_logprobs[end - 1])
            summed[tokens[:end]] += float(own_gradients[end - 1])
    return Tree(sorted(set(continuations)), known, dict(summed))


def taken_apart(tree: Tree) -> tuple[dict[Node, float], dict[Node, float]]:
    """The gradient as two parts: what differs between the tokens of a fork, and a multiple of their probabilities."""
    forks: defaultdict[Node, list[Node]] = defaultdict(list)
    for node in tree.logprobs:
        forks[node[:-1]].append(node)
    differing: dict[Node, float] = {}
    common: dict[Node, float] = {}
    for nodes in forks.values():
        probs = np.exp([tree.logprobs[node] for node in nodes])
        values = np.array([tree.gradients[node] for node in nodes])
        level = values.sum() / probs.sum() if probs.sum() > 0 else 0.0
        common |= dict(zip(nodes, (level * probs).tolist(), strict=True))
        differing |= dict(zip(nodes, (values - level * probs).tolist(), strict=True))
    return differing, common


def sizes(tree: Tree, part: dict[Node, float]) -> Floats:
    """How much each leaf is worth drawing: its own share of the gradient at every node that it runs through."""
    own = np.array([abs(part[leaf]) for leaf in tree.leaves])
    own += 1e-9 * max(own.max(), 1e-30)  # so that a node's size always has leaves to go to
    total = own.copy()
    for begin, end, node in _spans(tree.leaves):
        if end - begin > 1 or node != tree.leaves[begin]:
            total[begin:end] += abs(part[node]) * own[begin:end] / own[begin:end].sum()
    return total


def chances(sizes_L: Floats, count: float) -> Floats:
    """Chances in proportion to sizes that add up to ``count``, none above 1.

    >>> chances(np.array([6.0, 1.0, 1.0]), 2).round(3).tolist()
    [1.0, 0.5, 0.5]
    """
    if count >= sizes_L.size:
        return np.ones(sizes_L.size)
    certain = np.zeros(sizes_L.size, dtype=bool)
    while True:
        left = count - certain.sum()
        found = np.where(certain, 1.0, left * sizes_L / sizes_L[~certain].sum())
        above = (found > 1) & ~certain
        if not above.any():
            return np.minimum(found, 1.0)
        certain |= above


def draw(tree: Tree, count: int, rng: np.random.Generator) -> list[tuple[Tokens, Floats]]:
    """Continuations to train on, with the gradient that each carries by its tokens; right on average.

    Args:
        tree: all of them.
        count: how many are drawn. As many again are trained on average for the part that is taken apart, and more where
            the model says other things than the continuations: of such prompts this part is not next to nothing.
        rng: of the draw.
    """
    if count >= len(tree.leaves):
        return _carried(tree, np.ones(len(tree.leaves), dtype=bool), tree.gradients)
    differing, common = taken_apart(tree)
    chances_L = chances(sizes(tree, differing), count)
    edges = np.concatenate([[0.0], np.cumsum(chances_L)]) + rng.random()
    drawn_L = np.floor(edges[1:]) > np.floor(edges[:-1])
    often = min(1.0, max(count / len(tree.leaves), 1.0 - _said(tree)))
    every = rng.random() < often
    carried: dict[Node, float] = {node: value / often for node, value in common.items()} if every else {}
    for begin, end, node in _spans(tree.leaves):
        if drawn_L[begin:end].any():
            chance = min(1.0, float(chances_L[begin:end].sum()))
            carried[node] = carried.get(node, 0.0) + differing[node] / chance
    return _carried(tree, np.ones_like(drawn_L) if every else drawn_L, carried)


def _said(tree: Tree) -> float:
    """Probability of the continuations together."""
    return float(sum(np.exp(sum(tree.logprobs[leaf[:end]] for end in range(1, len(leaf) + 1))) for leaf in tree.leaves))


def _spans(leaves: Sequence[Tokens]) -> list[tuple[int, int, Node]]:
    """Every node with the range of the leaves that run through it."""
    begins: dict[Node, int] = {}
    ends: dict[Node, int] = {}
    for place, leaf in enumerate(leaves):
        for end in range(1, len(leaf) + 1):
            begins.setdefault(leaf[:end], place)
            ends[leaf[:end]] = place + 1
    return [(begin, ends[node], node) for node, begin in begins.items()]


def _carried(tree: Tree, chosen_L: NDArray[np.bool_], gradients: dict[Node, float]) -> list[tuple[Tokens, Floats]]:
    """The chosen leaves; a node's gradient is carried by the first that runs through it."""
    left = dict(gradients)
    rows = []
    for leaf, chosen in zip(tree.leaves, chosen_L, strict=True):
        if chosen:
            rows.append((leaf, np.array([left.pop(leaf[:end], 0.0) for end in range(1, len(leaf) + 1)])))
    return rows
