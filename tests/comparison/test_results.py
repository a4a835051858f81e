"""A run's results as one checked file; more of it is in test_findings.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_run import results

from candor.comparison.findings import findings_on
from candor.comparison.results import read_results, run_results, write_results
from candor.errors import DataError, PredictionError


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
        write_results(path, {"schema": 2, "kind": "run", "run": {}, "comparisons": [], "warnings": []})  # type: ignore[typeddict-item]
    assert path.read_bytes() == before


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_results(tmp_path / "none.json")
    (tmp_path / "old.json").write_text(json.dumps({"schema": 0, "kind": "run"}))
    with pytest.raises(PredictionError, match="schema is 0"):
        read_results(tmp_path / "old.json")
