"""Padding fills up and takes nothing away."""

from __future__ import annotations

import numpy as np
import pytest

from candor.engines.ragged import lengths_mask, padded


def test_rows_stand_at_their_beginning_and_are_filled_up() -> None:
    rng = np.random.default_rng(0)
    rows_P_C = [[rng.normal(size=rng.integers(1, 9)) for _ in range(rng.integers(1, 5))] for _ in range(6)]
    values, mask = padded(rows_P_C), lengths_mask(rows_P_C)
    assert values.shape == mask.shape == (6, max(map(len, rows_P_C)), max(len(r) for rows in rows_P_C for r in rows))
    assert values.dtype == np.float64
    for p, rows in enumerate(rows_P_C):
        for c, row in enumerate(rows):
            assert values[p, c, : len(row)].tolist() == row.tolist()
            assert mask[p, c].sum() == len(row)
        assert not mask[p, len(rows) :].any()
    assert not values[~mask].any()


def test_tokens_stay_whole_numbers() -> None:
    tokens = padded([[(2**40 + 1, 2), ()], [(3,)]], fill=-1)
    assert np.issubdtype(tokens.dtype, np.integer)
    assert tokens.tolist() == [[[2**40 + 1, 2], [-1, -1]], [[3, -1], [-1, -1]]]


def test_nothing_to_pad_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        padded([[]])
