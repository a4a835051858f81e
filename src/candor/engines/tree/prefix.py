"""Prompts that have been run once, and who attends to what in passes over them and over what follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.tree.attention import BranchLevel, Heads, KeyValue, Level, RowLevel, Segment, TreePass
from candor.engines.tree.layout import Rows, Run, Trie, Visibility, cut_runs, split_rows


@dataclass(frozen=True, slots=True)
class TreePrefix:
    """P prompts that have been run once.

    Attributes:
        header: keys and values by layer, ``[S, Hk, d]``, of the tokens that all prompts begin with; empty without.
        header_length: S.
        key_values: keys and values by layer, ``[N, Hk, d]``, of the prompts' own tokens, one prompt after the other.
        lengths_P: own tokens of each prompt, at least 1.
        last_hidden_P_D: hidden state of each prompt's last token.
        version: of the weights it was made with.
        reference: whether the base model ran, without its adapter.
    """

    header: list[KeyValue]
    header_length: int
    key_values: list[KeyValue]
    lengths_P: NDArray[np.int64]
    last_hidden_P_D: torch.Tensor
    version: int
    reference: bool

    @property
    def starts(self) -> NDArray[np.int64]:
        """Index of each prompt's first own token."""
        return first_tokens(self.lengths_P)

    def detached(self, part: slice, header: list[KeyValue]) -> TreePrefix:
        """Some of the prompts as leaves that collect gradients, behind a header that does too."""
        own = slice(int(self.lengths_P[: part.start].sum()), int(self.lengths_P[: part.stop].sum()))
        return replace(
            self,
            header=header,
            key_values=[(as_leaf(keys[own]), as_leaf(values[own])) for keys, values in self.key_values],
            lengths_P=self.lengths_P[part],
            last_hidden_P_D=as_leaf(self.last_hidden_P_D[part]),
        )

    def tensors(self) -> list[torch.Tensor]:
        """The prompts' own tensors, in a fixed order."""
        return [tensor for pair in self.key_values for tensor in pair] + [self.last_hidden_P_D]


def as_leaf(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers, collecting gradients of their own if the tensor asks for any."""
    return tensor.detach().requires_grad_(tensor.requires_grad)


def first_tokens(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the first token of each row of a flat layout."""
    return np.concatenate([[0], lengths.cumsum()[:-1]])


def blocks_of(lengths: NDArray[np.int64], past: int, heads: Heads, width: int) -> list[NDArray[np.int64]]:
    """Rows of similar length together, because a padded row costs attention as if it were full."""
    order = np.argsort(lengths, kind="stable")
    return [order[part] for part in split_rows(lengths[order].tolist(), past, heads.queries * width)]


def _whole(count: int) -> Rows:
    return Rows.of(np.zeros(1, dtype=np.int64), np.array([count]))


def _header_level(header: Sequence[KeyValue], length: int, positions_N: NDArray[np.int64], heads: Heads) -> Level:
    """All tokens in one row, which attend to the header at once."""
    visibility = Visibility(None, positions_N[None], np.arange(length)[None])
    return Level([Segment(_whole(len(positions_N)), _whole(length), visibility, heads)], heads, header)


def _hidden_padding(keys: Rows) -> NDArray[np.bool_] | None:
    return None if keys.valid.all() else keys.valid[:, None, :]


def prompt_pass(
    lengths_P: NDArray[np.int64],
    header: Sequence[KeyValue],
    header_length: int,
    heads: Heads,
    width: int,
    last_layer: int,
) -> tuple[TreePass, NDArray[np.int64]]:
    """Layout of prompts' own tokens behind a header, of which only the last tokens matter in the last layer.

    Returns:
        The layout and each token's position.
    """
    starts_P = first_tokens(lengths_P)
    within = np.arange(int(lengths_P.sum())) - np.repeat(starts_P, lengths_P)
    positions = header_length + within
    segments, end_segments = [], []
    for block in blocks_of(lengths_P, 0, heads, width):
        rows = Rows.of(starts_P[block], lengths_P[block])
        columns = np.arange(rows.shape[1])
        # Padding follows a row's tokens, so causality alone hides it from them.
        causal = Visibility((columns[:, None] >= columns)[None], columns[None], columns[None])
        segments.append(Segment(rows, rows, causal, heads))
        last = Visibility(_hidden_padding(rows), lengths_P[block][:, None] - 1, columns[None])
        end_segments.append(
            Segment(Rows(block[:, None], np.ones_like(block[:, None], dtype=np.bool_)), rows, last, heads)
        )
    ends = starts_P + lengths_P - 1
    levels, end_levels = [Level(segments, heads)], [Level(end_segments, heads)]
    if header:
        levels.insert(0, _header_level(header, header_length, positions, heads))
        end_levels.insert(0, _header_level(header, header_length, positions[ends], heads))
    return TreePass(levels, last_layer, torch.from_numpy(ends).to(heads.device), end_levels), positions


def following_pass(
    prefix: TreePrefix, tries: Sequence[Trie], heads: Heads, width: int, last_layer: int
) -> tuple[TreePass, NDArray[np.int64]]:
    """Layout of the nodes of one trie behind each prompt; there must be a node. Returns it and the nodes' positions."""
    counts_P = np.array([len(trie.tokens) for trie in tries], dtype=np.int64)
    depths = np.concatenate([trie.depths for trie in tries])
    offsets = np.repeat(prefix.lengths_P, counts_P) + depths
    positions = prefix.header_length + offsets
    node_starts_P, starts_P = first_tokens(counts_P), prefix.starts
    to_prompt = []
    for block in blocks_of(prefix.lengths_P, 0, heads, width):
        living = block[counts_P[block] > 0]
        if len(living):
            queries = Rows.of(node_starts_P[living], counts_P[living])
            keys = Rows.of(starts_P[living], prefix.lengths_P[living])
            visibility = Visibility(_hidden_padding(keys), offsets[queries.tokens], np.arange(keys.shape[1])[None])
            to_prompt.append(Segment(queries, keys, visibility, heads))
    levels = [
        Level(to_prompt, heads, prefix.key_values),
        Level(_run_segments(tries, node_starts_P, depths, heads, width), heads),
    ]
    if prefix.header:
        levels.insert(0, _header_level(prefix.header, prefix.header_length, positions, heads))
    return TreePass(levels, last_layer), positions


def _run_segments(
    tries: Sequence[Trie], node_starts_P: NDArray[np.int64], depths: NDArray[np.int64], heads: Heads, width: int
) -> list[Segment]:
    cut: dict[int, list[Run]] = {}
    placed = [
        (int(first), run)
        for first, trie in zip(node_starts_P, tries, strict=True)
        for run in cut.setdefault(id(trie), cut.get(id(trie)) or cut_runs(trie))
    ]
    segments = []
    for block in blocks_of(np.array([len(run.keys) for _, run in placed]), 0, heads, width):
        members = [placed[index] for index in block]
        queries = Rows.listed([[first + node for node in run.nodes] for first, run in members])
        keys = Rows.listed([[first + node for node in run.keys] for first, run in members])
        visible = np.zeros((len(members), queries.shape[1], keys.shape[1]), dtype=np.bool_)
        for row, (_, run) in enumerate(members):
            visible[row, : len(run.nodes), : len(run.keys)] = run.visible
        segments.append(Segment(queries, keys, Visibility(visible, depths[queries.tokens], depths[keys.tokens]), heads))
    return segments


class DecodingLayout:
    """Layouts of the passes of a decode: one token of each living branch.

    Args:
        prefix: the prompts.
        heads: of the model.
        width: of a head.
        last_layer: index of the model's last layer.
        longest: most tokens of a completion.
    """

    def __init__(self, prefix: TreePrefix, heads: Heads, width: int, last_layer: int, longest: int) -> None:
        self._prefix, self._heads, self._last_layer = prefix, heads, last_layer
        self._blocks = blocks_of(prefix.lengths_P, 0, heads, width)
        self._keys = [Rows.of(prefix.starts[block], prefix.lengths_P[block]) for block in self._blocks]
        # Decoding reads the prompts' keys again for every token: they are put into rows once for all of them.
        index = [torch.from_numpy(keys.tokens).to(heads.device) for keys in self._keys]
        self._stored = [
            [(_in_rows(keys, rows), _in_rows(values, rows)) for rows in index] for keys, values in prefix.key_values
        ]
        self._branches = BranchLevel(heads, min(longest, 64))

    def next(
        self, counts_P: NDArray[np.int64], parents: NDArray[np.int64], step: int
    ) -> tuple[TreePass, NDArray[np.int64]]:
        """Layout of the pass over token ``step`` (from 0) of branches, ordered by prompt; and their positions."""
        prefix, heads = self._prefix, self._heads
        offsets_P = prefix.lengths_P + step
        starts_P = first_tokens(counts_P)
        segments, living = [], []
        for number, (block, keys) in enumerate(zip(self._blocks, self._keys, strict=True)):
            # A row stays where its keys stand even when all its branches have ended.
            if counts_P[block].any():
                visibility = Visibility(
                    _hidden_padding(keys), offsets_P[block][:, None], np.arange(keys.shape[1])[None]
                )
                segments.append(Segment(Rows.of(starts_P[block], counts_P[block]), None, visibility, heads))
                living.append(number)
        stored = [[blocks[number] for number in living] for blocks in self._stored]
        self._branches.advance(parents)
        levels: list[Level] = [RowLevel(segments, heads, stored), self._branches]
        positions = prefix.header_length + np.repeat(offsets_P, counts_P)
        if prefix.header:
            levels.insert(0, _header_level(prefix.header, prefix.header_length, positions, heads))
        return TreePass(levels, self._last_layer), positions


def _in_rows(flat: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``[N, Hk, d]`` to ``[B, Hk, K, d]``."""
    return flat[rows].transpose(1, 2).contiguous()
