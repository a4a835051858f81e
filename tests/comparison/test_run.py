"""From a run folder's prediction files to its results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from candor.comparison.run import compare_run
from candor.errors import DataError, PredictionError
from candor.files import write_json, write_text
from candor.metrics.check_results import check_results
from candor.predictions.file import Header, write_predictions
from candor.recipe.recipe import recipe_from, to_yaml
from candor.run_folder import SIDES, RunFolder
from candor.types import LABELS, Prediction, Validity

VALUES: dict[str, Any] = {
    "name": "mine",
    "description": "words",
    "model": {"name": "sandbox"},
    "data": {
        "sources": {name: {"kind": "sandbox"} for name in ("wiki", "climate")},
        "train": {"wiki": 8},
        "validation": {"wiki": 4},
        "test": {"wiki": 12, "climate": 12},
    },
    "evaluation": {"resamples": 2000},
    "seeds": [7],
}


def answers(right: int, start: int = 0) -> list[Prediction]:
    made = []
    for n in range(start, start + 12):
        gold = LABELS[n % 3]
        label = gold if n - start < right else LABELS[(n + 1) % 3]
        row = Prediction(str(n), "d", str(n), f"C{n}", ("E",), gold, "", label, 0.5 + n % 5 / 10, Validity.CLEAN)
        made.append(row)
    return made


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    write_text(folder.recipe, to_yaml(recipe_from(VALUES)))
    write_json(folder.manifest, {"candor": "1.0", "git_commit": "abc"})
    for side, right in zip(SIDES, (4, 9), strict=True):
        for source in ("wiki", "climate"):
            header = Header("m", "verdict", "ab" * 32, source, "test", 7)
            write_predictions(folder.predictions(side, "test", source), header, answers(right))
    return folder


def test_one_comparison_for_each_test_set_with_its_role(run: RunFolder) -> None:
    results: Any = compare_run(run.path)
    check_results(results)
    assert [(one["dataset"], one["role"]) for one in results["comparisons"]] == [
        ("wiki", "in_domain"),
        ("climate", "out_of_domain"),
    ]
    accuracy = results["comparisons"][0]["differences"]["accuracy"]
    assert accuracy["value"] == pytest.approx(5 / 12)
    settings = results["comparisons"][0]["settings"]
    assert (settings["resamples"], settings["seed"]) == (2_000, 7)
    said = results["run"]
    assert (said["name"], said["seed"], said["trained_on"], said["candor"], said["git_commit"]) == (
        "mine",
        7,
        ["wiki"],
        "1.0",
        "abc",
    )
    assert all(one["recalibration"] == [] and one["threshold"] is None for one in results["comparisons"])


def test_validation_answers_are_used_where_both_sides_have_them(run: RunFolder) -> None:
    header = Header("m", "verdict", "ab" * 32, "wiki", "validation", 7)
    write_predictions(run.predictions("base", "validation", "wiki"), header, answers(6, start=100))
    assert compare_run(run.path)["comparisons"][0]["threshold"] is None
    write_predictions(run.predictions("trained", "validation", "wiki"), header, answers(9, start=100))
    wiki, climate = compare_run(run.path)["comparisons"]
    assert wiki["threshold"] is not None
    assert (bool(wiki["recalibration"]), bool(climate["recalibration"])) == (True, False)
    # The threshold that was chosen on wiki is judged on both.
    assert climate["threshold"] is not None
    assert climate["threshold"]["sources"] == ["wiki"]


def test_the_audits_warnings_speak_against_claims_about_their_dataset(run: RunFolder) -> None:
    write_json(run.audit, {"warnings": ["wiki: a shortcut", "climate: another", "of all"]})
    against = {text for finding in compare_run(run.path)["findings"] for text in finding["against"]}
    assert "wiki: a shortcut" in against
    assert "of all" not in against


def test_what_is_missing_is_an_error(run: RunFolder) -> None:
    run.predictions("trained", "test", "climate").unlink()
    with pytest.raises(PredictionError, match=r"climate\.jsonl: no such file"):
        compare_run(run.path)
    # A test set that the base model was not asked about yet is left out.
    run.predictions("base", "test", "climate").unlink()
    assert [one["dataset"] for one in compare_run(run.path)["comparisons"]] == ["wiki"]
    run.predictions("base", "test", "wiki").unlink()
    with pytest.raises(PredictionError, match=r"no test sets to compare on; give counts under data\.test"):
        compare_run(run.path)


def test_without_a_manifest_nothing_says_what_made_the_run(run: RunFolder) -> None:
    run.manifest.unlink()
    with pytest.raises(DataError, match=r"manifest\.json: no such file"):
        compare_run(run.path)


def test_every_row_counts(run: RunFolder) -> None:
    rows = answers(4)
    rows[0] = replace(rows[0], label=None, confidence=None, validity=Validity.NONE)
    header = Header("m", "verdict", "ab" * 32, "wiki", "test", 7)
    write_predictions(run.predictions("base", "test", "wiki"), header, rows)
    wiki = compare_run(run.path)["comparisons"][0]
    assert (wiki["rows"]["used"], wiki["rows"]["invalid"]) == (12, {"base": 1, "trained": 0})
