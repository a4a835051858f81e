"""The folder of a run: where everything in it lies, and that one process at a time works on it.

    recipe.yaml  manifest.json  engine.json  audit.json  data/SPLIT.jsonl
    predictions/SIDE/SOURCE.jsonl  predictions/SIDE/{validation,calibration}/SOURCE.jsonl
    warm_start/  train/  checkpoints/  adapter/  results.json  sha256.json  report.html  tables/  figures/  worker.log

An experiment of several arms or seeds has a folder with one such folder for each in it, and a report of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from candor.errors import RunError
from candor.files import LOCK, locked, sweep
from candor.seals import Seal

SideName = Literal["base", "trained"]
"""A side of a comparison: the model as it was before training, and with the adapter that training made."""

SIDES: Final[tuple[SideName, SideName]] = ("base", "trained")

AnsweredBy = Literal["base", "warm", "trained"]
"""Which model: as it was, with the adapter that training went on from, or with the one that training made."""

_TEST: Final = "test"
_CHECKPOINT: Final = re.compile(r"step-(\d{6,18})", re.ASCII)
_NOT_WRITABLE: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names what lies in a run's folder; reads and writes nothing of it.

    Attributes:
        path: the folder; it need not be there.
    """

    path: Path

    def __str__(self) -> str:
        """The folder's path, as messages show it."""
        return str(self.path)

    @property
    def is_read_only(self) -> bool:
        """Whether it is there and nothing can be written in it."""
        return self.path.is_dir() and not os.access(self.path, os.W_OK)

    @property
    def recipe(self) -> Path:
        """The resolved recipe of the run."""
        return self.path / "recipe.yaml"

    @property
    def is_run(self) -> bool:
        """Whether a run was begun here."""
        return self.recipe.is_file()

    @property
    def seal(self) -> Seal:
        """The hashes of what is done here."""
        return Seal(self.path)

    @property
    def manifest(self) -> Path:
        """What made the run; there once the data is."""
        return self.path / "manifest.json"

    @property
    def engine(self) -> Path:
        """What ran the model last."""
        return self.path / "engine.json"

    @property
    def audit(self) -> Path:
        """What shortcuts score on the data."""
        return self.path / "audit.json"

    @property
    def data(self) -> Path:
        """Folder of the examples."""
        return self.path / "data"

    def examples(self, split: str) -> Path:
        """Examples of all sources in a split."""
        return self.data / f"{split}.jsonl"

    def predictions(self, side: AnsweredBy, split: str, source: str) -> Path:
        """A model's answers to one source in a split."""
        return self._answers(side, split) / f"{source}.jsonl"

    def test_predictions(self, side: AnsweredBy) -> list[Path]:
        """A model's answers to the test sets that are there, one file each, by name."""
        return sorted(self._answers(side, _TEST).glob("*.jsonl"))

    @property
    def answers(self) -> Path:
        """Folder of all models' answers."""
        return self.path / "predictions"

    def _answers(self, side: AnsweredBy, split: str) -> Path:
        """Folder of a model's answers: to test sets in the side's own, to other splits one below."""
        place = self.answers / side
        return place if split == _TEST else place / split

    @property
    def metrics(self) -> Path:
        """Figures of every training step."""
        return self.path / "train" / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """Some completions of every training step."""
        return self.path / "train" / "rollouts.jsonl"

    @property
    def selected(self) -> Path:
        """Which step became the adapter; there once training has ended."""
        return self.path / "train" / "done.json"

    @property
    def tracked(self) -> Path:
        """What trackers have been told."""
        return self.path / "train" / "tracked.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of what training goes on from."""
        return self.path / "checkpoints"

    def checkpoint(self, steps: int) -> Path:
        """Folder of the state after so many steps."""
        return self.checkpoints / f"step-{steps:06d}"

    @property
    def warm_start(self) -> RunFolder:
        """The training that this one goes on from, with an adapter and files of its own; there where it has one."""
        return RunFolder(self.path / "warm_start")

    @property
    def cross_fitting(self) -> Path:
        """Folder of the trainings that cross-fitted probabilities come from, one run folder for each fold."""
        return self.path / "cross_fitting"

    @property
    def hidden_probe(self) -> Path:
        """What a probe of hidden states found for the training examples, where a training shows that."""
        return self.path / "hidden_probe.json"

    def saved_steps(self) -> list[int]:
        """After how many steps there are checkpoints, in order; folders of other names, such as copies, are none."""
        names = (_CHECKPOINT.fullmatch(path.name) for path in self.checkpoints.glob("step-*") if path.is_dir())
        steps = sorted(int(found[1]) for found in names if found)
        return [step for step in dict.fromkeys(steps) if self.checkpoint(step).is_dir()]

    @property
    def adapter(self) -> Path:
        """Folder of the trained adapter, as PEFT writes it."""
        return self.path / "adapter"

    @property
    def is_trained(self) -> bool:
        """Whether training has come to its end, adapter included."""
        return self.selected.is_file() and self.adapter.is_dir()

    @property
    def results(self) -> Path:
        """Base and trained model compared."""
        return self.path / "results.json"

    def seed_results(self, arm: str) -> Path:
        """In an experiment's folder: the seeds of an arm together, of a nameless one where there is no other."""
        return self.path / (f"seeds-{arm}.json" if arm else "seeds.json")

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def tables(self) -> Path:
        """Folder of the report's tables."""
        return self.path / "tables"

    @property
    def figures(self) -> Path:
        """Folder of the report's figures."""
        return self.path / "figures"

    @property
    def worker_log(self) -> Path:
        """What a process of its own printed while it worked here."""
        return self.path / "worker.log"

    def runs_below(self) -> list[RunFolder]:
        """Run folders right below this one, by name."""
        if not self.path.is_dir():
            return []
        below = (RunFolder(child) for child in sorted(self.path.iterdir()))
        return [folder for folder in below if folder.is_run]

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Keep others out of the folder meanwhile, and remove what killed ones left half; who dies lets go of it.

        Where nothing can be written, there is nobody to keep out: a finished run can be looked at there.

        Raises:
            RunError: another process is at work there.
        """
        busy = RunError(
            f"{self}: another process is at work in this run folder; wait for it, stop it, or choose another --out"
        )
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(self.path / LOCK, error=busy))
            except OSError as error:
                if error.errno not in _NOT_WRITABLE:
                    raise
            else:
                sweep(self.path, below=not self.runs_below())
            yield
