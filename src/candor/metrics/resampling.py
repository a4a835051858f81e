"""Bootstrap resamples as counts of distinct rows.

A figure that depends only on how often each distinct row (gold label, answers, confidences) occurs need not see
single rows: a resample is a vector of counts. Drawing groups with replacement and counting their rows has exactly
the distribution of the plain bootstrap, and figures of hundreds of resamples are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CACHED: Final = 2**17
"""Counts that figures are computed from at a time: they should stay in the processor's cache."""

_DRAWN: Final = 64
"""Resamples drawn at a time, for the same reason."""

_MULTINOMIAL_UP_TO: Final = 24
"""Distinct kinds of groups up to which drawing counts directly is faster than drawing groups."""


class Resampler:
    """Resamples N rows in groups, and counts them by what figures need.

    Args:
        cell_N: code of each row's cell, 0 ... K - 1, each present; at least one row. Rows of one cell are alike.
        group_N: code of each row's group, at least 0; rows of one group are drawn together.
        count_M_K: sparse; how often a row of each cell adds to each of the M counts that figures need.
    """

    def __init__(
        self, cell_N: NDArray[np.int64], group_N: NDArray[np.int64], count_M_K: scipy.sparse.csr_array
    ) -> None:
        if np.unique(group_N).size == group_N.size:
            # Every row is its own group: kinds of groups are the cells themselves.
            self._kind_G = cell_N
            self._groups_T = np.bincount(cell_N)
            self._count_M_T = count_M_K
            return
        order_N = np.lexsort((cell_N, group_N))
        starts = np.flatnonzero(np.diff(group_N[order_N], prepend=-1))
        kinds: dict[tuple[int, ...], int] = {}
        self._kind_G = np.array(
            [kinds.setdefault(tuple(part.tolist()), len(kinds)) for part in np.split(cell_N[order_N], starts[1:])],
            dtype=np.int64,
        )
        self._groups_T = np.bincount(self._kind_G)
        entries = [(cell, kind) for signature, kind in kinds.items() for cell in signature]
        rows, columns = zip(*entries, strict=True)
        # Entries that occur twice are added: a group may hold the same cell more than once.
        self._count_M_T = count_M_K @ scipy.sparse.csr_array((np.ones(len(entries)), (rows, columns)))

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self._kind_G.size)

    def observed(self) -> Floats:
        """Counts of the rows as they are, [M, 1]."""
        return np.asarray(self._count_M_T @ self._groups_T[:, None].astype(np.float64))

    def without_one(self) -> tuple[Floats, Floats]:
        """Counts [M, T] with one group of each of T kinds left out, and how many groups [T] are of that kind."""
        return self.observed() - self._count_M_T.toarray(), self._groups_T.astype(np.float64)

    def figures(
        self,
        figures: Callable[[Floats], Mapping[str, Floats]],
        resamples: int,
        rng: np.random.Generator,
    ) -> dict[str, Floats]:
        """Return every figure on every resample.

        Args:
            figures: from counts [M, r] to named arrays [r].
            resamples: R, at least 1.
            rng: decides what is drawn.

        Returns:
            named arrays [R].
        """
        kept = self._count_M_T.shape[0]
        width = min(max(_CACHED // kept, 1), resamples)
        counts_M_r = np.empty((kept, width))
        collected: dict[str, Floats] = {}
        for start in range(0, resamples, width):
            size = min(width, resamples - start)
            for first in range(0, size, _DRAWN):
                last = min(first + _DRAWN, size)
                counts_M_r[:, first:last] = self._count_M_T @ self._drawn(last - first, rng)
            for name, values in figures(counts_M_r[:, :size]).items():
                collected.setdefault(name, np.empty(resamples))[start : start + size] = values
        return collected

    def _drawn(self, resamples: int, rng: np.random.Generator) -> Floats:
        groups, kinds = self._kind_G.size, self._groups_T.size
        if kinds <= _MULTINOMIAL_UP_TO:
            kinds_R_T = rng.multinomial(groups, self._groups_T / groups, size=resamples)
        else:
            dtype = np.uint16 if groups < 2**16 else np.int64
            drawn_R_G = rng.integers(0, groups, size=(resamples, groups), dtype=dtype)
            # All indices are in range; "clip" only spares the check.
            kinds_R_G = np.take(self._kind_G, drawn_R_G, mode="clip")
            kinds_R_G += kinds * np.arange(resamples)[:, None]
            kinds_R_T = np.bincount(kinds_R_G.ravel(), minlength=kinds * resamples).reshape(resamples, kinds)
        return np.ascontiguousarray(kinds_R_T.T, dtype=np.float64)
