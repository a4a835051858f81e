"""Reading a run folder for the report: what is missing stays missing, what is broken is an error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from candor.comparison.pairing import load_side
from candor.comparison.several import ArmFiles
from candor.errors import RunError
from candor.files import read_json, read_jsonl
from candor.metrics.check_results import check_results
from candor.metrics.old_results import in_current_words
from candor.metrics.schema import RunResults
from candor.predictions.file import read_predictions
from candor.run_folder import SIDES, RunFolder
from candor.types import Prediction


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The saved files of one run.

    Attributes:
        name: of its folder, or its path below the experiment's folder (``fever/seed-1``).
        folder: where it lies.
        results: ``results.json``; empty when the run has not been evaluated.
        recipe: ``recipe.yaml`` as read, and its text.
        manifest, audit: the JSON files of that name; empty when missing.
        steps: rows of ``train/metrics.jsonl``.
        predictions: by side (``base``, ``trained``) and dataset.
    """

    name: str
    folder: Path
    results: Mapping[str, Any]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipe_text: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[Mapping[str, Any]] = ()
    predictions: Mapping[str, Mapping[str, Sequence[Prediction]]] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether there is anything to report: results, predictions or steps of training."""
        return bool(self.results or self.steps or any(self.predictions.values()))


def load_run(folder: Path | str, *, name: str | None = None) -> SavedRun:
    """Read what there is of a run.

    Args:
        folder: a run folder.
        name: how the report calls it; its folder's name if not given.

    Raises:
        RunError: the folder is missing, or holds neither results nor predictions nor training metrics.
        DataError: a JSON file is there and cannot be read; names file and line.
        DamagedError: a file is not what the run wrote.
        PredictionError: the same of a prediction file, or the results do not have the documented shape.
    """
    run = _load(RunFolder(Path(folder)), name)
    if not run.begun:
        raise RunError(f"{folder}: nothing to report; expected results.json, predictions/ or train/metrics.jsonl in it")
    return run


def _load(folder: RunFolder, name: str | None) -> SavedRun:
    if not folder.path.is_dir():
        raise RunError(f"{folder}: no such run folder")
    folder.seal.check(path for path in folder.path.rglob("*") if path.is_file())
    recipe_text = folder.recipe.read_text(encoding="utf-8") if folder.is_run else ""
    steps = folder.metrics
    recipe = _recipe(folder.recipe, recipe_text)
    results = in_current_words(_object(folder.results))
    if results:
        check_results(results)
    return SavedRun(
        name=folder.path.resolve().name if name is None else name,
        folder=folder.path,
        results=results,
        recipe=recipe,
        recipe_text=recipe_text,
        manifest=_object(folder.manifest),
        audit=_object(folder.audit),
        steps=[_row(row, steps) for row in read_jsonl(steps)] if steps.is_file() else [],
        predictions={
            # Where training went on from a warm start, results compare with that, and so does the page.
            "base": _predictions(folder.test_predictions("warm" if recipe.get("warm_start") else "base")),
            "trained": _predictions(folder.test_predictions("trained")),
        },
    )


def compared_run(results: RunResults, arm: ArmFiles) -> SavedRun:
    """Results of prediction files as a run without a folder, so that a page can be made of them.

    Args:
        results: what :func:`candor.comparison.several.compare_arms` returned of the arm.
        arm: the files that were compared, of candor's or the study's format.

    Raises:
        PredictionError: a file cannot be read.
    """
    predictions: dict[str, Mapping[str, Sequence[Prediction]]] = {
        side: {one.dataset: load_side(one.files[place], side).predictions for one in arm.datasets}
        for place, side in enumerate(SIDES)
    }
    folder = arm.datasets[0].files[1].parent
    return SavedRun(name=arm.name, folder=folder, results=results, predictions=predictions)


def find_runs(*folders: Path | str) -> list[SavedRun]:
    """Every run at the folders or below them, in the order given, then by path.

    A folder is a run when it holds ``recipe.yaml`` or ``results.json``; nothing is looked for inside a run. A lone
    run is called by its folder's name, several by their paths below what they have in common.

    Raises:
        RunError: there is no run in one of them, or nothing to report in any run.
    """
    found: list[Path] = []
    for folder in folders:
        below = _run_folders(Path(folder))
        if not below:
            raise RunError(f"{folder}: no run folder (one with recipe.yaml or results.json) here or below")
        found += [path for path in below if path not in found]
    if len(found) == 1:
        return [load_run(found[0])]
    common = Path(os.path.commonpath([path.resolve() for path in found]))
    runs = [_load(RunFolder(path), path.resolve().relative_to(common).as_posix()) for path in found]
    if not any(run.begun for run in runs):
        raise RunError(f"{common}: nothing to report yet in any of its {len(runs)} run folders")
    return runs


def _run_folders(folder: Path) -> list[Path]:
    if RunFolder(folder).is_run or RunFolder(folder).results.is_file():
        return [folder]
    if not folder.is_dir():
        return []
    return [run for child in sorted(folder.iterdir()) if child.is_dir() for run in _run_folders(child)]


def _object(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise RunError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def _row(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RunError(f"{path}: expected one JSON object per line, found {value!r}")
    return value


def _recipe(path: Path, text: str) -> Mapping[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RunError(f"{path}: not YAML ({error})") from error
    return value if isinstance(value, dict) else {}


def _predictions(paths: Sequence[Path]) -> Mapping[str, Sequence[Prediction]]:
    return {path.stem: read_predictions(path).predictions for path in paths}
