"""Reading run folders, choosing predictions for the page, and words for numbers."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_run import HOSTILE, predictions, results, write_run
from hypothesis import given
from hypothesis import strategies as st

from candor.errors import DataError, RunError
from candor.report.predictions import browsable, script_json
from candor.report.runs import Run, comparison_run, find_runs, load_run
from candor.report.sections import warnings
from candor.types import LABELS, Prediction, Validity

MODULES = [
    *("arms", "figures", "formats", "page", "plots", "predictions"),
    *("runs", "sections", "style", "tables", "wording"),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_right(name: str) -> None:
    module = importlib.import_module(f"candor.report.{name}")
    assert doctest.testmod(module).failed == 0


def test_the_report_needs_neither_torch_nor_an_engine() -> None:
    code = (
        "import sys, candor.report.page, candor.report.formats\n"
        "heavy = [name for name in sys.modules if name.split('.')[0] in ('torch', 'transformers', 'peft')"
        " or name.startswith('candor.engines')]\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


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


def test_the_published_files_make_a_run_with_verdicts(shared_data: Path) -> None:
    from candor.comparison.compare import compare_files

    base, trained = (
        shared_data / "published" / f"{name}.json.gz" for name in ("fever_base_results", "fever_only_on_fever_results")
    )
    found = compare_files(base, trained, dataset="fever", role="in_domain", resamples=50)
    run = comparison_run(found, base, trained)
    assert [verdict["claim"] for verdict in run.results["verdicts"]] == [1, 2]
    data = browsable([run])
    assert data["kept"] == data["total"] == 1000
    assert {example["dataset"] for example in data["examples"]} == {"fever"}


def prediction(name: str, label: int | None, *, confidence: float = 0.5, claim: str = "c", raw: str = "") -> Prediction:
    return Prediction(
        id=name,
        dataset="d",
        group=name,
        claim=claim,
        evidence=("e",),
        gold=LABELS[0],
        raw=raw,
        label=None if label is None else LABELS[label],
        confidence=confidence,
        validity=Validity.NONE if label is None else Validity.CLEAN,
    )


def of(base: list[Prediction], trained: list[Prediction]) -> Run:
    return Run(name="r", folder=Path(), results={}, predictions={"base": {"d": base}, "trained": {"d": trained}})


def test_predictions_are_paired_by_id_in_file_order() -> None:
    data = browsable([of([prediction("a", 0), prediction("b", 1)], [prediction("b", 0), prediction("c", 0)])])
    assert data["total"] == data["kept"] == 1
    assert data["examples"] == [{"id": "b", "dataset": "d", "claim": "c", "evidence": ["e"], "gold": "PASS"}]
    assert data["runs"] == [{"name": "r", "rows": [[0, ["FAIL", 0.5, None], ["PASS", 0.5, None]]]}]


def test_when_not_all_fit_those_that_changed_or_are_confidently_wrong_stay() -> None:
    base = [prediction(str(n), 1, claim="x" * 500) for n in range(20)]
    trained = [prediction(str(n), 1) for n in range(20)]
    trained[17] = prediction("17", 0)
    trained[19] = prediction("19", 1, confidence=0.95)
    data = browsable([of(base, trained)], max_bytes=2500)
    assert data["total"] == 20
    kept = [data["examples"][row[0]]["id"] for row in data["runs"][0]["rows"]]
    assert kept[-2:] == ["17", "19"]
    assert kept[:-2] == [str(n) for n in range(len(kept) - 2)]
    assert len(script_json(data).encode()) <= 2500


def test_runs_share_the_text_of_their_examples() -> None:
    one = of([prediction("a", 0)], [prediction("a", 1)])
    data = browsable([one, one])
    assert len(data["examples"]) == 1
    assert [run["rows"][0][0] for run in data["runs"]] == [0, 0]


def test_of_a_long_output_the_end_is_kept_where_the_verdict_stands() -> None:
    data = browsable([of([prediction("a", None, raw="x" * 900 + "END")], [prediction("a", 0)])])
    raw = data["runs"][0]["rows"][0][1][2]
    assert raw.startswith("(403 characters before) … x")
    assert raw.endswith("xEND")


@given(st.text())
def test_json_in_a_script_element_cannot_end_it_and_reads_back(text: str) -> None:
    written = script_json([text])
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == [text]


def test_hostile_predictions_survive_the_way_through_their_file(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", values=results(), hostile=True, count=3))
    assert run.predictions["base"]["wiki"] == tuple(predictions("wiki", stage="base", count=3, hostile=True))
    assert run.predictions["base"]["wiki"][0].claim == HOSTILE
