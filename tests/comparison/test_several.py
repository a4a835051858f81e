"""Several datasets and several trained models from prediction files alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answer_files import FAIL, HEADER, NA, PASS, Same, kept, write_pair

from candor.comparison.several import ArmFiles, arrange_files, as_one, compare_arms
from candor.errors import PredictionError
from candor.metrics.check_results import check_results
from candor.metrics.recalibration import METHODS
from candor.predictions.file import read_predictions, write_predictions

RESAMPLES = 2_000
RISE = [*kept(), Same(300, NA, PASS, NA)]
FALL = [*kept(), Same(300, NA, NA, PASS)]


def pair(folder: Path, name: str, answers: list[Same] = RISE, *, split: str = "test", first: int = 0) -> list[Path]:
    header = replace(HEADER, dataset=name, split=split)
    paths = write_pair(folder, answers, header, name=f"{name}-{split}-")
    for path in paths if first else ():
        rows = [replace(row, id=f"v{row.id}") for row in read_predictions(path).predictions]
        write_predictions(path, header, rows)
    return [*paths]


def test_one_pair_is_a_comparison_with_its_findings(tmp_path: Path) -> None:
    results = compare_arms(arrange_files(pair(tmp_path, "wiki"), role="in_domain"), resamples=RESAMPLES)
    found: Any = json.loads(json.dumps(as_one(results), allow_nan=False))
    check_results(found)
    assert (found["kind"], found["dataset"], found["role"]) == ("comparison", "wiki", "in_domain")
    finding = found["findings"][0]
    assert {"title", "outcome", "text", "numbers", "against"} <= set(finding)
    assert finding["outcome"] == "holds"


def test_several_datasets_have_their_roles_and_findings_together(tmp_path: Path) -> None:
    files = [*pair(tmp_path, "wiki"), *pair(tmp_path, "news"), *pair(tmp_path, "law", FALL)]
    arranged = arrange_files(files, trained_on=[["wiki"]])
    found: Any = json.loads(json.dumps(as_one(compare_arms(arranged, resamples=RESAMPLES)), allow_nan=False))
    check_results(found)
    assert found["kind"] == "run"
    assert [(one["dataset"], one["role"]) for one in found["comparisons"]] == [
        ("wiki", "in_domain"),
        ("news", "out_of_domain"),
        ("law", "out_of_domain"),
    ]
    assert [finding["outcome"] for finding in found["findings"]][:2] == ["holds", "does_not_hold"]


def test_several_arms_share_their_datasets_and_each_has_findings(tmp_path: Path) -> None:
    for arm in "ab":
        (tmp_path / arm).mkdir()
    files = [path for arm, answers in (("a", RISE), ("b", FALL)) for path in pair(tmp_path / arm, "wiki", answers)]
    arranged = arrange_files(files, arms=["good", "bad"], datasets=["w"], trained_on=[["w"]])
    found: Any = json.loads(json.dumps(as_one(compare_arms(arranged, resamples=RESAMPLES)), allow_nan=False))
    check_results(found)
    assert [run["run"]["name"] for run in found["arms"]] == ["good", "bad"]
    assert [finding["outcome"] for finding in found["findings"]][::3] == ["holds", "does_not_hold"]
    assert found["findings"][3]["title"].startswith("bad: In domain, ")


def test_validation_files_find_their_dataset_and_give_one_threshold(tmp_path: Path) -> None:
    mixed = [
        *(Same(100, label, label, label) for label in (PASS, FAIL, NA)),
        Same(30, NA, PASS, PASS),
        Same(30, FAIL, PASS, NA),
    ]
    files = [*pair(tmp_path, "wiki", mixed), *pair(tmp_path, "news", mixed)]
    validation = [tuple(pair(tmp_path, "wiki", mixed, split="validation", first=1))]
    arranged = arrange_files(files, trained_on=[["wiki"]], validation=validation)  # type: ignore[arg-type]
    assert [one.validation is not None for one in arranged[0].datasets] == [True, False]
    (run,) = compare_arms(arranged, risk=0.3, resamples=RESAMPLES)
    wiki, news = run["comparisons"]
    assert [row["method"] for row in wiki["recalibration"]] == list(METHODS)
    assert wiki["threshold"] is not None
    assert news["threshold"] is not None
    # What is chosen on the answers of the one is judged on the other, too.
    assert wiki["threshold"]["trained"]["threshold"] == news["threshold"]["trained"]["threshold"] is not None
    assert (wiki["threshold"]["risk"], news["recalibration"]) == (0.3, [])


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    wiki, news = pair(tmp_path, "wiki"), pair(tmp_path, "news")

    def refused(match: str, paths: list[Path], **options: Any) -> None:
        with pytest.raises(PredictionError, match=match):
            arrange_files(paths, **options)

    refused("3 files: give the base model's and the trained model's for each dataset in turn", [*wiki, news[0]])
    refused("0 files", [])
    refused("1 pairs of files cannot be shared evenly by 2 arms", wiki, arms=["a", "b"])
    refused("1 names of datasets for 2 pairs", [*wiki, *news], datasets=["wiki"])
    refused(r"wiki, wiki are not told apart by name; name them \(--datasets\)", [*wiki, *wiki])
    refused("trained on 'wikis', but the datasets are wiki, news", [*wiki, *news], trained_on=[["wikis"]])
    refused("trained-on is given 3 times for 2 arms", [*wiki, *news], arms=["a", "b"], trained_on=[[], [], []])
    refused("validation files are of one trained model", [*wiki, *news], arms=["a", "b"], validation=[tuple(wiki)])
    law = tuple(pair(tmp_path, "law"))
    refused("validation answers of 'law', but the datasets without any", [*wiki, *news], validation=[law])


def test_without_names_a_file_that_records_none_is_called_as_the_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.v1.json"
    entry = {"id": 1, "golden_label": "NA", "predicted_label": "NA", "raw_response": "LABEL=NA"}
    path.write_text(json.dumps({"results": [entry]}))
    (arm,) = arrange_files([path, path])
    assert isinstance(arm, ArmFiles)
    assert [one.dataset for one in arm.datasets] == ["answers"]
    assert arm.datasets[0].role is None
