"""From continuations to the edges of their tries, and from the edges' scores back to each continuation's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import Tokens, TokenScores
from candor.engines.tree.layout import ROOT, Trie


def build_tries(continuations: Sequence[Sequence[Tokens]]) -> list[Trie]:
    """One trie per prompt; prompts in a row with equal continuations (a grammar) share one."""
    tries: list[Trie] = []
    previous: Sequence[Tokens] | None = None
    for current in continuations:
        same = previous is not None and (current is previous or list(current) == list(previous))
        tries.append(tries[-1] if same else _built(tuple(current)))
        previous = current
    return tries


@lru_cache(maxsize=8)
def _built(continuations: tuple[Tokens, ...]) -> Trie:
    """A trie; those of the last calls are kept, because a grammar's answers come again with every batch."""
    return Trie.build(continuations)


def gather_edges(
    tries: Sequence[Trie],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The edges of P tries: where they lead from, their tokens, and which of them each continuation runs along.

    Returns:
        Sources ``[E]``: indices into the nodes of all tries in order, behind which the prompts' last tokens stand;
        tokens ``[E]``; the padded paths ``[P, C, T]``, and their mask.
    """
    nodes = sum(len(trie.tokens) for trie in tries)
    shape = (len(tries), max(len(t.paths) for t in tries), max(t.paths.shape[1] for t in tries))
    paths, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
    sources, tokens, node_offset, edge_offset = [], [], 0, 0
    for row, trie in enumerate(tries):
        sources.append(np.where(trie.edge_sources == ROOT, nodes + row, trie.edge_sources + node_offset))
        tokens.append(trie.edge_tokens)
        count, width = trie.paths.shape
        paths[row, :count, :width] = np.where(trie.mask, trie.paths + edge_offset, 0)
        mask[row, :count, :width] = trie.mask
        node_offset += len(trie.tokens)
        edge_offset += len(trie.edge_tokens)
    return np.concatenate(sources), np.concatenate(tokens), paths, mask


def along_paths(edges: torch.Tensor, paths: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Values of edges ``[E]`` along paths ``[P, C, T]``, 0 where masked."""
    if not len(edges):
        return edges.new_zeros(paths.shape)
    return edges.index_select(0, paths.flatten()).view(paths.shape).masked_fill(~mask, 0.0)


def joined(parts: Sequence[TokenScores]) -> TokenScores:
    """Scores of one prompt's continuations, one piece behind the other, padded alike."""
    length = max(part.mask_P_C_T.shape[-1] for part in parts)

    def join(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([torch.nn.functional.pad(each, (0, length - each.shape[-1])) for each in tensors], 1)

    return TokenScores(
        join([part.logprobs_P_C_T for part in parts]),
        join([part.raw_logprobs_P_C_T for part in parts]),
        join([part.mask_P_C_T for part in parts]),
    )
