"""The exchange test: what a difference of label figures would be if the two models were swapped group by group."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.metrics.classification import label_figures
from candor.metrics.resampling import MOST_BUNDLES
from candor.metrics.views import ANSWER_COLUMNS, View
from candor.types import LABELS

Floats = NDArray[np.float64]

_AT_ONCE: Final = 2**20
"""Swaps that are drawn at a time."""


def exchange_p(first: View, second: View, figure: str, *, resamples: int, seed: int) -> float:
    """Two-sided p of "the two models are alike": how often a swap by chance makes so large a difference.

    If the models are alike, their answers to a group might as well be the other's. Of R random swaps of whole groups,
    ``count`` make a difference at least as large as the observed one, and p is (1 + count) / (1 + R): at most its
    level, however few the examples are (Phipson and Smyth 2010). Where the models are not alike in other ways it is
    right for many examples only, as is the bootstrap's.

    Args:
        first: N answers.
        second: N answers, with the same gold labels and groups row by row.
        figure: name of a figure in :func:`~candor.metrics.classification.label_figures` that is never undefined.
        resamples: R, at least 1.
        seed: decides what is swapped.
    """
    draw = np.random.default_rng([seed, first.gold_N.size])
    tables = [_group_tables(view) for view in (first, second)]
    total = [table_G_12.sum(axis=0) for table_G_12 in tables]
    change_T_12 = _bundled(tables[1] - tables[0], draw)

    def differences(swapped_R_T: Floats) -> Floats:
        moved_12_R = (swapped_R_T @ change_T_12).T
        sides = (total[0][:, None] + moved_12_R, total[1][:, None] - moved_12_R)
        values = [label_figures(side.reshape(len(LABELS), ANSWER_COLUMNS, -1))[figure] for side in sides]
        return np.asarray(values[1] - values[0])

    observed = abs(float(differences(np.zeros((1, change_T_12.shape[0])))[0]))
    count, width = 0, max(_AT_ONCE // max(change_T_12.shape[0], 1), 1)
    for start in range(0, resamples, width):
        rows = min(width, resamples - start)
        swapped_R_T = draw.integers(0, 2, (rows, change_T_12.shape[0])).astype(np.float64)
        count += int((np.abs(differences(swapped_R_T)) >= observed - 1e-12).sum())
    return (1 + count) / (1 + resamples)


def _group_tables(view: View) -> Floats:
    """Counts of (gold, answer) in each group, [G, 12]."""
    member_N = np.unique(view.group_N, return_inverse=True)[1]
    width = len(LABELS) * ANSWER_COLUMNS
    place_N = member_N * width + view.gold_N * ANSWER_COLUMNS + view.column
    counts: Floats = np.bincount(place_N, minlength=(int(member_N.max(initial=-1)) + 1) * width).astype(np.float64)
    return counts.reshape(-1, width)


def _bundled(change_G_12: Floats, draw: np.random.Generator) -> Floats:
    """Groups that a swap changes; where they are very many, in bundles that are swapped whole."""
    change_T_12: Floats = change_G_12[(change_G_12 != 0).any(axis=1)]
    if change_T_12.shape[0] <= MOST_BUNDLES:
        return change_T_12
    bundle_T = draw.permutation(change_T_12.shape[0]) % MOST_BUNDLES
    bundles: Floats = np.zeros((MOST_BUNDLES, change_T_12.shape[1]))
    np.add.at(bundles, bundle_T, change_T_12)
    return bundles
