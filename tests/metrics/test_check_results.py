"""Results are refused by the first key that is not as documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from places import DATA_FILES

from candor.errors import PredictionError
from candor.metrics.check_results import check_results
from candor.metrics.schema import SCHEMA


@pytest.fixture
def results() -> dict[str, Any]:
    """The documented example of a run's results."""
    value: dict[str, Any] = json.loads((DATA_FILES / "results_run.json").read_text(encoding="utf-8"))
    return value


def test_the_documented_example_and_its_parts_are_results(results: dict[str, Any]) -> None:
    check_results(results)
    for comparison in results["comparisons"]:
        check_results(comparison)


def test_keys_that_are_not_documented_are_let_through(results: dict[str, Any]) -> None:
    results["comparisons"][0]["later"] = {"any": "thing"}
    check_results(results)


def change(value: dict[str, Any], key: str, new: Any) -> None:
    value[key] = new


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda r: r.pop("findings"), r"results: findings: Field required"),
        (lambda r: r["comparisons"][1]["rows"].pop("used"), r"results: comparisons\.1\.rows\.used: Field required"),
        (lambda r: change(r["comparisons"][0], "role", "other"), r"results: comparisons\.0\.role: .*'in_domain'"),
        (
            lambda r: change(r["comparisons"][0]["metrics"]["base"]["accuracy"], "value", "high"),
            r"results: comparisons\.0\.metrics\.base\.accuracy\.value: .*number",
        ),
        (lambda r: change(r, "schema", SCHEMA + 1), rf"schema {SCHEMA}: schema is {SCHEMA + 1}, kind is 'run'"),
        (
            lambda r: change(r, "kind", "page"),
            r"kind is 'page' \(known kinds: comparison, run, arms, seeds\); write them",
        ),
    ],
)
def test_the_first_wrong_key_is_named(
    break_it: Callable[[dict[str, Any]], object], words: str, results: dict[str, Any]
) -> None:
    break_it(results)
    with pytest.raises(PredictionError, match=words):
        check_results(results)


@pytest.mark.parametrize(("value", "kind"), [([], "list"), ("x", "str"), (None, "NoneType")])
def test_what_is_no_object_is_no_results(value: object, kind: str) -> None:
    with pytest.raises(PredictionError, match=f"a JSON object is needed, this is {kind}"):
        check_results(value)
