"""Rows that are counted, and results that say how they were made."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from candor.comparison.assemble import assemble, count_rows
from candor.comparison.pairing import Matched, Side
from candor.comparison.stages import Both, Draws, Figures, Fits, Rules, Significance, Views
from candor.metrics.check_results import check_results
from candor.metrics.paired import Metric
from candor.metrics.power import SIGNIFICANCE
from candor.metrics.views import View
from candor.types import NO_LABEL

NAN = float("nan")
BASE = View(np.array([0, 1, 2, 2]), np.array([0, NO_LABEL, 2, 0]), np.array([0.5, NAN, 0.6, NAN]), np.arange(4))
TRAINED = View(np.array([0, 1]), np.array([0, 1]), np.array([0.9, 0.8]), np.arange(2))
PAIRED = View(np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([0.9, 0.8, 0.7]), np.array([5, 5, 6]))


def side(name: str, rows: int) -> Side:
    header = dict.fromkeys(("template", "template_sha256", "dataset", "split", "seed", "created_by", "source", "model"))
    told: Any = {**header, "path": name, "sha256": "ab", "format": "candor"}
    return Side(told, (), ("row",) * rows, ())  # type: ignore[arg-type]


SIDES = Both(side("b.jsonl", 5), side("t.jsonl", 2))
VIEWS = Views(
    own=Both(BASE, TRAINED),
    paired=Both(PAIRED, PAIRED),
    dropped=[{"side": "base", "reason": "r", "n": 1}],
    probes=Both(None, None),
    bayes=None,
    bare_N=np.array([False, False, True]),
)


def test_each_side_is_counted_on_its_own_rows_and_the_compared_ones_by_gold() -> None:
    assert count_rows(SIDES, VIEWS) == {
        "base": 5,
        "trained": 2,
        "used": 3,
        "groups": 2,
        "invalid": {"base": 1, "trained": 0},
        "without_confidence": {"base": 2, "trained": 0},
        "gold": {"PASS": 1, "FAIL": 1, "NA": 1},
        "dropped": [{"side": "base", "reason": "r", "n": 1}],
    }


@pytest.mark.parametrize("name", ["candor", "paper"])
def test_results_are_of_the_documented_shape_and_say_their_settings(name: Any) -> None:
    told: list[Any] = []

    def warnings(*given: Any) -> list[str]:
        told.append(given)
        return ["w"]

    rules: Any = Rules(name, None, None, None, warnings)  # type: ignore[arg-type]
    matched = Matched((), (), (), ("ids",), ())
    metrics: Any = {"base": {"accuracy": Metric(NAN, None, 0, "why")}, "trained": {}, "bayes": {}}
    results = assemble(
        rules,
        SIDES,
        matched,
        VIEWS,
        Figures(metrics, {}, {"base": np.eye(3, 4, dtype=np.int64)}, {}),
        Significance(["accuracy"], {}, {}),
        Fits(),
        reweighted=None,
        draws=Draws(50, 9),
        dataset="wiki",
        role="in_domain",
    )
    check_results(json.loads(json.dumps(results, allow_nan=False)))
    assert (results["conventions"], results["dataset"], results["role"]) == (name, "wiki", "in_domain")
    settings = results["settings"]
    assert (settings["resamples"], settings["seed"], settings["tested"]) == (50, 9, ["accuracy"])
    assert settings["significance"] == SIGNIFICANCE
    assert results["metrics"]["base"]["accuracy"]["value"] is None
    assert results["confusion"]["base"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert (results["allowed"], results["warnings"], results["threshold"]) == (["ids"], ["w"], None)
    # Rules are told the rows as they were counted.
    assert told == [(SIDES, matched, results["rows"])]
