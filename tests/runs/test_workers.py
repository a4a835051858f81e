"""Runs in processes of their own: how many at once, what is told of a failure, and who is ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from candor.errors import RunError, Stopped
from candor.progress import Reporter
from candor.run_folder import RunFolder
from candor.runs import workers
from candor.runs.workers import Job, run_jobs

QUIET = Reporter(quiet=True)


class Started:
    """Stands for the worker's program: a few lines of Python in its folder, with the log where a worker's is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **code: str) -> None:
        self.code, self.most, self.environments = code, 0, list[dict[str, str]]()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.commands: list[list[str]] = []
        started = self

        class Process(subprocess.Popen[bytes]):
            def __init__(self, command: list[str], **options: Any) -> None:
                started.commands.append(command)
                started.environments.append(options["env"])
                folder = Path(command[command.index("--out") + 1])
                super().__init__([sys.executable, "-c", started.code[folder.name]], cwd=folder, **options)
                started.processes.append(self)
                started.most = max(started.most, sum(one.poll() is None for one in started.processes))

        monkeypatch.setattr(workers.subprocess, "Popen", Process)
        monkeypatch.setattr(workers, "POLL_SECONDS", 0.02)

    def jobs(self, folder: Path) -> list[Job]:
        for name in self.code:
            (folder / name).mkdir()
        return [Job(RunFolder(folder / name), 2) for name in self.code]


def run(jobs: list[Job], at_once: int, **options: Any) -> None:
    run_jobs(jobs, at_once, data_dir=None, reporter=QUIET, **{"should_stop": lambda: False, **options})


DONE = "open('done', 'w').close()"


def test_all_are_run_and_so_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch, a=DONE, b=DONE, c=DONE)
    run(started.jobs(tmp_path), 2)
    assert all((tmp_path / name / "done").is_file() for name in "abc")
    assert started.most <= 2
    share = str(max(1, (os.cpu_count() or 1) // 2))
    assert {environment["OMP_NUM_THREADS"] for environment in started.environments} == {share}


def test_a_worker_is_told_what_its_starter_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch, a=DONE)
    jobs = started.jobs(tmp_path)
    run_jobs(jobs, 1, data_dir=Path("d"), reporter=QUIET, should_stop=lambda: False, log_to=["wandb", "tensorboard"])
    (command,) = started.commands
    assert command[3:5] == ["run", str(tmp_path / "a" / "recipe.yaml")]
    assert command[-7:] == ["--yes", "--data-dir", "d", "--log-to", "wandb", "--log-to", "tensorboard"]


def test_a_failure_is_told_by_its_last_line_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(
        monkeypatch,
        a="import sys; print('reading'); print('no such file', file=sys.stderr); sys.exit(1)",
        b="import sys; sys.exit(3)",
        c=DONE,
    )
    with pytest.raises(
        RunError, match=r"a: no such file; .*b: it ended without a word\. The whole output is in worker"
    ):
        run(started.jobs(tmp_path), 1)
    assert (tmp_path / "c" / "done").is_file()
    assert (tmp_path / "a" / "worker.log").read_text().splitlines() == ["reading", "no such file"]


def test_a_worker_that_stopped_where_it_can_go_on_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Started(monkeypatch, a="import sys; sys.exit(130)").jobs(tmp_path), 1)


def test_asked_to_stop_they_are_asked_and_no_more_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (open('asked', 'w').close(), sys.exit(130)))\n"
        "open('ready', 'w').close()\n"
        "time.sleep(60)"
    )
    started = Started(monkeypatch, a=waits, b=DONE)
    with pytest.raises(Stopped, match="run the same command again"):
        run(started.jobs(tmp_path), 1, should_stop=(tmp_path / "a" / "ready").is_file)
    assert (tmp_path / "a" / "asked").is_file()
    assert not (tmp_path / "b" / "done").exists()


def test_workers_are_ended_where_their_starter_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch, a="import time; time.sleep(60)")
    jobs = started.jobs(tmp_path)
    calls: list[int] = []

    def broken() -> bool:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run(jobs, 1, should_stop=broken)
    assert [process.poll() is not None for process in started.processes] == [True]


def test_progress_is_read_from_the_training_log(tmp_path: Path) -> None:
    assert workers._steps_done(RunFolder(tmp_path)) == 0
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metrics.jsonl").write_text("{}\n{}\n{}\n")
    assert workers._steps_done(RunFolder(tmp_path)) == 3
