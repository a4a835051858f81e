"""Resamples as counts: what is counted, left out and drawn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from candor.metrics.resampling import Resampler

IDENTITY = scipy.sparse.eye_array(3, format="csr")
CELLS = np.array([0, 1, 1, 2, 0, 1, 1])
GROUPS = np.array([5, 5, 9, 9, 2, 2, 7])
"""Groups 5 and 2 hold cells 0 and 1, group 9 holds 1 and 2, group 7 holds 1: three kinds of four groups."""


def test_rows_are_counted_as_they_are() -> None:
    resampler = Resampler(CELLS, GROUPS, IDENTITY)
    assert resampler.groups == 4
    assert resampler.observed()[:, 0].tolist() == [2, 4, 1]
    alone = Resampler(CELLS, np.arange(7), IDENTITY)
    assert alone.groups == 7
    assert alone.observed()[:, 0].tolist() == [2, 4, 1]


def test_one_group_of_each_kind_is_left_out() -> None:
    left, weight = Resampler(CELLS, GROUPS, IDENTITY).without_one()
    found = {tuple(left[:, kind].tolist()): weight[kind] for kind in range(weight.size)}
    assert found == {(1, 3, 1): 2.0, (2, 3, 0): 1.0, (2, 3, 1): 1.0}


def test_a_cell_that_a_group_holds_twice_counts_twice() -> None:
    resampler = Resampler(np.array([0, 0, 1]), np.array([1, 1, 2]), scipy.sparse.eye_array(2, format="csr"))
    left, _ = resampler.without_one()
    assert sorted(map(tuple, left.T.tolist())) == [(0, 1), (2, 0)]


def test_what_figures_need_is_counted_and_no_more() -> None:
    # Two counts: rows of cells 0 and 2, and rows of any cell.
    needed = scipy.sparse.csr_array(np.array([[1, 0, 1], [1, 1, 1]]))
    assert Resampler(CELLS, GROUPS, needed).observed()[:, 0].tolist() == [3, 7]


@pytest.mark.parametrize("groups", [GROUPS, np.arange(7)], ids=["groups", "rows"])
def test_a_resample_draws_as_many_groups_as_there_are(groups: np.ndarray) -> None:
    resampler = Resampler(CELLS, groups, IDENTITY)
    drawn = resampler.figures(lambda counts: {"n": counts.sum(axis=0)}, 200, np.random.default_rng(0))["n"]
    sizes = np.bincount(groups)
    possible = {4 * low for low in range(1, 3)} | set(range(4, 9)) if resampler.groups == 4 else {7}
    assert sizes.sum() == 7
    assert set(drawn.tolist()) <= possible
    assert drawn.shape == (200,)


@pytest.mark.parametrize("kinds", [3, 60])
def test_means_over_resamples_are_those_of_the_rows(kinds: int) -> None:
    """Both ways of drawing: few kinds of groups, and many."""
    rng = np.random.default_rng(1)
    cells = rng.permutation(np.arange(600) % kinds)
    resampler = Resampler(cells, np.arange(600), scipy.sparse.eye_array(kinds, format="csr"))
    drawn = resampler.figures(lambda counts: {"first": counts[0]}, 2000, np.random.default_rng(2))["first"]
    mean, variance = 600 / kinds, 600 / kinds * (1 - 1 / kinds)
    assert abs(drawn.mean() - mean) < 5 * (variance / 2000) ** 0.5
    assert drawn.var() == pytest.approx(variance, rel=0.25)


def test_the_same_seed_draws_the_same_whatever_the_number_of_figures() -> None:
    resampler = Resampler(CELLS, GROUPS, IDENTITY)
    one = resampler.figures(lambda c: {"a": c[0]}, 70, np.random.default_rng(3))
    two = resampler.figures(lambda c: {"a": c[0], "b": c[1]}, 70, np.random.default_rng(3))
    np.testing.assert_array_equal(one["a"], two["a"])
