"""The page of several models from their files alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fake_run import HOSTILE, predictions

from candor.comparison.leaderboard import DatasetBoard, compare_model_files
from candor.predictions.file import Header, write_predictions
from candor.report.leaderboard import (
    FIGURES,
    differences_table,
    leaderboard_table,
    models_table,
    render_leaderboard,
    write_leaderboard,
)

HEADER = Header("made-up-model", "verdict", "cd" * 32, "wiki", "test", 0)


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> list[DatasetBoard]:
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for name, stage in (("plain", "base"), ("good", "trained")):
        paths.append(folder / f"{name}.jsonl")
        write_predictions(paths[-1], HEADER, predictions("wiki", stage=stage, count=200, hostile=True))
    return compare_model_files(paths, ["plain", HOSTILE], resamples=100)


def test_models_stand_by_accuracy_with_every_figure_and_its_interval(boards: list[DatasetBoard]) -> None:
    table = leaderboard_table(boards)
    (group,) = table.groups
    assert group.title == "wiki, 200 claims"
    assert [row.header for row in group.rows] == [HOSTILE, "plain"]
    assert len(group.rows[0].cells) == len(FIGURES) == len(table.columns) - 1
    best, other = group.rows[0].cells[0], group.rows[1].cells[0]
    assert re.fullmatch(r"\[\d+\.\d, \d+\.\d\]", best.note)
    assert best.strong
    assert not other.strong
    # Of so few resamples' worth of evidence some figure does not tell them apart: both are then bold.
    assert any(one.strong and two.strong for one, two in zip(group.rows[0].cells, group.rows[1].cells, strict=True))


def test_a_terminal_shows_a_column_for_every_model(boards: list[DatasetBoard]) -> None:
    table = models_table(boards)
    assert table.columns == ("Figure", "plain", HOSTILE)
    assert [row.header for row in table.groups[0].rows][:3] == ["Accuracy, %", "NA recall, %", "False NA, %"]
    (pair,) = differences_table(boards).groups
    assert pair.title == f"{HOSTILE} minus plain on wiki"
    assert pair.rows[0].cells[0].text.startswith("+")


def test_the_page_favours_no_model_and_escapes_their_names(boards: list[DatasetBoard], tmp_path: Path) -> None:
    html = write_leaderboard(boards, tmp_path / "board.html", title=HOSTILE).read_text(encoding="utf-8")
    assert html == render_leaderboard(boards, title=HOSTILE) + ""
    assert html.count("<script") == 2
    assert "<img" not in html
    text = re.sub(r"<script.*?</script>|<style.*?</style>|<dl class=\"tree\">.*?</dl>", "", html, flags=re.DOTALL)
    shown = re.sub(r"<[^>]*>", " ", text)
    assert "Leaderboard" in shown
    assert not re.search(r"\b(base|trained|training)\b", shown)


def test_the_page_holds_every_models_answers(boards: list[DatasetBoard]) -> None:
    html = render_leaderboard(boards, title="t")
    data = json.loads(html.split('id="predictions-data">')[1].split("</script>")[0])
    assert [run["arm"] for run in data["runs"]] == ["plain", HOSTILE]
    assert data["kept"] == data["total"] == 400
    assert all(row[1] is None for run in data["runs"] for row in run["rows"])
