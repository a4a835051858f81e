"""Reading run folders: what is missing stays missing, what is broken is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from answer_files import NA, PASS, Same, kept, write_pair
from fake_run import HOSTILE, in_old_words, predictions, results, write_run

from candor.comparison.several import arrange_files, compare_arms
from candor.errors import DataError, RunError
from candor.report.arms import Arm
from candor.report.predictions import browsable
from candor.report.runs import compared_run, find_runs, load_run
from candor.report.sections import hypotheses, warnings


def test_a_run_is_read_with_all_its_parts(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "demo", count=5))
    assert run.name == "demo"
    assert run.recipe["name"] == "made-up"
    assert run.manifest["git"]["commit"] == "0123abc"
    assert len(run.steps) == 60
    assert [len(rows) for rows in run.predictions["base"].values()] == [5, 5, 5]


def test_runs_below_a_folder_are_named_by_their_paths(tmp_path: Path) -> None:
    for name in ("b/seed-1", "a/seed-0", "a/seed-1"):
        write_run(tmp_path / "all" / name, count=1)
    (tmp_path / "all" / "notes").mkdir()
    assert [run.name for run in find_runs(tmp_path / "all")] == ["a/seed-0", "a/seed-1", "b/seed-1"]
    given = find_runs(tmp_path / "all" / "b", tmp_path / "all" / "a")
    assert [run.name for run in given] == ["b/seed-1", "a/seed-0", "a/seed-1"]
    assert [run.name for run in find_runs(tmp_path / "all" / "b")] == ["seed-1"]


def test_an_empty_run_is_an_error(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", leave_out=("results.json", "train", "predictions/base", "predictions/trained"))
    with pytest.raises(RunError, match="nothing to report"):
        load_run(run)


def test_among_several_runs_one_may_not_have_begun(tmp_path: Path) -> None:
    nothing = ("results.json", "train", "predictions/base", "predictions/trained")
    write_run(tmp_path / "a", leave_out=nothing)
    with pytest.raises(RunError, match="nothing to report"):
        find_runs(tmp_path)
    write_run(tmp_path / "b", leave_out=nothing)
    with pytest.raises(RunError, match="in any of its 2 run folders"):
        find_runs(tmp_path)
    write_run(tmp_path / "c", count=1)
    runs = find_runs(tmp_path)
    assert [run.begun for run in runs] == [False, False, True]
    assert "There are no results yet. (a and b)" in warnings(runs)


@pytest.mark.parametrize(
    ("name", "text", "kind", "said"),
    [
        ("results.json", "[]", RunError, "expected a JSON object, found list"),
        ("manifest.json", "{", DataError, "manifest.json"),
        ("recipe.yaml", "a: [", RunError, "not YAML"),
        ("train/metrics.jsonl", "3\n", RunError, "one JSON object per line"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, kind: type[Exception], said: str) -> None:
    run = write_run(tmp_path / "run", count=1)
    (run / name).write_text(text, encoding="utf-8")
    with pytest.raises(kind, match=said):
        load_run(run)


def test_results_of_the_schema_before_are_read_in_todays_words(tmp_path: Path) -> None:
    now = results()
    for schema in (1, 2):
        run = load_run(write_run(tmp_path / str(schema), values=in_old_words(now, schema)))
        outcomes = [(finding["hypothesis"], finding["outcome"]) for finding in run.results["findings"]]
        assert outcomes == [(finding["hypothesis"], finding["outcome"]) for finding in now["findings"]]
        old, new = (hypotheses([Arm("a", (replace(run, results=one),))]) for one in (run.results, now))
        assert (
            [card.badge for one in old for card in one.cards] == [card.badge for one in new for card in one.cards] != []
        )


def test_compared_files_make_a_run_with_findings(tmp_path: Path) -> None:
    answers = [*kept(20), Same(20, NA, PASS, NA)]
    files = [*write_pair(tmp_path, answers), *write_pair(tmp_path, answers, name="more-")]
    arranged = arrange_files(files, datasets="ab")
    (found,) = compare_arms(arranged, resamples=2_000)
    run = compared_run(found, arranged[0])
    assert [finding["hypothesis"] for finding in run.results["findings"]] == [1, 2, 3]
    data = browsable([run])
    assert data["kept"] == data["total"] == 120
    assert {example["dataset"] for example in data["examples"]} == {"a", "b"}


def test_hostile_predictions_survive_the_way_through_their_file(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", values=results(), hostile=True, count=3))
    assert run.predictions["base"]["wiki"] == tuple(predictions("wiki", stage="base", count=3, hostile=True))
    assert run.predictions["base"]["wiki"][0].claim == HOSTILE
