"""Where tokens sit when many sequences share their beginnings: tries, padded rows, and who sees whom.

Pure bookkeeping on token ids and indices; nothing here knows a model. A batch is laid out as a *header* (the tokens
all prompts begin with), one *row* per prompt for the prompt's own tokens, and one trie per prompt for what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
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
        tokens: token of each of the N nodes, parents before children.
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
        ([7, 8], [-1, 0], [7, 8, 9, 5])
        """
        tokens: list[int] = []
        parents: list[int] = []
        depths: list[int] = []
        nodes: dict[tuple[int, int], int] = {}
        edges: dict[tuple[int, int], int] = {}
        width = max((len(continuation) for continuation in continuations), default=0)
        paths = np.zeros((len(continuations), width), dtype=np.int64)
        mask = np.zeros((len(continuations), width), dtype=np.bool_)
        for row, continuation in enumerate(continuations):
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

    @property
    def ancestors(self) -> NDArray[np.bool_]:
        """``[N, N]``: true where the column's node is the row's node or lies above it."""
        visible = np.zeros((len(self.tokens), len(self.tokens)), dtype=np.bool_)
        for node, parent in enumerate(self.parents.tolist()):
            if parent != ROOT:
                visible[node] = visible[parent]
            visible[node, node] = True
        return visible


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokens of several rows laid out flat, one row after the other, and the padded ``[B, R]`` view of them.

    Attributes:
        lengths: tokens of each row; may be 0.
        flat: ``[B * R]``, for each padded slot the flat index of its token; 0 where there is none.
        slots: ``[N]``, for each flat token its slot in ``[B * R]``.
        valid: ``[B, R]``, true where there is a token.
    """

    lengths: tuple[int, ...]
    flat: torch.Tensor
    slots: torch.Tensor
    valid: torch.Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device | None = None, *, width: int = 0) -> Rows:
        """Lay out rows of these lengths, with at least ``width`` slots each.

        >>> Rows.of([1, 2]).slots.tolist()
        [0, 2, 3]
        """
        counts = np.asarray(lengths, dtype=np.int64)
        width = int(counts.max(initial=width))
        columns = np.arange(width)
        valid = columns[None, :] < counts[:, None]
        starts = np.concatenate([[0], counts.cumsum()[:-1]])
        flat = np.where(valid, starts[:, None] + columns[None, :], 0).reshape(-1)
        slots = valid.reshape(-1).nonzero()[0]
        return cls(
            tuple(lengths),
            torch.from_numpy(flat).to(device),
            torch.from_numpy(slots).to(device),
            torch.from_numpy(valid).to(device),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and slots per row."""
        return int(self.valid.shape[0]), int(self.valid.shape[1])

    @property
    def ends(self) -> torch.Tensor:
        """``[B]``, flat index of each row's last token; no row may be empty."""
        return torch.as_tensor(np.cumsum(self.lengths) - 1, device=self.flat.device)

    def is_full(self) -> bool:
        """Whether no slot is padding, so that flat and padded order are the same."""
        return self.slots.numel() == self.flat.numel()


@dataclass(frozen=True)
class Visibility:
    """Which keys each query of each row sees, and how far back they lie.

    Attributes:
        visible: ``[B or 1, R, K]``, true where the query may attend to the key.
        query_positions: ``[B or 1, R]``, absolute position of each query in its own sequence.
        key_positions: ``[B or 1, K]``, absolute position of each key in its own sequence.
        heads_per_key: query heads that share a key head; their queries are stacked along the query axis.
        dtype: of the additive masks.
    """

    visible: torch.Tensor
    query_positions: torch.Tensor
    key_positions: torch.Tensor
    heads_per_key: int
    dtype: torch.dtype
    _masks: dict[int | None, torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None) -> torch.Tensor:
        """Additive mask ``[B or 1, 1, heads_per_key * R, K]`` for a sliding window of that many tokens (or none).

        A window counts positions in the sequence, not slots in the layout. Hidden keys get a large finite value:
        with -inf a row that is all padding would turn into NaN and poison the gradients of its neighbours.
        """
        cached = self._masks.get(window)
        if cached is None:
            visible = self.visible
            if window is not None:
                distance = self.query_positions[:, :, None] - self.key_positions[:, None, :]
                visible = visible & (distance < window)
            hidden = max(-1e30, torch.finfo(self.dtype).min / 2)
            mask = torch.zeros(visible.shape, dtype=self.dtype, device=visible.device)
            mask = mask.masked_fill_(~visible, hidden)[:, None]
            cached = self._masks[window] = mask.repeat(1, 1, self.heads_per_key, 1)
        return cached
