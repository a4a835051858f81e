"""What a comparison can see: the least effect beside a "not significant", and the examples that an effect needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scipy import special

from candor.errors import PredictionError
from candor.metrics.names import TESTED
from candor.metrics.paired_share import FEWEST_DISCORDANT

POWER: Final = 0.8
"""Chance of seeing an effect that is planned for; the usual one (Cohen 1988)."""

SIGNIFICANCE: Final = 0.01
"""Level below which a corrected p counts as significant, the study's."""


def least_detectable(standard_error: float, *, significance: float, tests: int = 1, power: float = POWER) -> float:
    """Return the least true difference that a test would have seen, with the chance ``power``.

    With z the normal quantile it is (z at 1 - significance / (2 tests) + z at power) standard errors (Bloom 1995). A
    difference that is not significant excludes effects well above it, and says nothing of those below.

    Args:
        standard_error: of the difference, in its units, at least 0.
        significance: level after correction, in (0, 1).
        tests: how many tests share one correction: the first that Holm looks at needs ``significance / tests``.
        power: in (0, 1).

    >>> round(least_detectable(0.02, significance=0.05), 3)
    0.056
    """
    return standard_error * float(special.ndtri(1 - significance / (2 * tests)) + special.ndtri(power))


def fewest_resamples(tests: int, significance: float) -> int:
    """Fewest resamples with which the least p that counting can give is below the level after correction.

    The least p is 1 / (1 + resamples); Holm multiplies the first by the number of tests.

    >>> fewest_resamples(17, 0.01)
    1700
    """
    return math.floor(tests / significance)


def check_resamples(resamples: int, *, tests: int = len(TESTED), significance: float = SIGNIFICANCE) -> None:
    """Refuse so few resamples that no difference could ever be significant.

    Args:
        resamples: of the bootstrap.
        tests: that share one correction.
        significance: level after correction, in (0, 1).

    Raises:
        PredictionError: says how many are needed.
    """
    needed = fewest_resamples(tests, significance)
    if resamples < needed:
        raise PredictionError(
            f"resamples is {resamples}: the least p is then 1/{resamples + 1}, and after Holm's correction over "
            f"{tests} tests no bootstrap p is below {significance:g}, however large the effect; "
            f"needs at least {needed}"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes to see a rise of a share.

    Attributes:
        effect: the rise, in (0, 1].
        margin: that it is to be shown to exceed, at least 0 and below ``effect``.
        discordant: share of examples on which the models differ, at least ``effect``.
        examples: that are needed with one seed; of the kind that the share is taken over (NA examples for NA recall).
        resamples: least number of resamples.
        seeds: number of seeds that the plan is for.
        seed_spread: standard deviation of the rise between seeds.
        examples_with_seeds: that are needed with so many seeds on one test set; ``None`` where no number is enough.
        power: chance of seeing it.
    """

    effect: float
    margin: float
    discordant: float
    examples: int
    resamples: int
    seeds: int
    seed_spread: float
    examples_with_seeds: int | None
    power: float


def plan(
    effect: float,
    *,
    margin: float = 0.0,
    discordant: float = 0.4,
    design_effect: float = 1.0,
    seeds: int = 1,
    seed_spread: float = 0.0,
    significance: float = SIGNIFICANCE,
    tests: int = len(TESTED),
    power: float = POWER,
) -> Plan:
    """Plan examples, seeds and resamples for a rise of a share, such as NA recall.

    On n pairs of which a share d differs, the rise e has the variance (d - e^2) / n (Miettinen 1968; Connor 1987); it
    is seen if it exceeds the margin by (z at 1 - significance / (2 tests) + z at power) standard errors, and there
    must be enough examples for ``FEWEST_DISCORDANT`` to differ. Several seeds on one test set add the variance between
    seeds divided by their number, and the quantile is Student's with one degree of freedom fewer than seeds for that
    part of the variance; more examples cannot make up for too few seeds.

    Args:
        effect: true rise that is to be seen, in (0, 1].
        margin: rise that it is to be shown to exceed, in [0, effect).
        discordant: share of examples on which base and trained differ, in [effect, 1].
        design_effect: by how much examples in groups say less, at least 1.
        seeds: trainings, at least 1.
        seed_spread: standard deviation of the rise between seeds, at least 0.
        significance: level after correction, in (0, 1).
        tests: that share one correction, at least 1.
        power: chance of seeing it, in (0, 1).

    Raises:
        PredictionError: a value is out of range.
    """
    for name, value, fine, wanted in (
        ("effect", effect, 0 < effect <= 1, "a rise in (0, 1]"),
        ("margin", margin, 0 <= margin < effect, "at least 0 and below the effect"),
        ("discordant", discordant, effect <= discordant <= 1, "a share of at least the effect, at most 1"),
        ("design_effect", design_effect, design_effect >= 1, "at least 1"),
        ("seeds", seeds, seeds >= 1, "at least 1"),
        ("seed_spread", seed_spread, seed_spread >= 0, "at least 0"),
        ("significance", significance, 0 < significance < 1, "a level in (0, 1)"),
        ("tests", tests, tests >= 1, "at least 1"),
        ("power", power, 0 < power < 1, "a chance in (0, 1)"),
    ):
        if not fine:
            raise PredictionError(f"{name} is {value:g}; needs {wanted}")
    tail = significance / (2 * tests)
    above, row = effect - margin, (discordant - effect**2) * design_effect
    fewest = FEWEST_DISCORDANT * design_effect / discordant
    reach = float(special.ndtri(1 - tail) + special.ndtri(power))
    with_seeds = None if seeds == 1 and seed_spread > 0 else _with_seeds(above, row, seeds, seed_spread, tail, power)
    return Plan(
        effect,
        margin,
        discordant,
        math.ceil(max(row * (reach / above) ** 2, fewest)),
        fewest_resamples(tests, significance),
        seeds,
        seed_spread,
        None if with_seeds is None else math.ceil(max(with_seeds, fewest)),
        power,
    )


def _with_seeds(above: float, row: float, seeds: int, spread: float, tail: float, power: float) -> float | None:
    """Examples with which the rise is seen in spite of the variance between seeds; ``None`` where none are enough."""
    of_seeds = spread**2 / seeds

    def seen(examples: float) -> bool:
        variance = of_seeds + row / examples
        if of_seeds == 0:
            quantile = float(special.ndtri(1 - tail))
        else:
            freedom = variance**2 * (seeds - 1) / of_seeds**2
            quantile = float(special.stdtrit(freedom, 1 - tail))
        return above >= (quantile + float(special.ndtri(power))) * math.sqrt(variance)

    most = 1e9
    if not seen(most):
        return None
    low, high = 1.0, most
    while high / low > 1 + 1e-6:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high
