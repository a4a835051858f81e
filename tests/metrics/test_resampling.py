"""Resamples as sums: what is added up, left out and drawn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from candor.metrics import resampling
from candor.metrics.resampling import Resampler

ROWS = scipy.sparse.csr_array(np.eye(3)[[0, 1, 1, 2, 0, 1, 1]])
"""Seven rows of three kinds, counted by kind."""
GROUPS = np.array([5, 5, 9, 9, 2, 2, 7])
"""Groups 5 and 2 hold kinds 0 and 1, group 9 holds 1 and 2, group 7 holds 1."""


def columns(sums: np.ndarray) -> dict[str, np.ndarray]:
    return {str(number): row for number, row in enumerate(sums)}


def test_rows_are_added_up_as_they_are() -> None:
    for groups, number in ((GROUPS, 4), (np.arange(7), 7)):
        resampler = Resampler(ROWS, groups)
        assert (resampler.groups, resampler.bundles) == (number, number)
        assert resampler.observed()[:, 0].tolist() == [2, 4, 1]


def test_each_group_is_left_out_in_turn() -> None:
    left = Resampler(ROWS, GROUPS).without_one(columns)
    found = sorted(zip(*(left[str(number)].tolist() for number in range(3)), strict=True))
    assert found == [(1, 3, 1), (1, 3, 1), (2, 3, 0), (2, 3, 1)]


def test_a_kind_that_a_group_holds_twice_counts_twice() -> None:
    left = Resampler(scipy.sparse.csr_array(np.eye(2)[[0, 0, 1]]), np.array([1, 1, 2])).without_one(columns)
    assert sorted(zip(left["0"].tolist(), left["1"].tolist(), strict=True)) == [(0, 1), (2, 0)]


@pytest.mark.parametrize("groups", [GROUPS, np.arange(7)], ids=["groups", "rows"])
def test_a_resample_draws_as_many_groups_as_there_are(groups: np.ndarray) -> None:
    resampler = Resampler(ROWS, groups)
    drawn = resampler.resampled(lambda sums: {"n": sums.sum(axis=0)}, 200, np.random.default_rng(0))["n"]
    possible = set(range(4, 9)) if resampler.groups == 4 else {7}
    assert set(drawn.tolist()) <= possible
    assert drawn.shape == (200,)


@pytest.mark.parametrize("kinds", [3, 60])
def test_resamples_have_the_mean_and_variance_of_drawn_rows(kinds: int) -> None:
    """Sums of few kinds are held densely, those of many sparsely."""
    rng = np.random.default_rng(1)
    kind = rng.permutation(np.arange(600) % kinds)
    resampler = Resampler(scipy.sparse.csr_array(np.eye(kinds)[kind]), np.arange(600))
    drawn = resampler.resampled(lambda sums: {"first": sums[0]}, 2_000, np.random.default_rng(2))["first"]
    mean, variance = 600 / kinds, 600 / kinds * (1 - 1 / kinds)
    assert abs(drawn.mean() - mean) < 5 * (variance / 2000) ** 0.5
    assert drawn.var() == pytest.approx(variance, rel=0.25)


def test_many_groups_are_drawn_in_bundles_that_vary_as_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "MOST_BUNDLES", 500)
    rng = np.random.default_rng(4)
    values = rng.exponential(size=(6_001, 1))
    resampler = Resampler(scipy.sparse.csr_array(values), np.repeat(np.arange(6_001), 1))
    assert (resampler.groups, resampler.bundles) == (6_001, 500)
    assert resampler.observed()[0, 0] == pytest.approx(values.sum())
    drawn = resampler.resampled(lambda sums: {"sum": sums[0]}, 4_000, np.random.default_rng(5))["sum"]
    assert drawn.mean() == pytest.approx(values.sum(), rel=0.01)
    assert drawn.std() == pytest.approx(values.std() * 6_001**0.5, rel=0.15)
    again = Resampler(scipy.sparse.csr_array(values), np.arange(6_001), seed=1)
    assert (again.without_one(columns)["0"] != resampler.without_one(columns)["0"]).any()


def test_the_same_seed_draws_the_same_whatever_the_number_of_figures() -> None:
    resampler = Resampler(ROWS, GROUPS)
    one = resampler.resampled(lambda sums: {"a": sums[0]}, 70, np.random.default_rng(3))
    two = resampler.resampled(lambda sums: {"a": sums[0], "b": sums[1]}, 70, np.random.default_rng(3))
    np.testing.assert_array_equal(one["a"], two["a"])
