"""Whether claims look like those that a threshold was chosen on: false alarms at their stated rate, shifts found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from candor.metrics.familiarity import (
    FEWEST_KNOWN,
    LARGEST_WEIGHT,
    SHIFT_LEVEL,
    UNFAMILIAR_RATE,
    Familiarity,
    density_ratio,
    shift_p_values,
)


def traits(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Skewed, discrete, dependent and constant traits: nothing like a normal distribution."""
    length = rng.gamma(1.5, 2.0, rows)
    return np.column_stack([length, rng.poisson(length), rng.integers(0, 2, rows), np.full(rows, 3.0)])


def test_claims_like_the_known_ones_are_called_unlike_them_at_the_stated_rate_at_most() -> None:
    flagged = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        flagged.append(Familiarity(traits(rng, 400)).unfamiliar(traits(rng, 200)).mean())
    # The share varies from one set of known claims to the next; its mean is what is promised.
    error = np.std(flagged) / np.sqrt(len(flagged))
    assert 0 < np.mean(flagged) <= UNFAMILIAR_RATE + 3 * error


def test_claims_from_elsewhere_are_called_unlike_them() -> None:
    rng = np.random.default_rng(0)
    known = Familiarity(traits(rng, 400))
    longer = traits(rng, 50) + np.array([40, 40, 0, 0])
    assert known.unfamiliar(longer).all()
    # What never varies among the known claims gives away whatever differs in it.
    assert known.unfamiliar(traits(rng, 50) + np.array([0, 0, 0, 1])).all()


def test_p_is_the_share_of_known_claims_that_lie_farther_out() -> None:
    known = np.arange(400.0)[:, None]
    p_M = Familiarity(known).p_values(np.array([[200.0], [1e6], [-1e6]]))
    assert p_M[0] > 0.95
    assert p_M[1:].tolist() == [1 / 201, 1 / 201]


def test_too_few_known_claims_are_an_error() -> None:
    assert FEWEST_KNOWN == 198
    with pytest.raises(ValueError, match="197 known claims are fewer than 198"):
        Familiarity(np.zeros((197, 2)))
    # With as few as are enough, the farthest claim of all is called unlike them.
    rng = np.random.default_rng(0)
    assert Familiarity(rng.normal(size=(198, 2))).unfamiliar(np.full((1, 2), 99.0)).all()


def test_alike_claims_together_raise_no_alarm_above_the_level() -> None:
    alarms = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        alarms += shift_p_values(traits(rng, 300), traits(rng, 80)).min() < SHIFT_LEVEL
    assert stats.binomtest(alarms, 600, SHIFT_LEVEL, alternative="greater").pvalue > 0.001


def test_a_shift_of_one_trait_is_found_and_named() -> None:
    rng = np.random.default_rng(1)
    p_F = shift_p_values(traits(rng, 300), traits(rng, 80) + np.array([1.5, 0, 0, 0]))
    assert p_F[0] < SHIFT_LEVEL
    assert (p_F[1:] >= SHIFT_LEVEL).all()
    assert p_F[3] == 1.0


def test_the_ratio_is_that_of_the_densities() -> None:
    rng = np.random.default_rng(2)
    known, new = rng.normal(0, 1, (4000, 1)), rng.normal(0.7, 1, (1500, 1))
    expected = stats.norm.pdf(known[:, 0], 0.7) / stats.norm.pdf(known[:, 0])
    found = density_ratio(known, new)
    middle = np.abs(known[:, 0]) < 1.5
    assert found[middle] == pytest.approx(expected[middle], rel=0.25)
    assert found.max() <= LARGEST_WEIGHT


def test_the_ratio_is_even_where_claims_are_alike() -> None:
    rng = np.random.default_rng(3)
    assert np.abs(density_ratio(traits(rng, 3000), traits(rng, 3000)) - 1).mean() < 0.15
    assert density_ratio(np.ones((50, 2)), np.ones((9, 2))) == pytest.approx(1.0)


def test_claims_that_have_nothing_in_common_give_finite_weights() -> None:
    found = density_ratio(np.zeros((50, 1)), np.full((50, 1), 1e6))
    assert np.isfinite(found).all()
    assert (found > 0).all()
