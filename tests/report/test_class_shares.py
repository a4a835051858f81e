"""The table of figures under stated class shares."""

from __future__ import annotations

from typing import Any

from fake_run import results

from candor.report.class_shares import class_shares_table
from candor.report.tables import Cell

SHARES = {"PASS": 0.45, "FAIL": 0.45, "NA": 0.1}


def figure(value: float, interval: Any = None, reason: str | None = None) -> dict[str, Any]:
    return {"value": value, "interval": interval, "n": 90, "reason": reason}


def reweighted(**changes: Any) -> dict[str, Any]:
    found = {
        "shares": SHARES,
        "base": {"accuracy": figure(0.5, (0.4, 0.6))},
        "trained": {"accuracy": figure(0.7, (0.6, 0.8))},
        "differences": {"accuracy": figure(0.2, (0.1, 0.3))},
        "reason": None,
    }
    return found | changes


def test_without_stated_shares_there_is_no_table() -> None:
    assert class_shares_table([("", item) for item in results()["comparisons"]]) is None


def test_base_trained_and_difference_stand_under_the_shares() -> None:
    first, second, third = results()["comparisons"]
    first["reweighted"], second["reweighted"] = reweighted(), None
    third["reweighted"] = reweighted(base={}, trained={}, differences={}, reason="no example has the gold label NA")
    table = class_shares_table([("", first), ("", second), ("one", third)])
    assert table is not None
    assert [group.title for group in table.groups] == [
        "wiki (trained on): 45 % PASS, 45 % FAIL and 10 % NA",
        "one, climate (not trained on): 45 % PASS, 45 % FAIL and 10 % NA",
    ]
    (row,) = table.groups[0].rows
    assert row.header == "Accuracy, %"
    assert row.cells == (Cell("50.0", "[40.0, 60.0]"), Cell("70.0", "[60.0, 80.0]"), Cell("+20.0", "[+10.0, +30.0]"))
    (absent,) = table.groups[1].rows
    assert absent.header == "none: no example has the gold label NA"
    assert len(absent.cells) == len(table.columns) - 1
