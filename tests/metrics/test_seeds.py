"""Means, spread and Student's interval over a few seeds, by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from places import DATA_FILES
from scipy import stats

from candor.errors import RunError
from candor.metrics.check_results import check_results
from candor.metrics.seeds import combine_seeds, crossed_interval, seed_figure

T_2 = 4.302653
"""Student's 97.5 % quantile with two degrees of freedom."""


def test_three_seeds() -> None:
    found = seed_figure([0.1, None, 0.2, 0.3])
    assert found["values"] == [0.1, None, 0.2, 0.3]
    assert (found["n"], found["mean"], found["sd"]) == (3, pytest.approx(0.2), pytest.approx(0.1))
    reach = T_2 * 0.1 / math.sqrt(3)
    assert found["interval"] == pytest.approx((0.2 - reach, 0.2 + reach), abs=1e-6)
    # Seeds that share their examples are not tested alone: chance in the examples is in all of them.
    assert found["p"] is None
    assert found["reason"] is None


@pytest.mark.parametrize(
    ("values", "mean", "reason"),
    [
        ([], None, "undefined for every seed"),
        ([None, None], None, "undefined for every seed"),
        ([0.5, None], 0.5, "one seed shows no spread"),
    ],
)
def test_too_few_seeds_show_no_spread(values: list[float | None], mean: float | None, reason: str) -> None:
    found = seed_figure(values)
    assert (found["mean"], found["reason"]) == (mean, reason)
    assert found["sd"] is found["interval"] is found["p"] is None


def test_seeds_that_agree_exactly_have_no_spread() -> None:
    found = seed_figure([0.25, 0.25])
    assert found["interval"] == (0.25, 0.25)
    assert found["p"] is None


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [0.1 + 0.2, 0.3, 0.3]])
def test_the_last_bit_of_a_float_is_no_spread(values: list[float]) -> None:
    found = seed_figure(values)
    assert found["sd"] == 0.0
    assert found["p"] is None


def test_seeds_and_examples_by_hand() -> None:
    """Two seeds, two groups: means .1 and .3; groups move both seeds by .1 each way, and the second by .1 more."""
    parts = [[0.1, -0.1], [0.2, -0.2]]
    found = crossed_interval([0.1, 0.3], parts)
    seeds, groups = 0.02 / 2, 2 * 2 * 0.15**2
    cells = 2 * 4 * 0.05**2 / 2
    variance = seeds + groups - cells
    assert (found.value, found.seeds, found.groups) == (pytest.approx(0.2), 2, 2)
    assert (found.seed_error, found.example_error) == pytest.approx((math.sqrt(seeds), math.sqrt(groups)))
    # Satterthwaite's are below two here; one less would be less than the one that two seeds have.
    freedom = max(variance**2 / (seeds**2 / 1 + groups**2 / 1) - 1, 1.0)
    expected = stats.t(freedom, scale=math.sqrt(variance))
    assert found.interval == pytest.approx((0.2 + expected.ppf(0.025), 0.2 + expected.ppf(0.975)))
    assert found.p == pytest.approx(2 * expected.sf(0.2))


def test_seeds_that_agree_still_have_examples() -> None:
    """Equal figures on one test set: nothing is certain but the seeds; the examples are as many as they are."""
    draw = np.random.default_rng(0)
    part = draw.normal(scale=1 / 200, size=200)
    found = crossed_interval([0.1, 0.1, 0.1], np.tile(part, (3, 1)))
    assert found.seed_error == 0.0
    assert found.interval is not None
    assert found.interval[1] - found.interval[0] == pytest.approx(4 / math.sqrt(200), rel=0.15)
    assert found.p > 0.05


def test_what_has_no_spread_at_all_is_not_tested() -> None:
    still = crossed_interval([0.1, 0.1], np.zeros((2, 5)))
    assert (still.interval, still.reason) == (None, "no variation between seeds or examples")
    assert math.isnan(still.p)
    assert crossed_interval([0.1], np.zeros((1, 5))).reason == "one seed shows no spread"
    assert crossed_interval([0.1, 0.2], np.zeros((2, 1))).reason == "fewer than two groups of rows: nothing to resample"


@pytest.mark.parametrize(
    ("values", "parts"), [([0.1], [[0.0, 0.0]] * 2), ([], np.zeros((0, 2))), ([math.nan, 0.1], [[0.0, 0.0]] * 2)]
)
def test_seeds_that_do_not_fit_are_refused(values: list[float], parts: Any) -> None:
    with pytest.raises(ValueError, match=r"needs \[S\] and \[S, G\]|not finite"):
        crossed_interval(values, parts)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("of_seeds", "shared", "own"), [(0, 1, 1), (1, 1, 1), (3, 1, 1), (0, 1, 0)])
def test_without_an_effect_p_is_rarely_small(seeds: int, of_seeds: float, shared: float, own: float) -> None:
    """Noise of trainings, of examples and of both together: P(p < .05) is near .05, where the seeds alone gave .54."""
    draw = np.random.default_rng(seeds)
    alarms, n = 0, 100
    for _ in range(1_000):
        rows = of_seeds * draw.normal(size=(seeds, 1)) / math.sqrt(n) + shared * draw.normal(size=n)
        rows = rows + own * draw.normal(size=(seeds, n))
        values = rows.mean(axis=1)
        alarms += crossed_interval(values, (rows - values[:, None]) / n).p < 0.05
    assert alarms / 1_000 <= 0.085


def run(shift: float) -> Any:
    value = json.loads((DATA_FILES / "results_run.json").read_text(encoding="utf-8"))
    for comparison in value["comparisons"]:
        comparison["differences"]["accuracy"]["value"] += shift
    return value


def test_runs_are_put_together_by_dataset() -> None:
    first, second = run(0.0), run(0.1)
    del second["comparisons"][2]
    del second["comparisons"][0]["metrics"]["bayes"]
    found = combine_seeds([first, second])
    check_results(found)
    assert [one["dataset"] for one in found["comparisons"]] == ["wiki", "revision", "climate"]
    assert found["warnings"] == ["climate: 1 of 2 runs evaluated it."]
    accuracy = found["comparisons"][0]["differences"]["accuracy"]
    observed = first["comparisons"][0]["differences"]["accuracy"]["value"]
    assert accuracy["mean"] == pytest.approx(observed + 0.05)
    assert {figure["p"] for one in found["comparisons"] for figure in one["differences"].values()} == {None}
    # A figure that one run lacks is taken over the other, and says so.
    bayes = found["comparisons"][0]["metrics"]["bayes"]["accuracy"]
    assert (bayes["n"], bayes["values"][1]) == (1, None)
    assert found["comparisons"][0]["metrics"]["trained"]["accuracy"]["p"] is None


def test_one_run_has_no_spread() -> None:
    with pytest.raises(RunError, match="1 runs have no spread between seeds; at least two"):
        combine_seeds([run(0.0)])
