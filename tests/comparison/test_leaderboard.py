"""Several models' prediction files: what is compared, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answer_files import FAIL, HEADER, NA, PASS, prediction

from candor.comparison.leaderboard import as_results, compare_model_files
from candor.errors import PredictionError
from candor.predictions.file import Header, write_predictions
from candor.types import Prediction


def answers(wrong: int, *, count: int = 60) -> list[Prediction]:
    """Answers of which the first ``wrong`` are not right."""
    golds = [(PASS, FAIL, NA)[number % 3] for number in range(count)]
    return [
        prediction(number, gold, gold if number >= wrong else FAIL if gold is PASS else PASS)
        for number, gold in enumerate(golds)
    ]


def write(folder: Path, name: str, rows: list[Prediction], header: Header = HEADER) -> Path:
    path = folder / f"{name}.jsonl"
    write_predictions(path, header, rows)
    return path


def compare(paths: list[Path], names: list[str], **options: Any) -> Any:
    return compare_model_files(paths, names, resamples=100, **options)


def test_every_model_has_its_figures_and_every_pair_its_differences(tmp_path: Path) -> None:
    paths = [write(tmp_path, name, answers(wrong)) for name, wrong in (("a", 30), ("b", 12), ("c", 0))]
    (board,) = compare(paths, ["a", "b", "c"])
    assert (board.dataset, board.n, board.warnings) == ("wiki", 60, ())
    assert [round(one.figures["accuracy"].value, 3) for one in board.models.values()] == [0.5, 0.8, 1.0]
    assert [(pair.first, pair.second) for pair in board.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert board.pairs[1].differences["accuracy"].value == pytest.approx(0.5)
    # So many resamples that a p can be significant among the tests of three pairs.
    assert board.resamples > 100
    written = json.loads(json.dumps(as_results([board], seed=0)))
    assert written["kind"] == "models"
    assert written["datasets"][0]["models"]["b"]["metrics"]["accuracy"]["value"] == pytest.approx(0.8)
    assert written["datasets"][0]["pairs"][1]["differences"]["accuracy"]["p_holm"] < 0.01


def test_each_models_files_follow_each_other_dataset_by_dataset(tmp_path: Path) -> None:
    news = replace(HEADER, dataset="news")
    paths = [
        write(tmp_path, f"{name}-{header.dataset}", answers(wrong), header)
        for name, wrong in (("a", 30), ("b", 0))
        for header in (HEADER, news)
    ]
    boards = compare(paths, ["a", "b"])
    assert [board.dataset for board in boards] == ["wiki", "news"]
    assert [board.models["b"].figures["accuracy"].value for board in boards] == [1.0, 1.0]
    assert [board.dataset for board in compare(paths, ["a", "b"], datasets=["x", "y"])] == ["x", "y"]
    with pytest.raises(PredictionError, match="not told apart by name"):
        compare(paths, ["a", "b"], datasets=["x", "x"])


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (lambda rows: rows[10:], "ids", "50 of 60 claims of a are also among the 50 of b"),
        (
            lambda rows: [replace(rows[0], gold=FAIL), *rows[1:]],
            "gold",
            "1 claims have different gold labels in a and b",
        ),
        (lambda rows: [replace(rows[0], claim="other"), *rows[1:]], "prompt", "1 claims of a read otherwise"),
    ],
)
def test_files_that_differ_are_refused_unless_that_is_allowed(
    tmp_path: Path, change: Any, name: str, said: str
) -> None:
    paths = [write(tmp_path, "a", answers(30)), write(tmp_path, "b", change(answers(0)))]
    with pytest.raises(PredictionError, match=f"{said}.*allow: {name}"):
        compare(paths, ["a", "b"])
    (board,) = compare(paths, ["a", "b"], allow=[name])
    assert board.n == {"ids": 50, "gold": 59, "prompt": 60}[name]
    assert said in board.warnings[0]


def test_other_prompts_datasets_and_splits_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path, "a", answers(30))
    for header, said in (
        (replace(HEADER, template_sha256="cd" * 32), "different prompts"),
        (replace(HEADER, dataset="news"), "the datasets differ: wiki in a and news in b"),
        (replace(HEADER, split="validation"), "the splits differ: test in a and validation in b"),
    ):
        with pytest.raises(PredictionError, match=said):
            compare([first, write(tmp_path, "b", answers(0), header)], ["a", "b"])


def test_wrong_use_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, "a", answers(0))
    with pytest.raises(PredictionError, match="at least two models"):
        compare([path], ["a"])
    with pytest.raises(PredictionError, match="a name of its own"):
        compare([path, path], ["a", "a"])
    with pytest.raises(PredictionError, match="3 files for 2 models"):
        compare([path, path, path], ["a", "b"])
    with pytest.raises(PredictionError, match="2 names of datasets for 1 files"):
        compare([path, path], ["a", "b"], datasets=["x", "y"])
    with pytest.raises(PredictionError, match="cannot allow 'luck'"):
        compare([path, path], ["a", "b"], allow=["luck"])
    other = write(tmp_path, "b", [replace(row, id=f"x{row.id}") for row in answers(0)])
    with pytest.raises(PredictionError, match="no claim in common"):
        compare([path, other], ["a", "b"], allow=["ids"])
