"""Rows of different lengths as one padded array."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

Row: TypeAlias = Sequence[float] | NDArray[Any]


@overload
def padded(rows_P_C: Sequence[Sequence[Row]]) -> NDArray[np.float64]: ...


@overload
def padded(rows_P_C: Sequence[Sequence[Row]], fill: int) -> NDArray[np.int64]: ...


def padded(rows_P_C: Sequence[Sequence[Row]], fill: float = 0.0) -> NDArray[Any]:
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
    mask_P_C_T = lengths_mask(rows_P_C)
    values = np.full(mask_P_C_T.shape, fill)
    # An empty row would be one of fractions and make whole numbers such, too.
    if filled := list(filter(len, chain.from_iterable(rows_P_C))):
        values[mask_P_C_T] = np.concatenate(filled)
    return values


def lengths_mask(rows_P_C: Sequence[Sequence[Row]]) -> NDArray[np.bool_]:
    """Where :func:`padded` has a number of the rows' own, shape P C T.

    >>> lengths_mask([[[1.0, 2.0]], [[3.0], [4.0]]]).sum(-1).tolist()
    [[2, 0], [1, 1]]
    """
    counts_P = list(map(len, rows_P_C))
    lengths = list(map(len, chain.from_iterable(rows_P_C)))
    lengths_P_C = np.zeros((len(counts_P), max(counts_P)), dtype=np.int64)
    lengths_P_C[np.arange(lengths_P_C.shape[1]) < np.array(counts_P)[:, None]] = lengths
    return np.arange(max(lengths)) < lengths_P_C[..., None]
