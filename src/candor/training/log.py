"""Metrics, sampled completions and checkpoints of one training run, such that a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candor.engines import parallel
from candor.engines.base import Engine
from candor.errors import DamagedError, DataError, RunError
from candor.files import Journal, read_json, remove, sha256, sweep, write_json
from candor.run_folder import RunFolder
from candor.seals import Seal, seal_folder
from candor.training.collapse import CollapseWatch, FirstSteps


class TrainingLog:
    """Writes ``train/metrics.jsonl``, ``train/rollouts.jsonl``, ``checkpoints/`` and, at the end, ``adapter/``.

    Lines are appended as steps finish. What stands behind the last checkpoint is taken back on resuming, because
    those steps are taken again, with the same result.
    """

    def __init__(
        self,
        folder: Path,
        *,
        made_with: Mapping[str, Any] | None = None,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        """Take the run's folder; nothing is read or written yet.

        Args:
            folder: of the run.
            made_with: what trains, by name: versions, threads and whatever else decides a result's last digits.
            tell: told what is worth a person's attention.
        """
        self._run = RunFolder(folder)
        self._made_with = dict(made_with or {})
        self._tell = tell
        self._metrics = Journal(self._run.metrics)
        self._rollouts = Journal(self._run.rollouts)
        self._watch = CollapseWatch()
        self._first = FirstSteps()
        self._scores: list[tuple[float, int]] = []
        self._notes_on_next_row: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether training has come to its end, adapter included."""
        return self._run.is_trained

    def resume(self, engine: Engine) -> int:
        """Load the last whole checkpoint into the engine, take back later lines, and return the step to go on with.

        Raises:
            RunError: there are checkpoints, but none that is whole beside a whole log.
            ModelError: the engine cannot read a checkpoint that is as it was written.
        """
        saved = self._newest_whole()
        if saved.step:
            engine.load(self._run.checkpoint(saved.step))
        for row in saved.rows:
            self._watch.look(row)
            self._first.look(row)
            self._note_score(row)
        best = self._best_step()
        if best is not None:
            self._check_best(best)
        changed = _changed(saved.made_with, self._made_with)
        if changed:
            self._notes_on_next_row.append(
                f"went on with {changed} than before: the last digits of what follows can differ from those of a run "
                "that was never interrupted"
            )
        parallel.barrier()  # all have read what the main process now takes back
        if parallel.is_main():
            # What a save that was killed has left behind would stay forever.
            sweep(self._run.checkpoints, below=False)
            for later in self._run.saved_steps():
                if later > saved.step:
                    remove(self._run.checkpoint(later))
            self._metrics.cut(saved.metrics_size)
            self._rollouts.cut(saved.rollouts_size)
        return saved.step

    def _newest_whole(self) -> _Saved:
        """The newest checkpoint that is as it was written, with the log before it; step 0 where none was completed."""
        problems: list[str] = []
        for step in reversed(self._run.saved_steps()):
            seal = Seal(self._run.checkpoint(step))
            if not seal.is_there:
                continue  # its save was killed
            try:
                saved = self._saved(step, seal.check())
            except DamagedError as error:
                problems.append(str(error))
                continue
            if problems:
                self._tell(f"{problems[0]}; going on from the checkpoint of step {step}")
            return saved
        if problems:
            raise RunError(f"{problems[0]}; the run folder is damaged: remove its train and checkpoints to train anew")
        if self._run.saved_steps():
            self._tell(f"{self._run.checkpoints}: no checkpoint was completed (none is sealed); training begins anew")
        return _Saved(0, [], 0, 0, {})

    def _saved(self, step: int, notes: Mapping[str, Any]) -> _Saved:
        """A checkpoint with the log before it.

        Raises:
            DamagedError: the log is not the one that it was written with.
        """
        sizes = []
        for journal in (self._metrics, self._rollouts):
            size, value = notes["log"][journal.path.name]
            if journal.size() < size or (size and sha256(journal.path, size) != value):
                raise DamagedError(f"{journal.path}: what is logged before checkpoint {step} is not what was logged")
            sizes.append(size)
        rows = [row for row, end in _steps(self._metrics) if end <= sizes[0]]
        return _Saved(step, rows, sizes[0], sizes[1], notes["made_with"])

    def _check_best(self, step: int) -> None:
        """Refuse to go on towards an adapter that could not be written in the end."""
        seal = Seal(self._run.checkpoint(step))
        try:
            whole = bool(seal.check())
        except DamagedError as error:
            raise RunError(f"{error}; it is the best of this training, whose weights become the adapter") from error
        if not whole:
            raise RunError(
                f"{self._run.checkpoint(step)} is gone: the best checkpoint of this training, whose weights become "
                "the adapter; restore it from a copy, or remove the run's train and checkpoints to train anew"
            )

    def append(self, row: dict[str, Any], rollouts: Sequence[dict[str, Any]]) -> None:
        """Write a step's figures, with what collapse they show the beginning of under ``warnings``."""
        begun = self._notes_on_next_row + self._watch.look(row) + self._first.look(row)
        self._notes_on_next_row = []
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
            path = self._run.checkpoint(steps)
            engine.save(path)
            log = {j.path.name: [j.size(), sha256(j.path)] for j in (self._metrics, self._rollouts)}
            seal_folder(path, {"log": log, "made_with": self._made_with})
            before = [step for step in self._run.saved_steps() if step < steps]
            # The one before is there to go back to should this one be damaged.
            needed = {steps, self._best_step(), *before[-1:]}
            for old in before:
                if old not in needed:
                    remove(self._run.checkpoint(old))
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
            self._check_best(best)
            engine.load(self._run.checkpoint(best))
        if parallel.is_main():
            engine.save_adapter(self._run.adapter)
            seal_folder(self._run.adapter)
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


@dataclass(frozen=True, slots=True)
class _Saved:
    """A checkpoint: after so many steps, with their rows, the bytes of the logs before it, and what made it."""

    step: int
    rows: list[dict[str, Any]]
    metrics_size: int
    rollouts_size: int
    made_with: Mapping[str, Any]


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words, what differs between two accounts of what trains; empty where either is missing or nothing does."""
    if not before or not now:
        return ""
    names = [name for name in now if before.get(name) != now[name]]
    return ", ".join(f"another {name} ({now[name]}, not {before.get(name)})" for name in names)


def _steps(journal: Journal) -> Iterator[tuple[dict[str, Any], int]]:
    """Rows up to the first that cannot be read: what a crash left behind the last checkpoint may be anything."""
    try:
        for row, end in journal.lines():
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                return
            yield row, end
    except DataError:
        return
