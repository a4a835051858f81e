"""Metrics, sampled completions and checkpoints of one training run, such that a killed run goes on where it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from candor.engines import parallel
from candor.engines.base import Engine
from candor.errors import DataError, RunError
from candor.files import PART, Journal, read_json, write_json
from candor.run_folder import RunFolder
from candor.training.collapse import CollapseWatch


class TrainingLog:
    """Writes ``train/metrics.jsonl``, ``train/rollouts.jsonl``, ``checkpoints/`` and, at the end, ``adapter/``.

    Lines are appended as steps finish. What stands behind the last checkpoint is taken back on resuming, because
    those steps are taken again, with the same result.
    """

    def __init__(self, folder: Path) -> None:
        """Take the run's folder; nothing is read or written yet."""
        self._run = RunFolder(folder)
        self._metrics = Journal(self._run.metrics)
        self._rollouts = Journal(self._run.rollouts)
        self._watch = CollapseWatch()
        self._scores: list[tuple[float, int]] = []

    @property
    def finished(self) -> bool:
        """Whether training has come to its end, adapter included."""
        return self._run.is_trained

    def resume(self, engine: Engine) -> int:
        """Load the last checkpoint into the engine, take back later lines, and return the step to go on with."""
        step = max(self._run.saved_steps(), default=0)
        if step:
            engine.load(self._run.checkpoint(step))
        rows, metrics_size = _before(step, self._metrics)
        if [row["step"] for row in rows] != list(range(step)):
            raise RunError(
                f"{self._metrics.path}: {len(rows)} steps are logged before checkpoint {step}; the run folder is "
                "damaged: remove its train and checkpoints folders to train anew"
            )
        for row in rows:
            self._watch.look(row)
            self._note_score(row)
        if parallel.is_main():
            # What a save that was killed has left behind would stay forever.
            for rest in self._run.checkpoints.glob(f".*{PART}"):
                shutil.rmtree(rest)
            self._metrics.cut(metrics_size)
            self._rollouts.cut(_before(step, self._rollouts)[1])
        return step

    def append(self, row: dict[str, Any], rollouts: Sequence[dict[str, Any]]) -> None:
        """Write a step's figures, with what collapse they show the beginning of under ``warnings``."""
        begun = self._watch.look(row)
        if begun:
            row["warnings"] = begun
        self._note_score(row)
        if parallel.is_main():
            self._metrics.append([row], sync=False)
            self._rollouts.append(rollouts, sync=False)

    def checkpoint(self, engine: Engine, steps: int) -> None:
        """Save the engine after so many steps, and remove checkpoints that are no longer needed."""
        if parallel.is_main():
            # A checkpoint without the lines before it is damage, so they are safe first.
            self._metrics.sync()
            self._rollouts.sync()
            engine.save(self._run.checkpoint(steps))
            needed = {steps, self._best_step()}
            for old in self._run.saved_steps():
                if old not in needed:
                    shutil.rmtree(self._run.checkpoint(old))
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
            engine.load(self._run.checkpoint(best))
        if parallel.is_main():
            engine.save_adapter(self._run.adapter)
            write_json(
                self._run.selected, {"selected_step": best, "selected_by": None if best is None else "validation"}
            )
        parallel.barrier()

    def selected(self) -> dict[str, Any]:
        """Which step's weights became the adapter, and why."""
        return dict(read_json(self._run.selected))

    def _best_step(self) -> int | None:
        """Steps taken at the best validation score so far; the earliest of equals."""
        return max(self._scores, key=lambda item: (item[0], -item[1]))[1] if self._scores else None

    def _note_score(self, row: dict[str, Any]) -> None:
        if "validation_score" in row:
            self._scores.append((row["validation_score"], row["step"] + 1))


def logged_rows(folder: Path) -> list[dict[str, Any]]:
    """Every step's figures in a run's folder, as far as they were written whole; none where nothing was trained."""
    return [row for row, _ in _steps(Journal(RunFolder(folder).metrics))]


def _before(step: int, journal: Journal) -> tuple[list[dict[str, Any]], int]:
    """The rows of the steps before ``step``, and how many bytes of the journal they take."""
    rows, size = [], 0
    for row, end in _steps(journal):
        if row["step"] >= step:
            break
        rows.append(row)
        size = end
    return rows, size


def _steps(journal: Journal) -> Iterator[tuple[dict[str, Any], int]]:
    """Rows up to the first that cannot be read: what a crash left behind the last checkpoint may be anything."""
    try:
        for row, end in journal.lines():
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                return
            yield row, end
    except DataError:
        return
