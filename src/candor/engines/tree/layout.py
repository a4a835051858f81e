"""Where tokens sit when many sequences share their beginnings: tries, padded rows, and who sees whom.

Pure bookkeeping on token ids and indices; nothing here knows a model. A batch is laid out as a *header* (the tokens
all prompts begin with), one *row* per prompt for the prompt's own tokens, and one trie per prompt for what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from candor.engines.base import Tokens

ROOT = -1
"""Index of the node before a trie's first tokens: the last token of the prompt."""


BLOCK_OVERHEAD = 4e7
"""What handling one more block of rows costs, in multiply-adds: about two milliseconds of one CPU core."""


def split_rows(lengths: Sequence[int], past: int, width: int) -> list[slice]:
    """Split rows, ordered by length, into blocks that waste little on padding and are not too many.

    Args:
        lengths: tokens of each row, ascending.
        past: keys that every query sees besides those of its own row.
        width: total width of the attention heads.

    >>> split_rows([10, 10, 500, 500], past=0, width=4096)
    [slice(0, 2, None), slice(2, 4, None)]
    """
    count = len(lengths)
    best = np.zeros(count + 1)
    start_of = np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        longest = lengths[end - 1]
        rows = end - np.arange(end)
        work = best[:end] + rows * (2.0 * longest * (past + longest) * width) + BLOCK_OVERHEAD
        start_of[end] = int(work.argmin())
        best[end] = work[start_of[end]]
    blocks: list[slice] = []
    end = count
    while end:
        blocks.append(slice(int(start_of[end]), end))
        end = int(start_of[end])
    return blocks[::-1]


@dataclass(frozen=True, slots=True)
class Trie:
    """The continuations of one prompt, merged where they agree.

    A *node* is a token that has a successor and therefore needs a forward pass; an *edge* is a token to be scored,
    given the node before it. A continuation's last token is an edge, but a node only if another continuation goes on.

    Attributes:
        tokens: token of each of the N nodes, in preorder: every node is followed by all that lies below it.
        parents: parent of each node, ``ROOT`` at the top.
        depths: number of continuation tokens before each node.
        edge_sources: for each of the E edges the node it leaves (``ROOT`` after the prompt).
        edge_tokens: the token on each edge.
        paths: for each continuation the edges it runs along, ``[C, T]``, padded with 0.
        mask: true where ``paths`` holds an edge, ``[C, T]``.
    """

    tokens: NDArray[np.int64]
    parents: NDArray[np.int64]
    depths: NDArray[np.int64]
    edge_sources: NDArray[np.int64]
    edge_tokens: NDArray[np.int64]
    paths: NDArray[np.int64]
    mask: NDArray[np.bool_]

    @classmethod
    def build(cls, continuations: Sequence[Tokens]) -> Trie:
        """Merge ``continuations`` (any number, of any length, duplicates allowed) into a trie.

        >>> trie = Trie.build([(7, 8, 9), (7, 8, 5), (7,)])
        >>> trie.tokens.tolist(), trie.parents.tolist(), trie.edge_tokens.tolist()
        ([7, 8], [-1, 0], [7, 8, 5, 9])
        """
        tokens: list[int] = []
        parents: list[int] = []
        depths: list[int] = []
        nodes: dict[tuple[int, int], int] = {}
        edges: dict[tuple[int, int], int] = {}
        width = max((len(continuation) for continuation in continuations), default=0)
        paths = np.zeros((len(continuations), width), dtype=np.int64)
        mask = np.zeros((len(continuations), width), dtype=np.bool_)
        # Sorted, continuations with a common beginning follow each other, which gives the nodes in preorder.
        for row in sorted(range(len(continuations)), key=continuations.__getitem__):
            continuation = continuations[row]
            source, last = ROOT, len(continuation) - 1
            for depth, token in enumerate(continuation):
                step = (source, token)
                paths[row, depth] = edges.setdefault(step, len(edges))
                if depth < last:
                    node = nodes.get(step)
                    if node is None:
                        node = nodes[step] = len(tokens)
                        tokens.append(token)
                        parents.append(source)
                        depths.append(depth)
                    source = node
            mask[row, : len(continuation)] = True
        return cls(
            tokens=np.asarray(tokens, dtype=np.int64),
            parents=np.asarray(parents, dtype=np.int64),
            depths=np.asarray(depths, dtype=np.int64),
            edge_sources=np.asarray([source for source, _ in edges], dtype=np.int64),
            edge_tokens=np.asarray([token for _, token in edges], dtype=np.int64),
            paths=paths,
            mask=mask,
        )

    def path_to(self, node: int) -> list[int]:
        """The nodes above ``node``, from the top."""
        above = []
        while (node := int(self.parents[node])) != ROOT:
            above.append(node)
        return above[::-1]


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokens put into rows: for each slot of a padded ``[B, R]`` the token that stands there.

    Attributes:
        tokens: ``[B, R]``, index of the token; 0 where there is none.
        valid: ``[B, R]``, true where there is a token.
    """

    tokens: NDArray[np.int64]
    valid: NDArray[np.bool_]

    @classmethod
    def of(cls, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Rows:
        """Rows of consecutive tokens.

        >>> Rows.of(np.array([0, 1]), np.array([1, 2])).tokens.tolist()
        [[0, 0], [1, 2]]
        """
        columns = np.arange(int(lengths.max(initial=0)))
        valid = columns[None, :] < lengths[:, None]
        return cls(np.where(valid, starts[:, None] + columns[None, :], 0), valid)

    @classmethod
    def listed(cls, rows: Sequence[Sequence[int]]) -> Rows:
        """Rows of these tokens."""
        lengths = np.asarray([len(row) for row in rows], dtype=np.int64)
        listed = cls.of(np.zeros_like(lengths), lengths)
        listed.tokens[listed.valid] = [token for row in rows for token in row]
        return listed

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and slots per row."""
        return int(self.tokens.shape[0]), int(self.tokens.shape[1])


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which keys each query of each row sees, and how far back they lie.

    Attributes:
        visible: ``[B or 1, R or 1, K]``, true where the query may attend to the key; ``None`` where all may to all.
        query_positions: ``[B, R]``, absolute position of each query in its own sequence.
        key_positions: ``[B or 1, K]``, absolute position of each key in its own sequence.
    """

    visible: NDArray[np.bool_] | None
    query_positions: NDArray[np.int64]
    key_positions: NDArray[np.int64]

    def within(self, window: int | None) -> NDArray[np.bool_] | None:
        """``[B or 1, R or 1, K]`` for a sliding window of that many tokens (or none); ``None`` where all see all.

        A window counts positions in the sequence, not slots in the layout.
        """
        if window is None or not self.key_positions.size:
            return self.visible
        if int(self.query_positions.max()) - int(self.key_positions.min()) < window:
            return self.visible
        near = self.query_positions[:, :, None] - self.key_positions[:, None, :] < window
        return near if self.visible is None else near & self.visible


RUN_LENGTH = 64
"""Nodes of a trie that attend to each other as one row; more waste masked work, fewer waste small products."""


@dataclass(frozen=True, slots=True)
class Run:
    """Nodes of a trie that follow each other in preorder, and what they see.

    Attributes:
        nodes: the nodes.
        keys: nodes that at least one of them sees: those above the first, then the run itself.
        visible: ``[R, K]``, true where the key is the node itself or lies above it.
    """

    nodes: range
    keys: list[int]
    visible: NDArray[np.bool_]


def cut_runs(trie: Trie) -> list[Run]:
    """Cut a trie's nodes into runs of at most ``RUN_LENGTH``.

    In preorder, whatever lies above a node of a run but before the run lies above the run's first node too. So the
    keys of a run are the path to its first node and the run itself: completions that all differ attend to themselves
    and to little else, and not to their whole group.

    >>> [run.keys for run in cut_runs(Trie.build([(1, 2, 0), (1, 3, 0)]))]
    [[0, 1, 2]]
    """
    cuts, count = [0], len(trie.tokens)
    tops = np.flatnonzero(trie.parents == ROOT)
    while cuts[-1] < count:
        end = min(cuts[-1] + RUN_LENGTH, count)
        # Between two branches that share nothing a cut needs no path.
        free = tops[(tops > cuts[-1]) & (tops <= end)]
        cuts.append(int(free[-1]) if end < count and len(free) else end)
    return [_run(trie, range(start, end)) for start, end in pairwise(cuts)]


def _run(trie: Trie, nodes: range) -> Run:
    path = trie.path_to(nodes.start)
    place = {node: index for index, node in enumerate([*path, *nodes])}
    visible = np.zeros((len(nodes), len(place)), dtype=np.bool_)
    visible[0, : len(path) + 1] = True
    for row, node in enumerate(nodes):
        parent = int(trie.parents[node])
        if row and parent != ROOT:
            if parent in nodes:
                visible[row] = visible[parent - nodes.start]
            else:
                visible[row, : place[parent] + 1] = True
        visible[row, place[node]] = True
    return Run(nodes, [*path, *nodes], visible)
