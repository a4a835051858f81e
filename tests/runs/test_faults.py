"""Run folders that came to harm: what goes on from them ends as it would have without, or is refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy import SAMPLED, save_toy_model, toy_recipe

from candor.errors import CandorError, Stopped
from candor.progress import Reporter
from candor.recipe.recipe import Recipe
from candor.runs.experiment import run_experiment
from candor.verifier import Verifier

QUIET = Reporter(quiet=True)
STEPS = 4
NOT_COMPARED = ("sha256.json", "engine.json", "manifest.json", ".lock")
"""Files that hold hashes over seconds, or that nothing is computed from."""

MADE_LATE = ("adapter/", "results.json", "predictions/trained/", "train/done.json", "sha256.json")
"""What only a finished run has, and its seal."""


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    path.write_bytes(data)


def folder_in_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def swapped(path: Path) -> None:
    """Take the place of its neighbour, and the neighbour its own; alone, be what another kind of file is."""
    others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other != path]
    if not others:
        path.write_text("{}\n")
        return
    mine, theirs = path.read_bytes(), others[0].read_bytes()
    path.write_bytes(theirs)
    others[0].write_bytes(mine)


HARMS: dict[str, Callable[[Path], Any]] = {
    "flip": flipped,
    "cut": lambda path: path.write_bytes(path.read_bytes()[: -max(1, path.stat().st_size // 3)]),
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "double": lambda path: path.write_bytes(path.read_bytes() * 2),
    "folder": folder_in_place,
    "swap": swapped,
}

HALF_DONE = [
    *("recipe.yaml", "manifest.json", "engine.json", "audit.json", "sha256.json"),
    *(f"data/{split}.jsonl" for split in ("train", "validation", "test", "calibration")),
    *(f"predictions/base/{name}toy.jsonl" for name in ("", "validation/", "calibration/")),
    *("train/metrics.jsonl", "train/rollouts.jsonl"),
    *(
        f"checkpoints/step-00000{step}/{name}"
        for step in (2, 3)
        for name in ("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "optimiser.pt", "state.json")
    ),
    *(f"checkpoints/step-00000{step}/sha256.json" for step in (2, 3)),
]

FINISHED = [
    *("recipe.yaml", "data/train.jsonl", "audit.json", "train/metrics.jsonl", "train/done.json", "results.json"),
    *("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "adapter/sha256.json", "sha256.json"),
    *("predictions/trained/toy.jsonl", "predictions/trained/validation/toy.jsonl", "predictions/base/toy.jsonl"),
]


SAMPLING = SAMPLED  # which leaves completions to read

WARMED = (
    "objective={preset: sft, taught_confidence: cross_fitted, folds: 2}",
    "data.warm_start={toy: 6}",
    "warm_start={train: {steps: 2, prompts_per_step: 3, checkpoint_every: 1, optimiser: {learning_rate: 0.02}}}",
)
"""A run with a warm start and trainings of folds before its own."""

WARMED_HALF_DONE = [
    *(f"warm_start/adapter/{name}" for name in ("adapter_model.safetensors", "adapter_config.json", "sha256.json")),
    *("warm_start/adapter/trained_on.json", "warm_start/train/metrics.jsonl", "warm_start/train/done.json"),
    *("data/warm_start.jsonl", "predictions/warm/toy.jsonl", "predictions/warm/validation/toy.jsonl", "sha256.json"),
    *("cross_fitting/fold-0/label_probs.jsonl", "cross_fitting/fold-0/train/metrics.jsonl"),
    *("cross_fitting/fold-0/adapter/adapter_model.safetensors", "cross_fitting/fold-1/train/metrics.jsonl"),
    "cross_fitting/fold-1/checkpoints/step-000003/adapter/adapter_model.safetensors",
]
"""Stopped within the training of the second fold."""

WARMED_FINISHED = [
    *("warm_start/adapter/adapter_model.safetensors", "predictions/warm/toy.jsonl", "results.json"),
    *("cross_fitting/fold-0/label_probs.jsonl", "cross_fitting/fold-1/label_probs.jsonl"),
]


class Runs:
    """A recipe, copies of its run half done and finished, and the one place where copies are worked on."""

    def __init__(self, folder: Path, recipe: tuple[str, ...], begun: str, half_done: list[str]) -> None:
        """Run once, and be stopped behind the third question since the log ``begun`` was.

        Args:
            folder: to work in.
            recipe: what makes it another than the other.
            begun: the log.
            half_done: what must be there when it has stopped.
        """
        self.recipe: Recipe = toy_recipe(
            save_toy_model(folder / "model"),
            *recipe,
            "data.train={toy: 6}",
            "data.validation={toy: 6}",
            "data.test={toy: 6}",
            "data.calibration={toy: 4}",
            f"train.steps={STEPS}",
            "train.checkpoint_every=2",
            "train.kl_every=0",
            "evaluation.resamples=2000",
            f"stages=[data, {'warm, ' * (recipe is WARMED)}base, train, trained, compare]",
        )
        self.out = folder / "out"
        done: list[int] = []
        with pytest.raises(Stopped):
            run_experiment(
                self.recipe,
                self.out,
                reporter=QUIET,
                should_stop=lambda: (self.out / begun).is_file() and (done.append(1), len(done) == 3)[1],
            )
        shutil.copytree(self.out, folder / "half done")
        self.run()
        shutil.copytree(self.out, folder / "finished")
        self.folder = folder
        assert all((folder / "half done" / name).stat().st_size for name in half_done)
        self.expected = self.found()

    def run(self) -> None:
        run_experiment(self.recipe, self.out, reporter=QUIET)

    def take(self, which: str) -> Path:
        shutil.rmtree(self.out)
        shutil.copytree(self.folder / which, self.out)
        return self.out

    def found(self) -> dict[str, Any]:
        """What a finished run says, file by file."""
        files: dict[str, Any] = {}
        for path in sorted(self.out.rglob("*")):
            name = path.relative_to(self.out).as_posix()
            if path.name == "metrics.jsonl":
                rows = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
                files[name] = [{k: v for k, v in row.items() if not k.startswith("seconds_")} for row in rows]
            elif path.is_file() and path.name not in NOT_COMPARED and "checkpoints" not in path.parts:
                files[name] = path.read_bytes()
        return files

    def verdict(self) -> Any:
        return Verifier.load(str(self.out), device="cpu").verify("x = 3", ["x is 3"]).as_json()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("faults"), SAMPLING, "train/metrics.jsonl", HALF_DONE)


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    log = "cross_fitting/fold-1/train/metrics.jsonl"
    return Runs(tmp_path_factory.mktemp("warmed"), WARMED, log, WARMED_HALF_DONE)


def plainly_refused(act: Callable[[], Any]) -> bool:
    """Whether an act is refused in one line; anything but that is an error of the test."""
    said = ""
    try:
        act()
    except (CandorError, OSError) as error:
        said = str(error).strip() or "\n"
    assert "\n" not in said
    return bool(said)


def test_the_copies_have_every_file_that_is_harmed(runs: Runs) -> None:
    for which, names in (("half done", HALF_DONE), ("finished", FINISHED)):
        there = {p.relative_to(runs.folder / which).as_posix() for p in (runs.folder / which).rglob("*") if p.is_file()}
        assert set(names) <= there
    half_done = {p.relative_to(runs.folder / "half done").as_posix() for p in (runs.folder / "half done").rglob("*")}
    late = {name for name in runs.expected if name.startswith(MADE_LATE)}
    assert runs.expected.keys() - half_done == late
    assert runs.expected.keys() - set(HALF_DONE) == late


@pytest.mark.parametrize("which", ["half done", "finished"])
def test_without_harm_a_copy_ends_as_the_run_did(runs: Runs, which: str) -> None:
    runs.take(which)
    runs.run()
    assert runs.found() == runs.expected


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", HALF_DONE)
def test_a_harmed_run_is_gone_on_with_to_the_same_end_or_refused(runs: Runs, name: str, harm: str) -> None:
    HARMS[harm](runs.take("half done") / name)
    if not plainly_refused(runs.run):
        assert runs.found() == runs.expected


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", FINISHED)
def test_a_harmed_finished_run_says_the_same_or_is_refused(runs: Runs, name: str, harm: str) -> None:
    expected = runs.verdict() if runs.take("finished") else None
    HARMS[harm](runs.out / name)
    verdicts: list[Any] = []
    if not plainly_refused(lambda: verdicts.append(runs.verdict())):
        assert verdicts == [expected]
    if not plainly_refused(runs.run):
        assert runs.found() == runs.expected


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(
    ("state", "name"),
    [("half done", name) for name in WARMED_HALF_DONE] + [("finished", name) for name in WARMED_FINISHED],
)
def test_a_run_with_a_harmed_warm_start_or_fold_ends_the_same_or_is_refused(
    warmed: Runs, state: str, name: str, harm: str
) -> None:
    HARMS[harm](warmed.take(state) / name)
    if not plainly_refused(warmed.run):
        assert warmed.found() == warmed.expected
