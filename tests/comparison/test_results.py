"""A run's results as one checked file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from fake_run import in_old_words, results

from candor.comparison.findings import findings_on
from candor.comparison.results import read_results, run_results, write_results
from candor.errors import DataError, PredictionError
from candor.metrics.check_results import check_results


def test_comparisons_are_put_together_and_judged(tmp_path: Path) -> None:
    items = results()["comparisons"]
    audit = {"wiki": ["wiki: a shortcut"]}
    made: Any = run_results({"name": "r"}, items, audit=audit, warnings=["w"])
    assert made["findings"] == findings_on(items, audit)
    assert any("wiki: a shortcut" in finding["against"] for finding in made["findings"])
    write_results(tmp_path / "results.json", made)
    read: Any = read_results(tmp_path / "results.json")
    assert (read["run"], read["warnings"], len(read["comparisons"])) == ({"name": "r"}, ["w"], 3)


def test_what_is_no_results_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, run_results({}, results()["comparisons"]))
    before = path.read_bytes()
    with pytest.raises(PredictionError, match="findings"):
        write_results(path, {"schema": 3, "kind": "run", "run": {}, "comparisons": [], "warnings": []})  # type: ignore[typeddict-item]
    assert path.read_bytes() == before


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_results(tmp_path / "none.json")
    (tmp_path / "old.json").write_text(json.dumps({"schema": 0, "kind": "run"}))
    with pytest.raises(PredictionError, match="schema is 0"):
        read_results(tmp_path / "old.json")


def test_results_round_trip_and_those_of_older_schemas_are_read(tmp_path: Path) -> None:
    example = results()
    write_results(tmp_path / "r.json", cast("Any", example))
    assert read_results(tmp_path / "r.json") == example
    for schema in (1, 2):
        (tmp_path / "r.json").write_text(json.dumps(in_old_words(example, schema)))
        read: Any = read_results(tmp_path / "r.json")
        assert (read["schema"], read["comparisons"][0]["share_tests"]) == (3, [])
        assert [finding["outcome"] for finding in read["findings"]] == ["holds", "undecided"]


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    example = results()
    with pytest.raises(PredictionError, match="schema is 7"):
        check_results(example | {"schema": 7})
    with pytest.raises(PredictionError, match="this is list"):
        check_results([])
    del example["comparisons"][1]["metrics"]["base"]["accuracy"]["n"]
    with pytest.raises(PredictionError, match=r"comparisons\.1\.metrics\.base\.accuracy\.n"):
        check_results(example)
    with pytest.raises(PredictionError):
        write_results(tmp_path / "r.json", cast("Any", example))
    assert not (tmp_path / "r.json").exists()
