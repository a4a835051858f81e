"""Tries, rows and masks on cases small enough to write down, and against definitions on random ones."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from candor.engines.tree_layout import ROOT, Rows, Trie, Visibility, split_rows

_sequences = st.lists(st.lists(st.integers(0, 2), max_size=5).map(tuple), min_size=1, max_size=8)


def test_trie_merges_beginnings_and_forwards_no_last_token() -> None:
    trie = Trie.build([(7, 8, 9), (7, 8, 5), (7, 6), (7,), (4,)])
    assert trie.tokens.tolist() == [7, 8]
    assert trie.parents.tolist() == [ROOT, 0]
    assert trie.depths.tolist() == [0, 1]
    assert list(zip(trie.edge_sources.tolist(), trie.edge_tokens.tolist(), strict=True)) == [
        (ROOT, 7),
        (0, 8),
        (1, 9),
        (1, 5),
        (0, 6),
        (ROOT, 4),
    ]
    assert trie.paths.tolist() == [[0, 1, 2], [0, 1, 3], [0, 4, 0], [0, 0, 0], [5, 0, 0]]
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
                assert trie.ancestors[trie.edge_sources[edge], source]
                walked.append(int(trie.tokens[source]))
                source = int(trie.parents[source])
            assert tuple(reversed(walked)) == sequence[:depth]


def test_ancestors_are_the_nodes_above_and_the_node_itself() -> None:
    trie = Trie.build([(1, 2, 0), (1, 3, 0)])
    assert trie.ancestors.tolist() == [[True, False, False], [True, True, False], [True, False, True]]


def test_rows_pad_and_find_back() -> None:
    rows = Rows.of([2, 0, 3])
    assert rows.shape == (3, 3)
    assert rows.flat.tolist() == [0, 1, 0, 0, 0, 0, 2, 3, 4]
    assert rows.slots.tolist() == [0, 1, 6, 7, 8]
    assert not rows.is_full()
    assert Rows.of([2, 2]).is_full()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_rows_keep_every_token_once(lengths: list[int]) -> None:
    rows = Rows.of(lengths)
    tokens = torch.arange(sum(lengths)) + 10
    if sum(lengths):
        padded = tokens[rows.flat]
        assert torch.equal(padded[rows.slots], tokens)
    assert int(rows.valid.sum()) == sum(lengths)


def test_window_counts_positions_not_slots() -> None:
    """Two branches of a tree lie side by side: the second one's parent is two slots but one position away."""
    visible = torch.from_numpy(Trie.build([(1, 2, 0), (1, 3, 0)]).ancestors)[None]
    positions = torch.tensor([[0, 1, 1]])
    masks = Visibility(visible, positions, positions, heads_per_key=2, dtype=torch.float32)
    full, narrow = masks.mask(None), masks.mask(2)
    assert full.shape == (1, 1, 6, 3)
    assert torch.equal(full, narrow)
    assert torch.equal(full[0, 0, :3], full[0, 0, 3:])
    assert torch.equal(masks.mask(1)[0, 0, :3] == 0, torch.eye(3, dtype=torch.bool))


def test_hidden_keys_are_finite_in_every_dtype() -> None:
    nothing = torch.zeros(1, 1, 1, dtype=torch.bool)
    position = torch.zeros(1, 1, dtype=torch.long)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        mask = Visibility(nothing, position, position, 1, dtype).mask(None)
        assert torch.isfinite(mask).all()
        assert float(mask.max()) < -1e4


def test_rows_are_split_where_padding_costs_more_than_a_block() -> None:
    assert split_rows([5, 6, 90], past=100, width=8) == [slice(0, 3)]
    assert split_rows([50, 51, 900], past=1000, width=4096) == [slice(0, 2), slice(2, 3)]


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=20).map(sorted), st.sampled_from([1, 64, 4096]))
def test_blocks_hold_every_row_once_in_order(lengths: list[int], width: int) -> None:
    blocks = split_rows(lengths, 100, width)
    assert [row for block in blocks for row in range(len(lengths))[block]] == list(range(len(lengths)))
