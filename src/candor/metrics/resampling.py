"""Bootstrap resamples as counts of distinct rows.

A figure that depends only on how often each distinct row (gold label, answers, confidences) occurs need not see
single rows: a resample is a vector of counts. Drawing groups with replacement and counting their rows has exactly
the distribution of the plain bootstrap, and figures of hundreds of resamples are computed at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CHUNK: Final = 256
"""Resamples at a time: keeps the arrays of one chunk in the processor's cache."""

_MULTINOMIAL_UP_TO: Final = 24
"""Distinct kinds of groups up to which drawing counts directly is faster than drawing groups."""


class Resampler:
    """Resamples N rows in groups, and counts their K distinct cells.

    Args:
        cell_N: code of each row's cell, 0 ... K - 1, each present.
        group_N: code of each row's group; rows of one group are drawn together.
    """

    def __init__(self, cell_N: NDArray[np.int64], group_N: NDArray[np.int64]) -> None:
        cells = int(cell_N.max(initial=-1)) + 1
        order_N = np.lexsort((cell_N, group_N))
        starts = np.flatnonzero(np.diff(group_N[order_N], prepend=-1))
        kinds: dict[tuple[int, ...], int] = {}
        kind_G = [
            kinds.setdefault(tuple(part.tolist()), len(kinds))
            for part in (np.split(cell_N[order_N], starts[1:]) if starts.size else [])
        ]
        self._kind_G = np.array(kind_G, dtype=np.int64)
        self._groups_T = np.bincount(self._kind_G, minlength=len(kinds))
        entries = [(cell, kind) for signature, kind in kinds.items() for cell in signature]
        rows, columns = zip(*entries, strict=True) if entries else ((), ())
        # Entries that occur twice are added: a group may hold the same cell more than once.
        self._members_K_T = scipy.sparse.csr_array((np.ones(len(entries)), (rows, columns)), shape=(cells, len(kinds)))
        self._one_cell_per_kind = len(entries) == len(kinds)
        if self._one_cell_per_kind:
            self._order_K = np.empty(cells, dtype=np.int64)
            self._order_K[list(rows)] = list(columns)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self._kind_G.size

    def _cells(self, kinds_T_R: Floats) -> Floats:
        if self._one_cell_per_kind:
            return kinds_T_R[self._order_K]
        return np.asarray(self._members_K_T @ kinds_T_R)

    def observed(self) -> Floats:
        """Counts of the rows as they are, [K, 1]."""
        return self._cells(self._groups_T[:, None].astype(np.float64))

    def without_one(self) -> tuple[Floats, Floats]:
        """Counts [K, T] with one group of each of T kinds left out, and how many groups [T] are of that kind."""
        left = self._groups_T[:, None] - np.eye(self._groups_T.size)
        return self._cells(left), self._groups_T.astype(np.float64)

    def draws(self, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
        """Yield counts [K, r] of ``resamples`` resamples, some at a time."""
        groups, kinds = self._kind_G.size, self._groups_T.size
        dtype = np.uint16 if groups <= 2**16 - 1 else np.int64
        for start in range(0, resamples, _CHUNK):
            size = min(_CHUNK, resamples - start)
            if kinds <= _MULTINOMIAL_UP_TO:
                kinds_T_R = rng.multinomial(groups, self._groups_T / groups, size=size).T.astype(np.float64)
            else:
                drawn_R_G = self._kind_G[rng.integers(0, groups, size=(size, groups), dtype=dtype)]
                drawn_R_G *= size
                drawn_R_G += np.arange(size)[:, None]
                flat = np.bincount(drawn_R_G.ravel(), minlength=kinds * size)
                kinds_T_R = flat.reshape(kinds, size).astype(np.float64)
            yield self._cells(kinds_T_R)
