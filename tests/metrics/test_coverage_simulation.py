"""The simulation behind the statistics page: that it runs, and says something of every figure with an interval."""

from __future__ import annotations

import subprocess
import sys

import pytest
from places import TESTS

from candor.metrics.names import STATED, TESTED

WITHOUT_INTERVAL = {"ece", "adaptive_ece"}


@pytest.mark.slow
def test_every_interval_and_every_p_has_a_row() -> None:
    command = [sys.executable, str(TESTS.parent / "benchmarks" / "coverage.py"), "--quick"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    held, alarms, few, seeds, _ = out.split("\n\nS")[1:]
    rows = {line.split(" | ")[0].removeprefix("| ") for line in held.splitlines() if line.startswith("| ")}
    assert rows >= set(STATED) - WITHOUT_INTERVAL
    tested = {line.split(" | ")[0].removeprefix("| ") for line in alarms.splitlines() if line.startswith("| ")}
    assert tested >= {name for name in TESTED if not name.startswith("probe_")}
    assert "| 2 NA | 5 NA | 10 NA | 30 NA |" in few
    assert "| 3 seeds | 5 seeds |" in seeds
