"""Edges of tries, and scores along them."""

from __future__ import annotations

import torch

from candor.engines.base import TokenScores
from candor.engines.tree.edges import along_paths, build_tries, gather_edges, joined


def test_equal_continuations_in_a_row_share_a_trie() -> None:
    first, second, third = build_tries([[(1, 2)], [(1, 2)], [(3,)]])
    assert first is second
    assert third is not first
    assert third.edge_tokens.tolist() == [3]


def test_an_edge_leads_from_a_node_or_from_its_own_prompts_end() -> None:
    tries = build_tries([[(7, 8), (7, 9)], [(5,)]])
    sources, tokens, paths_P_C_T, mask_P_C_T = gather_edges(tries)
    # One node in all, token 7 of the first prompt; behind it stand the ends of the two prompts.
    ends = [1, 2]
    assert dict(zip(zip(sources.tolist(), tokens.tolist(), strict=True), range(4), strict=True)) == {
        (ends[0], 7): 0,
        (0, 8): 1,
        (0, 9): 2,
        (ends[1], 5): 3,
    }
    assert tokens[paths_P_C_T[0]].tolist() == [[7, 8], [7, 9]]
    assert tokens[paths_P_C_T[1, 0, 0]] == 5
    assert mask_P_C_T.tolist() == [[[True, True], [True, True]], [[True, False], [False, False]]]


def test_scores_are_taken_along_paths_and_are_0_where_there_is_no_token() -> None:
    _, _, paths, mask = gather_edges(build_tries([[(7, 8), (7,)]]))
    along = along_paths(torch.tensor([-1.0, -2.0]), torch.from_numpy(paths), torch.from_numpy(mask))
    assert along.tolist() == [[[-1.0, -2.0], [-1.0, 0.0]]]
    none = along_paths(torch.zeros(0), torch.zeros(1, 1, 2, dtype=torch.int64), torch.zeros(1, 1, 2, dtype=torch.bool))
    assert none.tolist() == [[[0.0, 0.0]]]


def test_pieces_of_a_group_stand_one_behind_the_other_padded_alike() -> None:
    short = TokenScores(torch.full((1, 1, 1), -1.0), torch.full((1, 1, 1), -2.0), torch.ones(1, 1, 1, dtype=torch.bool))
    long = TokenScores(torch.full((1, 2, 3), -3.0), torch.full((1, 2, 3), -4.0), torch.ones(1, 2, 3, dtype=torch.bool))
    together = joined([short, long])
    assert together.logprobs_P_C_T.tolist() == [[[-1.0, 0.0, 0.0], [-3.0] * 3, [-3.0] * 3]]
    assert together.raw_logprobs_P_C_T[0, 0].tolist() == [-2.0, 0.0, 0.0]
    assert together.mask_P_C_T[0].tolist() == [[True, False, False], [True] * 3, [True] * 3]
