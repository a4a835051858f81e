"""Bootstrap resamples as sums over groups of rows.

A figure that depends only on sums over rows (how many of which kind, sums of squares) need not see single rows: a
resample draws groups with replacement and adds up what each brings. Figures of hundreds of resamples are then
computed at once, from one product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kernel = Callable[[Floats], Mapping[str, Floats]]
"""From sums [M, R] to named figures [R]."""

MOST_BUNDLES: Final = 4_096
"""Groups above which several are drawn together: the variance over so many bundles is known to 2 %, which is less
than what 10,000 resamples leave open of an interval's ends, and time and memory no longer grow with the rows."""

_CACHED: Final = 2**18
"""Sums that figures are computed from at a time: they should stay near the processor."""

_DENSE_FROM: Final = 1 / 25
"""Share of sums that are not 0 above which a dense product is faster than a sparse one."""


class Resampler:
    """Resamples N rows in groups.

    Args:
        sums_N_M: sparse; what each row adds to each of the M sums that figures need.
        group_N: code of each row's group; rows of one group are drawn together.
        seed: puts groups into bundles where there are more than ``MOST_BUNDLES``.

    Attributes:
        groups: number of groups.
        bundles: number of bundles of groups; the groups themselves unless they are many.
    """

    def __init__(self, sums_N_M: scipy.sparse.csr_array, group_N: NDArray[np.int64], *, seed: int = 0) -> None:
        member_N = np.unique(group_N, return_inverse=True)[1]
        self.groups = int(member_N.max(initial=-1)) + 1
        self.bundles = min(self.groups, MOST_BUNDLES)
        if self.bundles < self.groups:
            # Equal numbers of groups, chosen by lot: bundles are alike in distribution, as groups are.
            bundle_G = np.random.default_rng([seed, self.groups]).permutation(self.groups) % self.bundles
            member_N = bundle_G[member_N]
        rows = np.arange(member_N.size)
        shape = (self.bundles, member_N.size)
        sums_T_M = (scipy.sparse.csr_array((np.ones(rows.size), (member_N, rows)), shape=shape) @ sums_N_M).tocsr()
        dense = sums_T_M.nnz > _DENSE_FROM * max(sums_T_M.shape[0] * sums_T_M.shape[1], 1)
        self._sums_M_T = np.ascontiguousarray(sums_T_M.toarray().T) if dense else sums_T_M.T.tocsr()

    def observed(self) -> Floats:
        """Sums over the rows as they are, [M, 1]."""
        return np.asarray(self._sums_M_T @ np.ones((self.bundles, 1)))

    def resampled(self, figures: Kernel, resamples: int, rng: np.random.Generator) -> dict[str, Floats]:
        """Return every figure on each of R resamples.

        Args:
            figures: from sums [M, r] to named arrays [r].
            resamples: R, at least 1.
            rng: decides what is drawn.
        """

        def drawn(start: int, stop: int) -> Floats:
            size = stop - start
            places = rng.integers(0, self.bundles, size=(size, self.bundles), dtype=np.int64)
            places += self.bundles * np.arange(size)[:, None]
            counts_r_T = np.bincount(places.ravel(), minlength=self.bundles * size).reshape(size, self.bundles)
            return np.asarray(self._sums_M_T @ np.ascontiguousarray(counts_r_T.T, dtype=np.float64))

        return self._collected(figures, resamples, drawn)

    def without_one(self, figures: Kernel) -> dict[str, Floats]:
        """Return every figure with each of the T bundles left out in turn."""
        whole_M = self.observed()

        def left(start: int, stop: int) -> Floats:
            columns = self._sums_M_T[:, start:stop]
            sums_M_r: Floats = whole_M - (columns if isinstance(columns, np.ndarray) else columns.toarray())
            return sums_M_r

        return self._collected(figures, self.bundles, left)

    def _collected(self, figures: Kernel, total: int, sums: Callable[[int, int], Floats]) -> dict[str, Floats]:
        width = min(max(_CACHED // self._sums_M_T.shape[0], 1), max(_CACHED // max(self.bundles, 1), 1), total)
        collected: dict[str, Floats] = {}
        for start in range(0, total, width):
            stop = min(start + width, total)
            for name, values in figures(sums(start, stop)).items():
                collected.setdefault(name, np.empty(total))[start:stop] = values
        return collected
