"""What is finished in a run folder is as it was written, or the run is not gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from candor.errors import DamagedError
from candor.files import write_text
from candor.run_folder import RunFolder
from candor.runs.kept import Kept
from candor.seals import seal_folder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """All files that a finished run has, noted."""
    run = RunFolder(tmp_path)
    files = [run.recipe, run.manifest, run.audit, run.examples("train"), run.metrics, run.rollouts, run.selected]
    files += [run.predictions("base", "test", "toy"), run.adapter / "weights", run.results]
    for path in files:
        write_text(path, path.name)
    seal_folder(run.adapter)
    Kept(run).made(*files, *run.adapter.iterdir())
    Kept(run).check()
    return run


@pytest.mark.parametrize(
    "name", ["data/train.jsonl", "audit.json", "predictions/base/toy.jsonl", "results.json", "train/metrics.jsonl"]
)
def test_a_changed_file_is_refused(folder: RunFolder, name: str) -> None:
    (folder.path / name).write_text("something else")
    with pytest.raises(DamagedError, match=f"{name} is not what was written"):
        Kept(folder).check()


@pytest.mark.parametrize(
    "name", ["data/train.jsonl", "audit.json", "train/metrics.jsonl", "train/rollouts.jsonl", "adapter/weights"]
)
def test_what_nothing_makes_again_must_be_there(folder: RunFolder, name: str) -> None:
    (folder.path / name).unlink()
    with pytest.raises(DamagedError, match=f"{name} is gone"):
        Kept(folder).check()


@pytest.mark.parametrize("name", ["recipe.yaml", "predictions", "results.json", "train/done.json", "adapter"])
def test_what_is_made_again_may_be_missing(folder: RunFolder, name: str) -> None:
    path = folder.path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    Kept(folder).check()


def test_data_that_is_made_again_must_be_what_it_was(folder: RunFolder) -> None:
    folder.manifest.unlink()
    folder.examples("train").unlink()
    Kept(folder).check()
    folder.examples("train").write_text("others")
    with pytest.raises(DamagedError, match=r"train\.jsonl is not what was written"):
        Kept(folder).check_again(folder.manifest, folder.examples("train"))


def test_what_was_finished_before_a_kill_is_noted_once(folder: RunFolder) -> None:
    late = folder.predictions("trained", "test", "toy")
    Kept(folder).found(late)  # not there, not noted
    assert folder.seal.expected(late) is None
    write_text(late, "answers")
    Kept(folder).found(late)
    late.write_text("others")
    Kept(folder).found(late)
    with pytest.raises(DamagedError, match="not what was written"):
        Kept(folder).check()
    Kept(folder).made(late)
    Kept(folder).check()
