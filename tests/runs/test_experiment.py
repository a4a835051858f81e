"""An experiment as a whole: a folder for every seed, one report of all, and nothing done twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from read_only import read_only
from toy import save_toy_model, toy_recipe

from candor.comparison.results import read_results
from candor.errors import RunError
from candor.progress import Reporter
from candor.report.page import build_page
from candor.run_folder import RunFolder
from candor.runs.experiment import run_experiment

QUIET = Reporter(quiet=True)
SMALL = (
    "data.validation={toy: 6}",
    "data.test={toy: 6}",
    "train.steps=1",
    "train.kl_every=0",
    "evaluation.resamples=2000",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def test_seeds_have_their_own_folders_and_are_reported_on_together(model: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model, *SMALL, "seeds=[0, 1]")
    out = tmp_path / "run"
    folders = run_experiment(recipe, out, reporter=QUIET)
    assert folders == [out / "seed0", out / "seed1"]
    for folder in map(RunFolder, folders):
        assert folder.results.is_file()
        assert folder.adapter.is_dir()
        assert not (folder.path / "report.html").exists()
    assert (out / "report.html").is_file()
    together = read_results(RunFolder(out).seed_results(""))
    assert together["kind"] == "seeds"
    crossed = together["comparisons"][0]["crossed"]
    mean = together["comparisons"][0]["differences"]["accuracy"]["mean"]
    assert crossed["accuracy"]["value"] == pytest.approx(mean)
    assert crossed["accuracy"]["seeds"] == 2
    assert crossed["accuracy"]["p_holm"] == crossed["accuracy"]["p"]
    # The same again does nothing.
    adapters = {folder: (folder / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns for folder in folders}
    assert run_experiment(recipe, out, reporter=QUIET) == folders
    for folder, when in adapters.items():
        assert (folder / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == when


@pytest.mark.parametrize("seeds", ["[0]", "[0, 1]"])
def test_a_finished_run_on_a_read_only_disk_can_be_run_and_reported_again(
    model: Path, tmp_path: Path, seeds: str
) -> None:
    recipe = toy_recipe(model, *SMALL, f"seeds={seeds}")
    out = tmp_path / "run"
    folders = run_experiment(recipe, out, reporter=QUIET)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with read_only(out):
        with pytest.raises(OSError, match="Read-only"):
            (out / "x").touch()
        assert run_experiment(recipe, out, reporter=QUIET) == folders
        page = build_page([out], tmp_path / "page.html")
    assert page.is_file()
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_run_that_is_not_finished_says_that_nothing_can_be_written(model: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model, *SMALL)
    out = tmp_path / "run"
    run_experiment(recipe, out, reporter=QUIET)
    RunFolder(out).results.unlink()
    with read_only(out), pytest.raises(OSError, match="Read-only"):
        run_experiment(recipe, out, reporter=QUIET)


def test_what_killed_processes_left_half_is_swept(model: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model, *SMALL, "seeds=[0, 1]", "stages=[data]")
    out = tmp_path / "run"
    (first, _) = run_experiment(recipe, out, reporter=QUIET)
    left = [out / ".seeds.json.x.part", first / ".adapter.y.part", first / "data" / ".train.jsonl.z.part"]
    left[1].mkdir()
    for path in (left[0], left[1] / "weights", left[2]):
        path.write_text("half")
    kept = out / "mine.part"
    kept.write_text("of somebody else")
    run_experiment(recipe, out, reporter=QUIET)
    assert [path.exists() for path in (*left, kept)] == [False, False, False, True]


def test_a_folder_of_another_recipe_is_left_alone(model: Path, tmp_path: Path) -> None:
    run_experiment(toy_recipe(model, *SMALL, "stages=[data]"), tmp_path, reporter=QUIET)
    before = (tmp_path / "recipe.yaml").read_bytes()
    with pytest.raises(RunError, match=r"another recipe \(it differs in train\.steps\)"):
        run_experiment(toy_recipe(model, *SMALL, "train.steps=2"), tmp_path, reporter=QUIET)
    assert (tmp_path / "recipe.yaml").read_bytes() == before
