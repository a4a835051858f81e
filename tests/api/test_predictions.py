"""A model's answers as a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_run import HOSTILE, write_run

import candor
from candor.api.predictions import COLUMNS, SHOWN_ROWS
from candor.errors import PredictionError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), datasets=("wiki",), hostile=True)


@pytest.fixture(scope="module")
def answers(run: Path) -> candor.Predictions:
    return candor.read_predictions(run / "predictions" / "base" / "wiki.jsonl")


def test_every_answer_is_a_row(answers: candor.Predictions) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    frame = answers.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == len(answers) == 40
    for row, answer in zip(frame.to_dict("records"), answers, strict=True):
        assert row["id"] == answer.id
        assert row["evidence"] == list(answer.evidence)
        assert row["correct"] == (answer.label == answer.gold)
        assert row["confidence"] == answer.confidence or answer.confidence is None


def test_an_answer_without_a_label_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    run = write_run(tmp_path, datasets=("wiki",), count=400)
    frame = candor.read_predictions(run / "predictions" / "base" / "wiki.jsonl").to_frame()
    without = frame[frame["validity"] == "none"]
    assert len(without) > 0
    assert not without["correct"].any()
    assert without["label"].isna().all()


def test_a_notebook_shows_the_first_of_them_as_text(answers: candor.Predictions) -> None:
    shown = answers._repr_html_()
    assert shown.count("<tr>") == 1 + SHOWN_ROWS
    assert "40 answers of made-up-model" in shown
    assert "and 30 more" in shown
    assert HOSTILE not in shown
    assert "<script>" not in shown


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="no such file"):
        candor.read_predictions(tmp_path / "nothing.jsonl")
