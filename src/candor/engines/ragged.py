"""Rows of different lengths as one padded array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray


@overload
def padded(rows_P_C: Sequence[Sequence[ArrayLike]]) -> NDArray[np.float64]: ...


@overload
def padded(rows_P_C: Sequence[Sequence[ArrayLike]], fill: int) -> NDArray[np.int64]: ...


def padded(rows_P_C: Sequence[Sequence[ArrayLike]], fill: float = 0.0) -> NDArray[Any]:
    """Rows of numbers for P prompts, any number each, filled up to C rows of T numbers.

    Args:
        rows_P_C: for each prompt its rows, one-dimensional; at least one row in all.
        fill: what stands where there is nothing; a whole number makes the array one of whole numbers.

    Returns:
        Shape P C T.

    >>> padded([[[1.0, 2.0]], [[3.0], [4.0]]]).tolist()
    [[[1.0, 2.0], [0.0, 0.0]], [[3.0, 0.0], [4.0, 0.0]]]
    >>> padded([[(5, 6), (7,)]], fill=-1).tolist()
    [[[5, 6], [7, -1]]]
    """
    longest = max(np.size(row) for rows in rows_P_C for row in rows)
    values = np.full((len(rows_P_C), max(map(len, rows_P_C)), longest), fill)
    for p, rows in enumerate(rows_P_C):
        for c, row in enumerate(rows):
            values[p, c, : np.size(row)] = row
    return values


def lengths_mask(rows_P_C: Sequence[Sequence[ArrayLike]]) -> NDArray[np.bool_]:
    """Where :func:`padded` has a number of the rows' own, shape P C T.

    >>> lengths_mask([[[1.0, 2.0]], [[3.0], [4.0]]]).sum(-1).tolist()
    [[2, 0], [1, 1]]
    """
    return padded([[np.ones(np.size(row)) for row in rows] for rows in rows_P_C]) > 0
