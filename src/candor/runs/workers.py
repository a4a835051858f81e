"""Several runs at once, each in a process of its own, for small models that leave cores idle.

A worker does not outlive its starter, however that ends: it holds the reading end of a pipe whose writing end the
starter alone has, and dies when the system closes it. Runs may be killed anywhere, so nothing is lost by that, and
nobody is left to write beside the workers of the next try.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candor.errors import RunError, Stopped
from candor.progress import Bar, Reporter
from candor.run_folder import RunFolder

POLL_SECONDS: Final = 0.5
ORPHANED: Final = 143
"""Exit code of a worker whose starter is gone; nobody is left to read it."""
LIFELINE: Final = "CANDOR_LIFELINE"
"""Environment variable with the descriptor of a worker's end of the pipe."""

ENDED_WELL: Final = (0, 130)
"""Exit codes of a run that is done, or was stopped at a place where it can go on."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run that a process of its own takes on.

    Attributes:
        folder: its run folder, with the resolved recipe in it.
        steps: training steps, for the bar.
    """

    folder: RunFolder
    steps: int


def run_jobs(
    jobs: Sequence[Job],
    at_once: int,
    *,
    data_dir: Path | None,
    reporter: Reporter,
    should_stop: Callable[[], bool],
    log_to: Sequence[str] = (),
) -> None:
    """Run every folder's own recipe, some at a time, and show how far their training is.

    What a worker prints goes to ``worker.log`` in its folder. Each gets an equal share of the cores.

    Raises:
        RunError: a worker failed; names its folder and the last line it printed. The others are seen to their end.
        Stopped: ``should_stop`` said so; running workers were asked to stop at their next safe place.
    """
    threads = str(max(1, (os.cpu_count() or 1) // at_once))
    waiting, running = list(jobs), dict[RunFolder, subprocess.Popen[bytes]]()
    failed: list[str] = []
    asked_to_stop = False
    with _bars(jobs, reporter) as bars, _lifeline() as lifeline, _ended_with_us(running):
        while waiting or running:
            if should_stop() and not asked_to_stop:
                asked_to_stop, waiting = True, []
                for process in running.values():
                    process.send_signal(signal.SIGTERM)  # a shell may have us ignore SIGINT
            while waiting and len(running) < at_once and not asked_to_stop:
                job = waiting.pop(0)
                running[job.folder] = _start(job, data_dir, threads, log_to, lifeline)
            time.sleep(POLL_SECONDS)
            for folder, process in list(running.items()):
                bars[folder].advance(_steps_done(folder) - bars[folder].done)
                if process.poll() is not None:
                    del running[folder]
                    if process.returncode not in ENDED_WELL and not asked_to_stop:
                        failed.append(f"{folder}: {_last_line(folder)}")
    if failed:
        raise RunError("; ".join(failed) + ". The whole output is in worker.log there")
    if asked_to_stop:
        raise Stopped("stopped; run the same command again to go on")


def end_with_starter() -> None:
    """In a worker: end as soon as the process that started it does; elsewhere do nothing."""
    descriptor = os.environ.pop(LIFELINE, None)
    if descriptor is None:
        return

    def wait() -> None:
        os.read(int(descriptor), 1)  # nothing is ever written: it returns when the writing end is closed
        os._exit(ORPHANED)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
    """A pipe's reading end, to hand on; its writing end is closed with the block or with this process."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _start(
    job: Job, data_dir: Path | None, threads: str, log_to: Sequence[str], lifeline: int
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "candor.cli", "run", str(job.folder.recipe), "--out", str(job.folder)]
    command += ["--yes"]  # whoever started us has been asked
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    for name in log_to:
        command += ["--log-to", name]
    with job.folder.worker_log.open("ab") as log:
        # A session of its own, so that Ctrl-C in the terminal reaches the workers once, through us.
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lifeline,),
            env={**os.environ, "OMP_NUM_THREADS": threads, LIFELINE: str(lifeline)},
        )


@contextlib.contextmanager
def _ended_with_us(running: Mapping[RunFolder, subprocess.Popen[bytes]]) -> Iterator[None]:
    """End the workers if we end early: left alone, they would write beside those of the next try."""
    try:
        yield
    finally:
        for process in running.values():
            process.kill()  # asked to end, a worker would first finish what it is at
        for process in running.values():
            process.wait()


@contextlib.contextmanager
def _bars(jobs: Sequence[Job], reporter: Reporter) -> Iterator[dict[RunFolder, Bar]]:
    with reporter.bars([(job.folder.path.name, job.steps) for job in jobs]) as bars:
        yield {job.folder: bar for job, bar in zip(jobs, bars, strict=True)}


def _steps_done(folder: RunFolder) -> int:
    if not folder.metrics.is_file():
        return 0
    with folder.metrics.open("rb") as stream:
        return sum(1 for _ in stream)


def _last_line(folder: RunFolder) -> str:
    lines = folder.worker_log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
