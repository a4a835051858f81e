"""Layouts of passes over prompts and what follows them: positions, who sees whom, and leaves for gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from candor.engines.tree.attention import Heads
from candor.engines.tree.layout import Trie
from candor.engines.tree.prefix import (
    DecodingLayout,
    TreePrefix,
    as_leaf,
    blocks_of,
    first_tokens,
    following_pass,
    prompt_pass,
)

HEADS = Heads(2, 1, torch.float32, torch.device("cpu"))
WIDTH = 3


def prefix_of(lengths: list[int], header: int = 0, *, grad: bool = False) -> TreePrefix:
    generator = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, requires_grad=grad)

    own = sum(lengths)
    return TreePrefix(
        header=[(tensor(header, 1, WIDTH), tensor(header, 1, WIDTH))] if header else [],
        header_length=header,
        key_values=[(tensor(own, 1, WIDTH), tensor(own, 1, WIDTH)) for _ in range(2)],
        lengths_P=np.array(lengths),
        last_hidden_P_D=tensor(len(lengths), 5),
        version=0,
        reference=False,
    )


def visible(mask: torch.Tensor | None) -> list[list[bool]]:
    """Who sees whom in the first row of an additive mask."""
    assert mask is not None
    return (mask[0, 0] == 0).tolist()


def test_rows_of_a_flat_layout_begin_where_the_last_one_ended() -> None:
    assert first_tokens(np.array([2, 1, 3])).tolist() == [0, 2, 3]
    assert prefix_of([2, 1, 3]).starts.tolist() == [0, 2, 3]


def test_blocks_hold_every_row_once_by_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candor.engines.tree.layout.BLOCK_OVERHEAD", 0.0)
    blocks = blocks_of(np.array([7, 1, 7, 3]), 0, HEADS, WIDTH)
    assert [block.tolist() for block in blocks] == [[1], [3], [0, 2]]


def test_some_prompts_become_leaves_that_collect_their_own_gradients() -> None:
    prefix = prefix_of([2, 1, 3], grad=True)
    part = prefix.detached(slice(1, 3), [])
    assert part.lengths_P.tolist() == [1, 3]
    for (keys, _), (whole, _) in zip(part.key_values, prefix.key_values, strict=True):
        assert torch.equal(keys, whole[2:6])
        assert keys.is_leaf
        assert keys.requires_grad
    assert torch.equal(part.last_hidden_P_D, prefix.last_hidden_P_D[1:])
    sum(tensor.sum() for tensor in part.tensors()).backward()  # type: ignore[union-attr]
    assert all(tensor.grad is not None for tensor in part.tensors())
    assert all(tensor.grad is None for tensor in prefix.tensors())
    assert len(prefix.tensors()) == 5


def test_a_leaf_of_what_asks_for_no_gradient_asks_for_none() -> None:
    assert not as_leaf(torch.zeros(2)).requires_grad


def test_prompts_are_causal_and_their_last_tokens_see_them_whole() -> None:
    layout, positions = prompt_pass(np.array([2, 3]), [], 0, HEADS, WIDTH, last_layer=4)
    assert positions.tolist() == [0, 1, 0, 1, 2]
    assert layout.last_layer == 4
    assert layout.ends is not None
    assert layout.ends.tolist() == [1, 4]
    (level,), (end_level,) = layout.levels, layout.end_levels
    (segment,) = level.segments
    assert segment.rows.tokens.tolist() == [[0, 1, 0], [2, 3, 4]]
    # Two query heads share a key head, so each row of the mask stands twice.
    causal = [[True, False, False], [True, True, False], [True, True, True]]
    assert visible(segment.mask(None)) == 2 * causal
    # Of the first prompt the third slot is padding; a window of two hides the third token's first.
    (end,) = end_level.segments
    mask = end.mask(None)
    assert mask is not None
    assert (mask[:, 0, 0] == 0).tolist() == [[True, True, False], [True, True, True]]
    assert visible(segment.mask(2))[2] == [False, True, True]


def test_a_header_stands_before_all_prompts() -> None:
    header = prefix_of([1], header=4).header
    layout, positions = prompt_pass(np.array([2, 1]), header, 4, HEADS, WIDTH, last_layer=0)
    assert positions.tolist() == [4, 5, 4]
    assert len(layout.levels) == len(layout.end_levels) == 2
    # In a window of five the token at position 5 no longer sees the header's first.
    mask = layout.levels[0].segments[0].mask(5)
    assert mask is not None
    assert (mask[0, 0, :3] == 0).tolist() == [[True] * 4, [False, True, True, True], [True] * 4]


def test_what_follows_sees_its_own_prompt_and_the_nodes_above() -> None:
    prefix = prefix_of([2, 3])
    tries = [Trie.build([(7, 8, 0), (7, 9, 0)]), Trie.build([(5, 0)])]
    layout, positions = following_pass(prefix, tries, HEADS, WIDTH, last_layer=1)
    assert positions.tolist() == [2, 3, 3, 3]
    to_prompt, among = layout.levels
    (segment,) = to_prompt.segments
    assert segment.rows.tokens.tolist() == [[0, 1, 2], [3, 0, 0]]
    mask = segment.mask(None)
    assert mask is not None
    assert (mask[:, 0, 0] == 0).tolist() == [[True, True, False], [True, True, True]]
    runs = {segment.rows.shape[1]: segment for segment in among.segments}
    # Siblings see what lies above them and themselves, but not each other.
    longest = runs[max(runs)]
    row = int((longest.rows.valid.sum(axis=1) == 3).nonzero()[0][0])
    mask = longest.mask(None)
    assert mask is not None
    assert (mask[row, 0, :3, :3] == 0).tolist() == [[True, False, False], [True, True, False], [True, False, True]]


def test_a_prompt_without_nodes_takes_no_place() -> None:
    layout, positions = following_pass(
        prefix_of([2, 3]), [Trie.build([(0,)]), Trie.build([(5, 0)])], HEADS, WIDTH, last_layer=1
    )
    assert positions.tolist() == [3]
    assert layout.levels[0].segments[0].rows.shape == (1, 1)


def test_decoding_moves_on_by_one_position_and_leaves_out_who_has_ended() -> None:
    layout = DecodingLayout(prefix_of([2, 3], header=4), HEADS, WIDTH, last_layer=1, longest=8)
    tree_pass, positions = layout.next(np.array([1, 2]), np.array([0, 1, 1]), 0)
    assert positions.tolist() == [6, 7, 7]
    assert len(tree_pass.levels) == 3
    own = torch.zeros(3, 1, WIDTH)
    tree_pass.levels[-1].rows(0, (own, own), None)
    _, positions = layout.next(np.array([0, 2]), np.array([1, 2]), 1)
    assert positions.tolist() == [8, 8]
