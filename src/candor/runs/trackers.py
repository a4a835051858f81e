"""Training figures and results in TensorBoard, Weights & Biases or trackio, through accelerate's trackers.

The run folder stays the record: every step is sent from its own rows, each once, however often the run is begun anew.
A tracker that is asked for later is given what was done before.
"""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from candor.errors import CandorError, install_line
from candor.files import read_json, write_json
from candor.run_folder import RunFolder

TRACKERS: Final = ("tensorboard", "wandb", "trackio")
INSTALL: Final = {
    "tensorboard": install_line("log"),
    "wandb": install_line("log"),
    "trackio": "pip install trackio",
}
PROJECT: Final = "candor"


def check_trackers(names: Sequence[str]) -> list[str]:
    """Return the trackers' names, each once, given as a list or with commas.

    Raises:
        CandorError: one is unknown, or is not installed; says how to install it.

    >>> check_trackers([])
    []
    """
    found = list(dict.fromkeys(part.strip() for name in names for part in name.split(",") if part.strip()))
    for name in found:
        if name not in TRACKERS:
            raise CandorError(f"--log-to {name}: no such tracker; there are {', '.join(TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise CandorError(f"--log-to {name}: it is not installed; install it with: {INSTALL[name]}")
    return found


class Trackers:
    """The trackers of one run; they start with the first thing that they have not been told yet."""

    def __init__(self, names: Sequence[str], folder: RunFolder, config: Mapping[str, Any]) -> None:
        """Take checked names, the run's folder and its recipe's values; nothing is started yet."""
        self._names = names
        self._folder = folder
        self._config = config
        self._state: dict[str, dict[str, Any]] = read_json(folder.tracked) if folder.tracked.is_file() else {}
        self._running: dict[str, Any] = {}

    def log_steps(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send what is new among the rows of ``train/metrics.jsonl``, under ``train/``."""
        for name in self._names:
            for row in rows:
                if row["step"] >= self._of(name)["steps"]:
                    self._send(name, _figures(row, "train"), row["step"])
                    self._note(name, steps=row["step"] + 1)

    def log_results(self, results: Mapping[str, Any]) -> None:
        """Send the run's comparison once, under ``test/DATASET/SIDE/``, behind the last step."""
        for name in self._names:
            if self._of(name)["results"]:
                continue
            figures: dict[str, float] = {}
            for comparison in results["comparisons"]:
                for side, metrics in comparison["metrics"].items():
                    values = {key: figure["value"] for key, figure in (metrics or {}).items()}
                    figures |= _figures(values, f"test/{comparison['dataset']}/{side}")
            self._send(name, figures, self._of(name)["steps"])
            self._note(name, results=True)

    def close(self) -> None:
        """Let every tracker that started finish its work."""
        for tracker in self._running.values():
            tracker.finish()
        self._running.clear()

    def _of(self, name: str) -> dict[str, Any]:
        return self._state.setdefault(name, {"steps": 0, "results": False, "id": uuid.uuid4().hex[:12]})

    def _note(self, name: str, **changes: Any) -> None:
        self._of(name).update(changes)
        write_json(self._folder.tracked, self._state)

    def _send(self, name: str, figures: Mapping[str, float], step: int) -> None:
        if name not in self._running:
            self._running[name] = self._start(name)
        self._running[name].log(dict(figures), step=step)

    def _start(self, name: str) -> Any:
        from accelerate import PartialState, tracking

        PartialState()  # the trackers' own logging needs it
        state = self._of(name)
        title = "/".join(self._folder.path.resolve().parts[-2:])
        if name == "tensorboard":
            # What a kill left behind the last noted step is sent again; readers then take the later of the two.
            purge = state["steps"] or None
            tracker = tracking.TensorBoardTracker("tensorboard", logging_dir=str(self._folder), purge_step=purge)
        elif name == "wandb":
            tracker = tracking.WandBTracker(
                os.environ.get("WANDB_PROJECT", PROJECT),
                name=title,
                id=state["id"],
                resume="allow",
                dir=str(self._folder),
                config=dict(self._config),
            )
        else:
            tracker = tracking.TrackioTracker(PROJECT, name=title.replace("/", "-"), resume="allow")
        try:
            tracker.start()
        except Exception as error:
            # Whatever a tracker's own login or network raises, the run itself is not to blame.
            raise CandorError(f"--log-to {name}: it does not start: {type(error).__name__}: {error}") from error
        self._note(name)
        return tracker


def _figures(values: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """The numbers among values, under a prefix."""
    return {
        f"{prefix}/{key}": float(value)
        for key, value in values.items()
        if key != "step" and isinstance(value, int | float) and not isinstance(value, bool)
    }
