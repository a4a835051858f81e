"""What can be seen: formulas by hand, and a plan that keeps its word."""

from __future__ import annotations

import numpy as np
import pytest

from candor.errors import PredictionError
from candor.metrics.names import TESTED
from candor.metrics.paired_share import FEWEST_DISCORDANT, paired_share_difference
from candor.metrics.power import check_resamples, fewest_resamples, least_detectable, plan


def test_the_least_effect_by_hand() -> None:
    # 1.96 + .8416 standard errors at .05; at .01 over ten tests the first quantile is that of .0005.
    assert least_detectable(0.1, significance=0.05) == pytest.approx(0.1 * (1.959964 + 0.841621), rel=1e-5)
    assert least_detectable(0.1, significance=0.01, tests=10) == pytest.approx(0.1 * (3.290527 + 0.841621), rel=1e-5)
    assert least_detectable(0.1, significance=0.05, power=0.5) == pytest.approx(0.1959964, rel=1e-5)


@pytest.mark.parametrize("tests", [1, 12, 17])
def test_with_the_fewest_resamples_the_least_p_is_significant_and_with_one_fewer_not(tests: int) -> None:
    fewest = fewest_resamples(tests, 0.01)
    assert tests / (1 + fewest) < 0.01
    assert tests / fewest >= 0.01


def test_too_few_resamples_are_refused_with_the_number_that_is_needed() -> None:
    check_resamples(10_000)
    check_resamples(100 * len(TESTED))
    with pytest.raises(PredictionError, match=r"resamples is 1199: .* 12 tests .* 0.01, .* needs at least 1200"):
        check_resamples(1_199, tests=12)


def test_a_plan_by_hand() -> None:
    # (z at .995 + z at .8)^2 (.3 - .01) / .01 = (2.5758 + .8416)^2 * 29.
    found = plan(0.10, discordant=0.3, tests=1)
    assert found.examples == 339
    assert found.resamples == 100
    assert found.examples_with_seeds == found.examples
    assert plan(0.10, discordant=0.3, tests=1, design_effect=2).examples == 678
    # A margin of half the effect leaves half of it to be seen.
    assert plan(0.10, margin=0.05, discordant=0.3, tests=1).examples == pytest.approx(4 * 339, abs=4)


def test_there_must_be_examples_that_differ() -> None:
    assert plan(0.9, discordant=0.9, tests=1, significance=0.5).examples == round(FEWEST_DISCORDANT / 0.9 + 0.5)


def test_seeds_that_differ_need_more_of_everything() -> None:
    alone = plan(0.10, discordant=0.3, tests=1)
    some = plan(0.10, discordant=0.3, tests=1, seeds=5, seed_spread=0.02)
    assert some.examples == alone.examples
    assert some.examples_with_seeds is not None
    assert some.examples_with_seeds > alone.examples
    # Three seeds that differ by as much as the effect show nothing, on however many examples.
    assert plan(0.10, discordant=0.3, tests=1, seeds=3, seed_spread=0.10).examples_with_seeds is None
    assert plan(0.10, discordant=0.3, tests=1, seeds=1, seed_spread=0.01).examples_with_seeds is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"effect": 0.0}, "effect is 0; needs a rise in"),
        ({"effect": 0.1, "margin": 0.1}, "margin is 0.1; needs at least 0 and below the effect"),
        ({"effect": 0.5, "discordant": 0.4}, "discordant is 0.4; needs a share of at least the effect"),
        ({"effect": 0.1, "design_effect": 0.5}, "design_effect is 0.5"),
        ({"effect": 0.1, "seeds": 0}, "seeds is 0"),
        ({"effect": 0.1, "seed_spread": -1}, "seed_spread is -1"),
        ({"effect": 0.1, "significance": 1}, "significance is 1"),
        ({"effect": 0.1, "tests": 0}, "tests is 0"),
        ({"effect": 0.1, "power": 1}, "power is 1"),
    ],
)
def test_what_is_out_of_range_is_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        plan(**values)  # type: ignore[arg-type]


def test_a_planned_comparison_sees_its_effect_as_often_as_said() -> None:
    found = plan(0.15, discordant=0.35, tests=5)
    draw = np.random.default_rng(0)
    seen = 0
    for _ in range(400):
        place = draw.random(found.examples)
        share = paired_share_difference(place > 0.90, place < 0.25, np.arange(found.examples))
        seen += share.p_two_sided < 0.01 / 5
    assert 0.72 <= seen / 400 <= 0.87
