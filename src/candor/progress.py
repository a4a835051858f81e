"""What a person sees while candor works: one line per stage, with the figures that matter and the time left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES: Final = 15.0
"""Where the output is no terminal, a line now and then tells that work goes on."""

FIGURES: Final = (
    ("accuracy", "acc"),
    ("accuracy_NA", "NA"),
    ("reward", "reward"),
    ("confidence", "conf"),
    ("invalid", "invalid"),
    ("cost", "cost"),
)


class Reporter:
    """Prints stages and their progress; quiet if asked to be."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False, prefix: str = "") -> None:
        """Write to ``console`` (standard error by default), each line with ``prefix`` in front."""
        self._console = console or Console(stderr=True)
        self._quiet = quiet
        self._prefix = prefix

    def say(self, words: str) -> None:
        """Print one line."""
        if not self._quiet:
            self._console.print(f"{self._prefix}{words}", highlight=False, markup=False)

    def warn(self, words: str) -> None:
        """Print one line that should not be missed."""
        if not self._quiet:
            self._console.print(f"{self._prefix}warning: {words}", style="yellow", highlight=False, markup=False)

    @contextlib.contextmanager
    def bar(self, words: str, total: int, *, done: int = 0) -> Iterator[Bar]:
        """Show a bar that moves from ``done`` to ``total`` while the block runs."""
        with self.bars([(words, total)]) as (bar,):
            bar.advance(done)
            yield bar

    @contextlib.contextmanager
    def bars(self, stages: Sequence[tuple[str, int]]) -> Iterator[list[Bar]]:
        """Show a bar for each stage's words and total."""
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
            disable=self._quiet or not self._console.is_terminal,
            refresh_per_second=4,
        )
        with progress:
            yield [
                Bar(self, progress, progress.add_task(self._prefix + words, total=total, figures=""), words, total)
                for words, total in stages
            ]


class Bar:
    """One stage's progress."""

    def __init__(self, reporter: Reporter, progress: Progress, task: TaskID, words: str, total: int) -> None:
        """Made by :meth:`Reporter.bar`."""
        self._reporter = reporter
        self._progress = progress
        self._task = task
        self._words = words
        self._total = total
        self.done = 0
        self._spoke = time.monotonic()

    def advance(self, count: int = 1, row: Mapping[str, Any] | None = None) -> None:
        """Move on by ``count``; ``row`` holds a training step's figures."""
        self.done += count
        figures = "" if row is None else "  ".join(f"{name} {row[key]:.3f}" for key, name in FIGURES if key in row)
        self._progress.update(self._task, completed=self.done, figures=figures)
        if self._progress.disable and time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            self._reporter.say(f"{self._words} {self.done}/{self._total}  {figures}".rstrip())
