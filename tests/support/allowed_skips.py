"""A test that was skipped did not run: with ``--only-allowed-skips`` it fails the session, unless a list allows it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

OPTION = "--only-allowed-skips"


def read_allowed(path: Path) -> list[tuple[str, str]]:
    """Patterns of tests and of reasons, as in a shell; lines are ``pattern | reason``, with ``#`` before comments."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition(" | ") for line in lines if line and not line.startswith("#")]
    if broken := [test for test, bar, reason in pairs if not (bar and reason)]:
        raise pytest.UsageError(f"{path}: write 'pattern of a test | pattern of its reason' in place of {broken[0]!r}")
    return [(test.strip(), reason.strip()) for test, _, reason in pairs]


class AllowedSkips:
    """Collects what was skipped, in this process or in xdist's workers, and judges at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._allowed = read_allowed(path)
        self._refused: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # An expected failure has run.
        if report.skipped and not hasattr(report, "wasxfail"):
            self._judge(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._judge(report)

    def _judge(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not any(fnmatchcase(report.nodeid, t) and fnmatchcase(reason, r) for t, r in self._allowed):
            self._refused.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._refused and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._refused:
            terminalreporter.section(f"skipped, and not in {self._path.name}", red=True, bold=True)
            for line in self._refused:
                terminalreporter.line(line)
