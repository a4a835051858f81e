"""Experiments from Python: run, opened, looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_run import write_run
from matplotlib.figure import Figure
from toy import save_toy_model, toy_recipe

import candor
from candor.errors import RecipeError, RunError


def test_a_recipe_runs_and_goes_on(tmp_path: Path) -> None:
    recipe = toy_recipe(
        save_toy_model(tmp_path / "model"),
        *("train.steps=1", "train.kl_every=0", "data.test={toy: 4}", "stages=[data, base, train, trained]"),
    )
    run = candor.run(recipe, out=tmp_path / "run", quiet=True)
    assert run == candor.Run(tmp_path / "run")
    assert len(run.predictions("trained", "toy")) == 4
    assert run.recipe.train.steps == 1
    with pytest.raises(RunError, match="nothing compared yet"):
        _ = run.results
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*.jsonl")}
    candor.run(recipe, out=tmp_path / "run", quiet=True)
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*.jsonl")}


def test_a_finished_run_is_looked_at(trained_run: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(trained_run, tmp_path / "mine")
    run = candor.open_run(copied)
    assert run.results.datasets == ["toy"]
    assert len(run.predictions("base", "toy")) == len(run.predictions("trained", "toy")) == 12
    assert run.report() == copied / "report.html"
    assert (copied / "report.html").is_file()
    shown = run._repr_html_()
    assert "compared" in shown
    assert "NA recall" in shown
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    assert run.training.to_frame()["step"].tolist() == [0, 1]


def test_the_arms_and_seeds_of_an_experiment_are_its_members(tmp_path: Path) -> None:
    for name in ("candor-seed0", "candor-seed1"):
        write_run(tmp_path / name, datasets=("wiki",), count=8)
    experiment = candor.open_run(tmp_path)
    assert list(experiment.members) == ["candor-seed0", "candor-seed1"]
    with pytest.raises(RunError, match=r"members\[NAME\].*candor-seed0, candor-seed1"):
        experiment.predictions("base", "wiki")
    one = experiment.members["candor-seed1"]
    assert len(one.predictions("base", "wiki")) == 8
    assert one.members == {}
    assert isinstance(experiment.training.plot(), Figure)


def test_what_there_is_not_is_said_with_what_there_is(tmp_path: Path) -> None:
    run = candor.open_run(write_run(tmp_path / "run", datasets=("wiki",), count=8))
    with pytest.raises(RunError, match="no trained answers to 'mars'; there are: wiki"):
        run.predictions("trained", "mars")
    with pytest.raises(RunError, match="no side 'after'; there are: base, trained"):
        run.predictions("after", "wiki")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="no run here"):
        candor.open_run(tmp_path / "nothing")


def test_money_is_spent_on_request_alone(tmp_path: Path) -> None:
    recipe = candor.load_recipe("demo", ["engine.kind=tinker", "sampling.temperature=1.0"])
    with pytest.raises(RecipeError, match="spend=True"):
        candor.run(recipe, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
