"""Names in a run folder: each is written down once, and old folders are still found."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import candor
from candor.errors import RunError
from candor.run_folder import SIDES, RunFolder

SOURCE = Path(candor.__file__).parent

FILES = {
    *("recipe.yaml", "manifest.json", "engine.json", "audit.json", "results.json", "report.html", "worker.log"),
    *("metrics.jsonl", "rollouts.jsonl", "done.json", "tracked.json", "seeds.json", ".lock", "sha256.json"),
}
FOLDERS = {"data", "predictions", "train", "checkpoints", "adapter", "tables", "figures", *SIDES}

OWNERS = {"run_folder.py": FILES | FOLDERS, "files.py": {".lock"}, "seals.py": {"sha256.json"}}
"""Who may write which of them down."""


def names_in(source: str) -> Iterator[str]:
    """Names of a run folder that a module writes down: a file's as a text of its own, a folder's behind ``/``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            yield from FILES & {node.value.split("/")[-1]}
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            behind = node.right.values[0] if isinstance(node.right, ast.JoinedStr) else node.right
            if isinstance(behind, ast.Constant):
                yield from FOLDERS & set(str(behind.value).split("/"))


def test_names_are_found_where_they_are_written_down() -> None:
    source = (
        'a / "data" / f"{split}.jsonl"; b = "results.json"; c / "train/metrics.jsonl"; e / f"base/{x}.jsonl"\n'
        'd["base"] == "data"; f"{b}: no results.json in it"; "see train/metrics.jsonl"; "the data"\n'
    )
    assert sorted(names_in(source)) == ["base", "data", "metrics.jsonl", "results.json", "train"]


@pytest.mark.parametrize("module", sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")))
def test_no_other_module_writes_them_down(module: str) -> None:
    found = set(names_in((SOURCE / module).read_text(encoding="utf-8")))
    assert found <= OWNERS.get(module, set()), f"candor.run_folder.RunFolder knows where {', '.join(found)} lies"


def test_everything_lies_where_it_always_did(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert str(run) == str(tmp_path)
    places = {
        "recipe.yaml": run.recipe,
        "manifest.json": run.manifest,
        "engine.json": run.engine,
        "audit.json": run.audit,
        "data/validation.jsonl": run.examples("validation"),
        "predictions/base/wiki.jsonl": run.predictions("base", "test", "wiki"),
        "predictions/trained/validation/wiki.jsonl": run.predictions("trained", "validation", "wiki"),
        "train/metrics.jsonl": run.metrics,
        "train/rollouts.jsonl": run.rollouts,
        "train/done.json": run.selected,
        "train/tracked.json": run.tracked,
        "checkpoints/step-000012": run.checkpoint(12),
        "adapter": run.adapter,
        "results.json": run.results,
        "seeds.json": run.seed_results(""),
        "seeds-paper.json": run.seed_results("paper"),
        "report.html": run.report,
        "tables": run.tables,
        "figures": run.figures,
        "worker.log": run.worker_log,
    }
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in places.items()} == {n: n for n in places}


def test_what_is_there_is_found_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "none")
    assert (run.is_run, run.is_trained, run.saved_steps(), run.runs_below()) == (False, False, [], [])
    run = RunFolder(tmp_path)
    for name in ("b", "a", ".c"):
        (tmp_path / name).mkdir()
    (tmp_path / "b" / "recipe.yaml").touch()
    (tmp_path / "a" / "recipe.yaml").touch()
    (tmp_path / "recipe.txt").touch()
    assert run.runs_below() == [RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")]
    assert RunFolder(tmp_path / "a").is_run
    assert not run.is_run
    for name in ("step-000010", "step-000002", ".step-000011.x.part"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert run.saved_steps() == [2, 10]
    (tmp_path / "predictions" / "base" / "validation").mkdir(parents=True)
    for name in ("wiki", "books", "validation/wiki"):
        (tmp_path / "predictions" / "base" / f"{name}.jsonl").touch()
    assert [path.stem for path in run.test_predictions("base")] == ["books", "wiki"]
    assert run.test_predictions("trained") == []


def test_a_run_is_trained_once_its_end_is_written_and_the_adapter_is_there(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.adapter.mkdir()
    assert not run.is_trained
    run.selected.parent.mkdir()
    run.selected.write_text("{}")
    assert run.is_trained
    run.adapter.rmdir()
    assert not run.is_trained


def test_one_process_works_in_a_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.working(), pytest.raises(RunError, match="another process is at work in this run folder"), run.working():
        pass
    with run.working():
        assert (tmp_path / ".lock").exists()
