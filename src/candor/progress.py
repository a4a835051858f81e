"""What a person sees while candor works: one line per stage, with the figures that matter and the time left.

All of it goes to standard error; what a command was asked for goes to standard output, and not through here. The bars
are rich's; the lines in their place, where the output is no terminal, are ours, because rich prints nothing there.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich import filesize
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

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


_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(words: str) -> str:
    r"""Words that move no cursor, set no colour and turn no line around: what would is shown as its code.

    Names, data and servers' messages are shown to people, and a terminal obeys what it is sent.

    >>> visible("a\x1b[2Jb\u202ec\td")
    'a\\x1b[2Jb\\u202ec\td'
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), words)


class Reporter:
    """Prints stages and their progress; quiet if asked to be."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False, prefix: str = "") -> None:
        """Write to ``console`` (standard error by default), each line with ``prefix`` in front."""
        self._console = console or Console(stderr=True)
        self._quiet = quiet
        self._prefix = prefix

    def say(self, words: str) -> None:
        """Print one line."""
        self._print(words, None)

    def warn(self, words: str) -> None:
        """Print one line that should not be missed."""
        self._print(f"warning: {words}", "yellow")

    def _print(self, words: str, style: str | None) -> None:
        if not self._quiet:
            # Paths and the names of files stay whole where lines are searched: a terminal wraps them itself.
            self._console.print(
                visible(f"{self._prefix}{words}"), style=style, highlight=False, markup=False, soft_wrap=True
            )

    @contextlib.contextmanager
    def bar(self, words: str, total: int, *, done: int = 0) -> Iterator[Bar]:
        """Show a bar that moves from ``done`` to ``total`` while the block runs."""
        with self.bars([(words, total)]) as (bar,):
            bar.advance(done)
            yield bar

    @contextlib.contextmanager
    def bars(self, stages: Sequence[tuple[str, int]]) -> Iterator[list[Bar]]:
        """Show a bar for each stage's words and total."""
        with self._progress(MofNCompleteColumn()) as progress:
            yield [self._bar(progress, words, total, str) for words, total in stages]

    @contextlib.contextmanager
    def download(self, words: str, total: int | None, *, done: int = 0) -> Iterator[Bar]:
        """Show a bar of bytes that moves from ``done`` to ``total``, which not every server tells."""
        with self._progress(DownloadColumn(), TransferSpeedColumn()) as progress:
            bar = self._bar(progress, words, total, filesize.decimal)
            bar.advance(done)
            yield bar

    def _progress(self, *amounts: ProgressColumn) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            *amounts,
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
            disable=self._quiet or not self._console.is_terminal,
            refresh_per_second=4,
        )

    def _bar(self, progress: Progress, words: str, total: int | None, amount: Callable[[int], str]) -> Bar:
        words = visible(words)
        task = progress.add_task(self._prefix + words, total=total, figures="")
        of_all = "" if total is None else f"/{amount(total)}"
        return Bar(self, progress, task, lambda done: f"{words} {amount(done)}{of_all}")


class Bar:
    """One stage's progress."""

    def __init__(self, reporter: Reporter, progress: Progress, task: TaskID, line: Callable[[int], str]) -> None:
        """Made by :class:`Reporter`; ``line`` says in words how much is done."""
        self._reporter = reporter
        self._progress = progress
        self._task = task
        self._line = line
        self.done = 0
        self._spoke = time.monotonic()

    def advance(self, count: int = 1, row: Mapping[str, Any] | None = None) -> None:
        """Move on by ``count``; ``row`` holds a training step's figures."""
        self.done += count
        figures = "" if row is None else "  ".join(f"{name} {row[key]:.3f}" for key, name in FIGURES if key in row)
        self._progress.update(self._task, completed=self.done, figures=figures)
        if self._progress.disable and time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            self._reporter.say(f"{self._line(self.done)}  {figures}".rstrip())
