"""Metrics, sampled completions and checkpoints of one training run, such that a killed run goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from candor.engines import parallel
from candor.engines.base import Engine
from candor.errors import RunError
from candor.files import read_json, write_json, write_jsonl
from candor.training.collapse import CollapseWatch


class TrainingLog:
    """Writes ``train/metrics.jsonl``, ``train/rollouts.jsonl``, ``checkpoints/`` and, at the end, ``adapter/``.

    Lines are appended as steps finish. What stands behind the last checkpoint is taken back on resuming, because
    those steps are taken again, with the same result.
    """

    def __init__(self, folder: Path) -> None:
        """Take the run's folder; nothing is read or written yet."""
        self._checkpoints = folder / "checkpoints"
        self._adapter = folder / "adapter"
        self._metrics = folder / "train" / "metrics.jsonl"
        self._rollouts = folder / "train" / "rollouts.jsonl"
        self._done = folder / "train" / "done.json"
        self._watch = CollapseWatch()
        self._scores: list[tuple[float, int]] = []

    @property
    def finished(self) -> bool:
        """Whether training has come to its end, adapter included."""
        return self._done.is_file() and self._adapter.is_dir()

    def resume(self, engine: Engine) -> int:
        """Load the last checkpoint into the engine, take back later lines, and return the step to go on with."""
        step = max(self._saved_steps(), default=0)
        if step:
            engine.load(self._checkpoint(step))
        rows = [row for row in _readable_rows(self._metrics) if row["step"] < step]
        if [row["step"] for row in rows] != list(range(step)):
            raise RunError(
                f"{self._metrics}: {len(rows)} steps are logged before checkpoint {step}; the run folder is damaged: "
                "remove its train and checkpoints folders to train anew"
            )
        for row in rows:
            self._watch.look(row)
            self._note_score(row)
        if parallel.is_main():
            # What a save that was killed has left behind would stay forever.
            for rest in self._checkpoints.glob(".*.part"):
                shutil.rmtree(rest)
            write_jsonl(self._metrics, rows)
            write_jsonl(self._rollouts, [row for row in _readable_rows(self._rollouts) if row["step"] < step])
        return step

    def append(self, row: dict[str, Any], rollouts: Sequence[dict[str, Any]]) -> None:
        """Write a step's figures, with what collapse they show the beginning of under ``warnings``."""
        begun = self._watch.look(row)
        if begun:
            row["warnings"] = begun
        self._note_score(row)
        if parallel.is_main():
            _append(self._metrics, [row])
            _append(self._rollouts, rollouts)

    def checkpoint(self, engine: Engine, steps: int) -> None:
        """Save the engine after so many steps, and remove checkpoints that are no longer needed."""
        if parallel.is_main():
            engine.save(self._checkpoint(steps))
            needed = {steps, self._best_step()}
            for old in self._saved_steps():
                if old not in needed:
                    shutil.rmtree(self._checkpoint(old))
        parallel.barrier()

    def out_of_patience(self, patience: int) -> bool:
        """Whether the last ``patience`` validations brought no better score than one before them."""
        if not patience or len(self._scores) <= patience:
            return False
        best_before = max(score for score, _ in self._scores[:-patience])
        return max(score for score, _ in self._scores[-patience:]) <= best_before

    def finish(self, engine: Engine) -> None:
        """Write the adapter: that of the best validation if there was any, else the last."""
        best = self._best_step()
        if best is not None:
            engine.load(self._checkpoint(best))
        if parallel.is_main():
            engine.save_adapter(self._adapter)
            write_json(self._done, {"selected_step": best, "selected_by": None if best is None else "validation"})
        parallel.barrier()

    def selected(self) -> dict[str, Any]:
        """Which step's weights became the adapter, and why."""
        return dict(read_json(self._done))

    def _best_step(self) -> int | None:
        """Steps taken at the best validation score so far; the earliest of equals."""
        return max(self._scores, key=lambda item: (item[0], -item[1]))[1] if self._scores else None

    def _note_score(self, row: dict[str, Any]) -> None:
        if "validation_score" in row:
            self._scores.append((row["validation_score"], row["step"] + 1))

    def _checkpoint(self, steps: int) -> Path:
        return self._checkpoints / f"step-{steps:06d}"

    def _saved_steps(self) -> list[int]:
        return sorted(int(path.name.removeprefix("step-")) for path in self._checkpoints.glob("step-*"))


def logged_rows(folder: Path) -> list[dict[str, Any]]:
    """Every step's figures in a run's folder, as far as they were written whole; none where nothing was trained."""
    return _readable_rows(folder / "train" / "metrics.jsonl")


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def _readable_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a file whose last line may be half written."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        rows.append(row)
    return rows
