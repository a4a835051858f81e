"""Tries, rows and masks on cases small enough to write down, and against definitions on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.engines.tree.layout import ROOT, Rows, Trie, Visibility, cut_runs, split_rows

_sequences = st.lists(st.lists(st.integers(0, 2), max_size=5).map(tuple), min_size=1, max_size=8)


def test_trie_merges_beginnings_and_forwards_no_last_token() -> None:
    trie = Trie.build([(7, 8, 9), (7, 8, 5), (7, 6), (7,), (4,)])
    assert trie.tokens.tolist() == [7, 8]
    assert trie.parents.tolist() == [ROOT, 0]
    assert trie.depths.tolist() == [0, 1]
    assert list(zip(trie.edge_sources.tolist(), trie.edge_tokens.tolist(), strict=True)) == [
        (ROOT, 4),
        (ROOT, 7),
        (0, 6),
        (0, 8),
        (1, 5),
        (1, 9),
    ]
    assert trie.paths.tolist() == [[1, 3, 5], [1, 3, 4], [1, 2, 0], [1, 0, 0], [0, 0, 0]]
    assert trie.mask.sum(axis=1).tolist() == [3, 3, 2, 1, 1]


@given(_sequences)
def test_trie_spells_its_continuations(sequences: list[tuple[int, ...]]) -> None:
    trie = Trie.build(sequences)
    prefixes = {sequence[:end] for sequence in sequences for end in range(1, len(sequence) + 1)}
    inner = {sequence[:end] for sequence in sequences for end in range(1, len(sequence))}
    assert len(trie.edge_tokens) == len(prefixes)
    assert len(trie.tokens) == len(inner)
    for sequence, path, mask in zip(sequences, trie.paths, trie.mask, strict=True):
        assert tuple(trie.edge_tokens[path[mask]]) == sequence
        for depth, edge in enumerate(path[mask]):
            source, walked = int(trie.edge_sources[edge]), []
            while source != ROOT:
                walked.append(int(trie.tokens[source]))
                source = int(trie.parents[source])
            assert tuple(reversed(walked)) == sequence[:depth]


def _ancestors(trie: Trie, node: int) -> set[int]:
    return {*trie.path_to(node), node}


@given(_sequences)
def test_nodes_stand_in_preorder(sequences: list[tuple[int, ...]]) -> None:
    trie = Trie.build(sequences)
    for node in range(len(trie.tokens)):
        below = [other for other in range(len(trie.tokens)) if node in _ancestors(trie, other)]
        assert below == list(range(node, node + len(below)))


@given(_sequences, st.integers(1, 4))
def test_runs_hold_every_node_once_and_show_it_what_lies_above(sequences: list[tuple[int, ...]], length: int) -> None:
    trie = Trie.build(sequences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("candor.engines.tree.layout.RUN_LENGTH", length)
        cut = cut_runs(trie)
    assert [node for run in cut for node in run.nodes] == list(range(len(trie.tokens)))
    for run in cut:
        assert 1 <= len(run.nodes) <= length
        for node, visible in zip(run.nodes, run.visible, strict=True):
            assert set(np.array(run.keys)[visible].tolist()) == _ancestors(trie, node)


def test_branches_that_share_nothing_are_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candor.engines.tree.layout.RUN_LENGTH", 5)
    cut = cut_runs(Trie.build([(1, 2, 3, 0), (4, 5, 6, 0), (7, 0)]))
    assert [run.keys for run in cut] == [[0, 1, 2], [3, 4, 5, 6]]


def test_rows_hold_consecutive_tokens_or_those_listed() -> None:
    rows = Rows.of(np.array([4, 0, 0]), np.array([2, 0, 3]))
    assert rows.shape == (3, 3)
    assert rows.tokens.tolist() == [[4, 5, 0], [0, 0, 0], [0, 1, 2]]
    assert rows.valid.sum(axis=1).tolist() == [2, 0, 3]
    listed = Rows.listed([[7, 3], [], [9, 8, 1]])
    assert listed.tokens.tolist() == [[7, 3, 0], [0, 0, 0], [9, 8, 1]]
    assert (listed.valid == rows.valid).all()


def test_window_counts_positions_not_slots() -> None:
    """Two branches of a tree lie side by side: the second one's parent is two slots but one position away."""
    (run,) = cut_runs(Trie.build([(1, 2, 0), (1, 3, 0)]))
    positions = np.array([[0, 1, 1]])
    seen = Visibility(run.visible[None], positions, positions)
    assert seen.within(None) is seen.visible
    assert (seen.within(2) == run.visible).all()
    assert (seen.within(1) == np.eye(3, dtype=bool)).all()


def test_a_window_that_reaches_everything_hides_nothing() -> None:
    seen = Visibility(None, np.array([[9]]), np.array([[0, 1]]))
    assert seen.within(None) is None
    assert seen.within(10) is None
    assert seen.within(9).tolist() == [[[False, True]]]  # type: ignore[union-attr]


def test_rows_are_split_where_padding_costs_more_than_a_block() -> None:
    assert split_rows([5, 6, 90], past=100, width=8) == [slice(0, 3)]
    assert split_rows([50, 51, 900], past=1000, width=4096) == [slice(0, 2), slice(2, 3)]


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=20).map(sorted), st.sampled_from([1, 64, 4096]))
def test_blocks_hold_every_row_once_in_order(lengths: list[int], width: int) -> None:
    blocks = split_rows(lengths, 100, width)
    assert [row for block in blocks for row in range(len(lengths))[block]] == list(range(len(lengths)))
