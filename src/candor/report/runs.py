"""Reading a run folder for the report: what is missing stays missing, what is broken is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from candor.errors import RunError
from candor.files import read_json, read_jsonl

STAGES = ("base", "trained")


@dataclass(frozen=True, slots=True)
class Run:
    """The saved files of one run.

    Attributes:
        name: of its folder, or its path below the experiment's folder (``fever/seed-1``).
        folder: where it lies.
        results: ``results.json``; empty when the run has not been evaluated.
        recipe: ``recipe.yaml`` as read, and its text.
        manifest, audit: the JSON files of that name; empty when missing.
        steps: rows of ``train/metrics.jsonl``.
        predictions: rows by stage (``base``, ``trained``) and dataset.
    """

    name: str
    folder: Path
    results: Mapping[str, Any]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipe_text: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[Mapping[str, Any]] = ()
    predictions: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]] = field(default_factory=dict)


def load_run(folder: Path | str, *, name: str | None = None) -> Run:
    """Read what there is of a run.

    Args:
        folder: a run folder.
        name: how the report calls it; its folder's name if not given.

    Raises:
        RunError: the folder is missing, or holds neither results nor predictions nor training metrics.
        DataError: a file is there and cannot be read; names file and line.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run folder")
    recipe_path = folder / "recipe.yaml"
    recipe_text = recipe_path.read_text(encoding="utf-8") if recipe_path.is_file() else ""
    steps_path = folder / "train" / "metrics.jsonl"
    run = Run(
        name=folder.resolve().name if name is None else name,
        folder=folder,
        results=_object(folder / "results.json"),
        recipe=_recipe(recipe_path, recipe_text),
        recipe_text=recipe_text,
        manifest=_object(folder / "manifest.json"),
        audit=_object(folder / "audit.json"),
        steps=[_row(row, steps_path) for row in read_jsonl(steps_path)] if steps_path.is_file() else [],
        predictions={stage: _predictions(folder / "predictions" / stage) for stage in STAGES},
    )
    if not run.results and not run.steps and not any(run.predictions.values()):
        raise RunError(f"{folder}: nothing to report; expected results.json, predictions/ or train/metrics.jsonl in it")
    return run


def find_runs(folder: Path | str) -> list[Run]:
    """The run at ``folder``, or every run folder below it, sorted by path.

    A folder is a run when it holds ``recipe.yaml`` or ``results.json``; nothing is looked for inside a run.

    Raises:
        RunError: there is no run in it.
    """
    folder = Path(folder)
    found = _run_folders(folder)
    if not found:
        raise RunError(f"{folder}: no run folder (one with recipe.yaml or results.json) here or below")
    if found == [folder]:
        return [load_run(folder)]
    return [load_run(path, name=path.relative_to(folder).as_posix()) for path in found]


def _run_folders(folder: Path) -> list[Path]:
    if (folder / "recipe.yaml").is_file() or (folder / "results.json").is_file():
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


def _predictions(folder: Path) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    if not folder.is_dir():
        return {}
    return {path.stem: [_row(row, path) for row in read_jsonl(path)] for path in sorted(folder.glob("*.jsonl"))}
