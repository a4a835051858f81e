"""Means, spread and Student's interval over a few seeds, by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from places import DATA_FILES

from candor.errors import RunError
from candor.metrics.schema import check_results
from candor.metrics.seeds import combine_seeds, seed_figure

T_2 = 4.302653
"""Student's 97.5 % quantile with two degrees of freedom."""


def test_three_seeds() -> None:
    found = seed_figure([0.1, None, 0.2, 0.3], tested=True)
    assert found["values"] == [0.1, None, 0.2, 0.3]
    assert (found["n"], found["mean"], found["sd"]) == (3, pytest.approx(0.2), pytest.approx(0.1))
    reach = T_2 * 0.1 / math.sqrt(3)
    assert found["interval"] == pytest.approx((0.2 - reach, 0.2 + reach), abs=1e-6)
    # t = 2 sqrt(3) with two degrees of freedom: p = 1 - t / sqrt(t^2 + 2).
    t = 0.2 / (0.1 / math.sqrt(3))
    assert found["p"] == pytest.approx(1 - t / math.sqrt(t**2 + 2))
    assert found["reason"] is None
    assert seed_figure([0.1, 0.2, 0.3], tested=False)["p"] is None


@pytest.mark.parametrize(
    ("values", "mean", "reason"),
    [
        ([], None, "undefined for every seed"),
        ([None, None], None, "undefined for every seed"),
        ([0.5, None], 0.5, "one seed shows no spread"),
    ],
)
def test_too_few_seeds_show_no_spread(values: list[float | None], mean: float | None, reason: str) -> None:
    found = seed_figure(values, tested=True)
    assert (found["mean"], found["reason"]) == (mean, reason)
    assert found["sd"] is found["interval"] is found["p"] is None


def test_seeds_that_agree_exactly_are_not_tested() -> None:
    found = seed_figure([0.25, 0.25], tested=True)
    assert found["interval"] == (0.25, 0.25)
    assert found["p"] is None
    assert found["reason"] == "all seeds agree exactly: no spread to test against"
    assert seed_figure([0.25, 0.25], tested=False)["reason"] is None


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
    assert accuracy["p"] is not None
    # A figure that one run lacks is taken over the other, and says so.
    bayes = found["comparisons"][0]["metrics"]["bayes"]["accuracy"]
    assert (bayes["n"], bayes["values"][1]) == (1, None)
    assert found["comparisons"][0]["metrics"]["trained"]["accuracy"]["p"] is None


def test_one_run_has_no_spread() -> None:
    with pytest.raises(RunError, match="1 runs have no spread between seeds; at least two"):
        combine_seeds([run(0.0)])
