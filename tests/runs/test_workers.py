"""Runs in processes of their own: how many at once, what is told of a failure, and who is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from candor.errors import RunError, Stopped
from candor.progress import Reporter
from candor.run_folder import RunFolder
from candor.runs import workers
from candor.runs.workers import Job, end_with_starter, run_jobs

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
        "signal.signal(signal.SIGTERM, lambda *_: (open('asked', 'w').close(), sys.exit(130)))\n"
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


def test_one_that_would_first_finish_its_work_is_ended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: None)\nopen('ready', 'w').close()\n"
        "while True: time.sleep(60)"
    )
    started = Started(monkeypatch, a=stubborn)
    jobs = started.jobs(tmp_path)

    def broken() -> bool:
        if (tmp_path / "a" / "ready").is_file():
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run(jobs, 1, should_stop=broken)
    assert [process.returncode for process in started.processes] == [-signal.SIGKILL]


STARTER = """
import subprocess, sys
from pathlib import Path
from candor.progress import Reporter
from candor.run_folder import RunFolder
from candor.runs import workers

class Process(subprocess.Popen):
    def __init__(self, command, **options):
        super().__init__([sys.executable, "-c", sys.argv[1]], cwd=command[command.index("--out") + 1], **options)

workers.subprocess.Popen = Process
jobs = [workers.Job(RunFolder(Path(name)), 1) for name in sys.argv[2:]]
workers.run_jobs(jobs, 2, data_dir=None, reporter=Reporter(quiet=True), should_stop=lambda: False)
"""

WORKER = """
import os, signal, time
from candor.runs.workers import LIFELINE, end_with_starter
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end_with_starter()
assert LIFELINE not in os.environ
open(str(os.getpid()), "w").close()
time.sleep(600)
"""


@pytest.mark.slow
def test_workers_end_with_their_starter_even_where_it_is_killed(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    starter = subprocess.Popen([sys.executable, "-c", STARTER, WORKER, *map(str, folders)])
    deadline = time.monotonic() + 300

    def pids() -> list[int]:
        return [int(path.name) for folder in folders for path in folder.iterdir() if path.name.isdigit()]

    while len(pids()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    found = pids()
    assert len(found) == 2
    assert all(map(is_at_work, found))
    starter.kill()
    starter.wait()
    while any(map(is_at_work, found)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_at_work, found))


def is_at_work(pid: int) -> bool:
    """Whether a process runs: one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_who_was_not_started_as_a_worker_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(workers.LIFELINE, raising=False)
    before = threading.active_count()
    end_with_starter()
    assert threading.active_count() == before


def test_progress_is_read_from_the_training_log(tmp_path: Path) -> None:
    assert workers._steps_done(RunFolder(tmp_path)) == 0
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metrics.jsonl").write_text("{}\n{}\n{}\n")
    assert workers._steps_done(RunFolder(tmp_path)) == 3
