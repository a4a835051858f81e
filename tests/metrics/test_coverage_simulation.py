"""The simulation behind the statistics page: that it runs, and says something of every figure with an interval."""

from __future__ import annotations

import subprocess
import sys

import pytest
from places import TESTS

from candor.metrics.names import STATED, TESTED
from candor.metrics.reweighting import REWEIGHTED
from candor.metrics.selective import RISKS

WITHOUT_INTERVAL = {"ece", "adaptive_ece"}


@pytest.mark.slow
def test_every_interval_and_every_p_has_a_row() -> None:
    command = [sys.executable, str(TESTS.parent / "benchmarks" / "coverage.py"), "--quick"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    held, bounds, alarms, few, seeds, _ = out.split("\n\nS")[1:]

    def rows(table: str) -> set[str]:
        return {line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")}

    assert rows(held) >= set(STATED) - WITHOUT_INTERVAL - set(RISKS)
    assert rows(held) >= {f"reweighted {name}" for name in REWEIGHTED}
    assert rows(held) >= {f"difference of reweighted {name}" for name in REWEIGHTED}
    assert rows(held) >= {"skill brier", "skill log", "gap of answers NA", "risk at confidence .7"}
    assert rows(bounds) >= set(RISKS)
    tested = rows(alarms)
    assert tested >= {name for name in TESTED if not name.startswith("probe_")}
    assert "| 2 NA | 5 NA | 10 NA | 30 NA |" in few
    assert "| 3 seeds | 5 seeds |" in seeds
