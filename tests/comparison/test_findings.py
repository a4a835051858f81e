"""Findings by rule, and results of runs and seeds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fake_run import in_old_words
from places import DATA_FILES

from candor.comparison.findings import findings_on
from candor.comparison.results import read_results, run_results, write_results
from candor.errors import PredictionError, RunError
from candor.metrics.schema import check_results
from candor.metrics.seeds import combine_seeds, seed_figure

EXAMPLE = DATA_FILES / "results_run.json"


@pytest.fixture
def comparison() -> dict[str, Any]:
    """One comparison with nothing against it."""
    found: dict[str, Any] = json.loads(EXAMPLE.read_text())["comparisons"][0]
    found["warnings"] = []
    found["confusion"]["base"] = [[50, 0, 0, 0], [0, 50, 0, 0], [0, 0, 100, 0]]
    found["confusion"]["trained"] = found["confusion"]["base"]
    for name in ("pass_recall", "fail_recall"):
        found["differences"][name] |= {"value": 0.0, "interval": [-0.01, 0.01]}
    return found


def variant(comparison: dict[str, Any], role: str, rise: float, p: float, accuracy: float = 0.0) -> Any:
    changed = copy.deepcopy(comparison)
    changed["role"] = role
    changed["differences"]["na_recall"] |= {"value": rise, "interval": [rise - 0.03, rise + 0.03], "p_holm": p}
    changed["differences"]["accuracy"] |= {"value": accuracy, "interval": [accuracy - 0.015, accuracy + 0.015]}
    return changed


@pytest.mark.parametrize(
    ("rise", "p", "holds"), [(0.15, 0.001, True), (0.10, 0.001, False), (0.15, 0.01, False), (-0.2, 0.001, False)]
)
def test_first_hypothesis(comparison: dict[str, Any], rise: float, p: float, holds: bool) -> None:
    finding = findings_on([variant(comparison, "in_domain", rise, p)])[0]
    assert finding["holds"] is holds
    assert finding["text"].startswith("Holds" if holds else "Does not hold")
    assert f"{100 * rise:+.1f} points" in finding["text"]
    assert finding["against"] == []


@pytest.mark.parametrize(
    ("rise", "p", "accuracy", "holds"),
    [
        (0.03, 0.001, 0.0, True),
        (0.03, 0.001, -0.004, True),  # the interval stays above the margin
        (0.03, 0.001, -0.01, False),
        (0.03, 0.02, 0.0, False),
        (-0.03, 0.001, 0.0, False),
    ],
)
def test_second_hypothesis(comparison: dict[str, Any], rise: float, p: float, accuracy: float, holds: bool) -> None:
    finding = findings_on([variant(comparison, "out_of_domain", rise, p, accuracy)])[1]
    assert finding["holds"] is holds
    assert "accuracy" in finding["text"]


def test_every_dataset_must_meet_a_hypothesis(comparison: dict[str, Any]) -> None:
    both = [variant(comparison, "out_of_domain", rise, 0.001) for rise in (0.05, -0.05)]
    finding = findings_on(both)[1]
    assert finding["holds"] is False
    assert "1 of 2 datasets" in finding["text"]
    assert len(finding["evidence"]) == 2


def test_hypotheses_without_figures_stay_open(comparison: dict[str, Any]) -> None:
    first, second = findings_on([])
    assert first["holds"] is second["holds"] is None
    unknown = variant(comparison, "in_domain", 0.2, 0.001)
    unknown["differences"]["na_recall"] |= {"value": None, "interval": None, "p_holm": None, "reason": "no NA"}
    assert findings_on([unknown])[0]["holds"] is None


def test_what_speaks_against_is_listed(comparison: dict[str, Any]) -> None:
    shaky = variant(comparison, "in_domain", 0.11, 0.001)
    shaky["warnings"] = ["Compared although the prompts differ."]
    shaky["confusion"]["base"] = [[50, 0, 0, 0], [0, 50, 0, 0], [0, 0, 70, 30]]
    shaky["differences"]["fail_recall"] |= {"value": -0.1, "interval": [-0.15, -0.05]}
    finding = findings_on([shaky], {"wiki": ["claims alone tell NA", "wiki: named already"]})[0]
    text = "\n".join(finding["against"])
    assert finding["holds"] is True
    assert "wiki: named already" in finding["against"]
    for part in ("claims alone tell NA", "prompts differ", "reaches down to +8.0", "30 NA examples", "FAIL recall"):
        assert part in text, part


def test_example_file_is_of_the_documented_shape() -> None:
    check_results(json.loads(EXAMPLE.read_text()))


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    example = json.loads(EXAMPLE.read_text())
    with pytest.raises(PredictionError, match="schema is 7"):
        check_results(example | {"schema": 7})
    with pytest.raises(PredictionError, match="this is list"):
        check_results([])
    del example["comparisons"][1]["metrics"]["base"]["accuracy"]["n"]
    with pytest.raises(PredictionError, match=r"comparisons\.1\.metrics\.base\.accuracy\.n"):
        check_results(example)
    with pytest.raises(PredictionError):
        write_results(tmp_path / "r.json", example)
    assert not (tmp_path / "r.json").exists()


def test_run_results_round_trip(comparison: dict[str, Any], tmp_path: Path) -> None:
    results = run_results({"name": "demo", "seed": 0}, [variant(comparison, "in_domain", 0.2, 0.001)])
    assert [finding["holds"] for finding in results["findings"]] == [True, None]
    write_results(tmp_path / "r.json", results)
    assert read_results(tmp_path / "r.json") == json.loads(json.dumps(results))


def test_results_of_the_schema_before_are_still_read(tmp_path: Path) -> None:
    example = json.loads(EXAMPLE.read_text())
    (tmp_path / "r.json").write_text(json.dumps(in_old_words(example)))
    assert read_results(tmp_path / "r.json") == example
    (tmp_path / "c.json").write_text(json.dumps(in_old_words(example)["comparisons"][0]))
    assert read_results(tmp_path / "c.json") == example["comparisons"][0]


def test_seeds_by_hand() -> None:
    figure = seed_figure([0.1, 0.2, None, 0.3], tested=True)
    assert figure["mean"] == pytest.approx(0.2)
    assert figure["sd"] == pytest.approx(0.1)
    assert figure["n"] == 3
    assert figure["interval"] == pytest.approx((0.2 - 0.24841, 0.2 + 0.24841), abs=1e-4)  # t = 4.3027
    assert figure["p"] == pytest.approx(0.0742, abs=1e-4)
    assert seed_figure([0.1], tested=True)["reason"] == "one seed shows no spread"
    assert seed_figure([None, None], tested=False)["mean"] is None
    same = seed_figure([0.5, 0.5], tested=True)
    assert (same["p"], same["sd"]) == (None, 0)


def test_seeds_are_put_together(comparison: dict[str, Any]) -> None:
    runs = []
    for seed, rise in enumerate((0.10, 0.20)):
        one = variant(comparison, "in_domain", rise, 0.001)
        runs.append(run_results({"seed": seed}, [one] if seed else [one, {**one, "dataset": "extra"}]))
    combined = combine_seeds(runs)
    check_results(json.loads(json.dumps(combined)))
    wiki, extra = combined["comparisons"]
    assert wiki["differences"]["na_recall"]["values"] == [0.10, 0.20]
    assert wiki["metrics"]["base"]["accuracy"]["n"] == 2
    assert extra["differences"]["na_recall"]["n"] == 1
    assert combined["warnings"] == ["extra: 1 of 2 runs evaluated it."]
    with pytest.raises(RunError, match="at least two"):
        combine_seeds(runs[:1])
