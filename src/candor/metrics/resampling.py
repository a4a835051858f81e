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

_CACHED: Final = 2**17
"""Counts at a time: the arrays of one chunk of resamples should stay in the processor's cache."""

_DRAWN: Final = 64
"""Resamples drawn at a time, for the same reason."""

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
        chunk = min(max(_CACHED // max(kinds, 1), _DRAWN), 1024)
        for start in range(0, resamples, chunk):
            size = min(chunk, resamples - start)
            if kinds <= _MULTINOMIAL_UP_TO:
                kinds_T_R = rng.multinomial(groups, self._groups_T / groups, size=size).T.astype(np.float64)
            else:
                kinds_T_R = np.empty((kinds, size))
                for first in range(0, size, _DRAWN):
                    part = slice(first, min(first + _DRAWN, size))
                    kinds_T_R[:, part] = self._drawn(part.stop - part.start, rng).T
            yield self._cells(kinds_T_R)

    def _drawn(self, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
        groups, kinds = self._kind_G.size, self._groups_T.size
        dtype = np.uint16 if groups < 2**16 else np.int64
        drawn_R_G = rng.integers(0, groups, size=(resamples, groups), dtype=dtype)
        # All indices are in range; "clip" only spares the check.
        kinds_R_G = np.take(self._kind_G, drawn_R_G, mode="clip")
        kinds_R_G += kinds * np.arange(resamples)[:, None]
        return np.bincount(kinds_R_G.ravel(), minlength=kinds * resamples).reshape(resamples, kinds)
