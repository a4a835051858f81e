"""What trackers are told is what the run folder holds, once each."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from toy import save_toy_model, toy_recipe

from candor.cli.main import main
from candor.errors import CandorError, Stopped
from candor.progress import Reporter
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.runs.experiment import run_experiment
from candor.runs.trackers import Trackers, check_trackers

STEPS = 4

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed (extra 'log')"
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return toy_recipe(
        save_toy_model(tmp_path_factory.mktemp("model") / "model"),
        "data.validation={toy: 10}",
        "data.test={toy: 12}",
        f"train.steps={STEPS}",
        "train.kl_every=0",
        "train.checkpoint_every=100",
        "evaluation.resamples=2000",
        "stages=[data, base, train, trained, compare]",
    )


def run(recipe: Recipe, folder: Path, *log_to: str, stop_after: int | None = None) -> None:
    metrics = RunFolder(folder).metrics

    def stop() -> bool:
        """Behind so many steps; it is also asked between stages."""
        return stop_after is not None and metrics.is_file() and metrics.read_text().count("\n") == stop_after

    run_experiment(
        recipe,
        folder,
        reporter=Reporter(quiet=True),
        log_to=log_to,
        should_stop=stop,
    )


def told(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train" / "metrics.jsonl").read_text().splitlines()]


def same_as_folder(folder: Path, *, times: bool = True) -> None:
    events = told(folder)
    logged = rows(folder)
    for key, value in logged[-1].items():
        if key != "step" and isinstance(value, int | float) and (times or not key.startswith("seconds")):
            got = events[f"train/{key}"]
            assert [step for step, _ in got] == [row["step"] for row in logged if key in row]
            assert [v for _, v in got] == pytest.approx([row[key] for row in logged if key in row], rel=1e-6, abs=1e-12)
    (comparison,) = json.loads((folder / "results.json").read_text())["comparisons"]
    for side in ("base", "trained"):
        for name, figure in comparison["metrics"][side].items():
            tag = f"test/toy/{side}/{name}"
            if figure["value"] is None:
                assert tag not in events
            else:
                assert events[tag] == [(STEPS, pytest.approx(figure["value"], rel=1e-6))]


@pytest.mark.slow
@needs_tensorboard
def test_tensorboard_holds_the_figures_of_the_run(recipe: Recipe, tmp_path: Path) -> None:
    run(recipe, tmp_path / "run", "tensorboard")
    same_as_folder(tmp_path / "run")
    before = sorted((tmp_path / "run" / "tensorboard").iterdir())
    run(recipe, tmp_path / "run", "tensorboard")
    assert sorted((tmp_path / "run" / "tensorboard").iterdir()) == before


@pytest.mark.slow
@needs_tensorboard
def test_a_run_that_was_stopped_is_logged_once(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        run(recipe, folder, "tensorboard", stop_after=2)
    assert [step for step, _ in told(folder)["train/loss"]] == [0, 1]
    # As a kill before the next checkpoint leaves it: the steps are in the tracker, and are taken again.
    shutil.rmtree(folder / "checkpoints")
    (folder / "train" / "metrics.jsonl").unlink()
    run(recipe, folder, "tensorboard")
    same_as_folder(folder, times=False)


@pytest.mark.slow
@needs_tensorboard
def test_a_tracker_may_come_later(recipe: Recipe, tmp_path: Path) -> None:
    run(recipe, tmp_path / "run")
    run(recipe, tmp_path / "run", "tensorboard")
    same_as_folder(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="W&B is not installed (extra 'log')")
def test_wandb_works_offline(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = tmp_path / "run"
    run(recipe, folder, "wandb")
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    # Its format has no public reader; keys and numbers (as JSON) stand in it as plain text.
    content = file.read_bytes()
    assert content.count(b"train/loss") >= STEPS
    for row in rows(folder):
        assert json.dumps(row["loss"]).encode() in content
    (comparison,) = json.loads((folder / "results.json").read_text())["comparisons"]
    accuracy = comparison["metrics"]["trained"]["accuracy"]["value"]
    assert b"test/toy/trained/accuracy" in content
    assert json.dumps(accuracy).encode() in content


@pytest.mark.skipif(
    importlib.util.find_spec("trackio") is None, reason="trackio is not installed (it wants pillow below 13)"
)
def test_trackio_holds_the_same_figures(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("TRACKIO_DIR", str(store))
    folder = tmp_path / "run"
    run(recipe, folder, "trackio")
    with sqlite3.connect(store / "candor.db") as database:
        sent = {step: json.loads(metrics) for step, metrics in database.execute("SELECT step, metrics FROM metrics")}
    for row in rows(folder):
        assert sent[row["step"]]["train/loss"] == row["loss"]
    (comparison,) = json.loads((folder / "results.json").read_text())["comparisons"]
    assert sent[STEPS]["test/toy/trained/accuracy"] == comparison["metrics"]["trained"]["accuracy"]["value"]


class FakeTracker:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, float], int]] = []
        self.finished = 0

    def log(self, values: dict[str, float], step: int) -> None:
        self.told.append((values, step))

    def finish(self) -> None:
        self.finished += 1


def test_numbers_are_sent_once_over_all_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = FakeTracker()
    monkeypatch.setattr(Trackers, "_start", lambda self, name: tracker)
    steps = [{"step": i, "loss": i / 2, "warnings": ["w"]} for i in range(3)]
    for rows_of_start in (steps[:2], steps, steps):
        trackers = Trackers(["wandb"], RunFolder(tmp_path), {})
        trackers.log_steps(rows_of_start)
        trackers.close()
    assert tracker.told == [({"train/loss": i / 2}, i) for i in range(3)]
    assert tracker.finished == 2


def test_unknown_and_missing_trackers_are_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CandorError, match=r"no such tracker; there are tensorboard, wandb, trackio"):
        check_trackers(["tensorboards"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "trackio" else object())
    assert check_trackers(["tensorboard, wandb", "wandb"]) == ["tensorboard", "wandb"]
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--log-to", "trackio", "--out", str(tmp_path / "run")])
    assert ended.value.code == 1
    error = capfd.readouterr().err.strip()
    assert "pip install trackio" in error
    assert "\n" not in error
    assert not (tmp_path / "run").exists()
