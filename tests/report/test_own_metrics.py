from __future__ import annotations

from pathlib import Path
from typing import Any

from candor.report.arms import Arm
from candor.report.own_metrics import own_metrics_table
from candor.report.runs import SavedRun


def arm(name: str, *seeds: dict[str, Any]) -> Arm:
    runs = [
        SavedRun(name, Path(), {"comparisons": [{"dataset": "wiki", "own": own} if own else {"dataset": "wiki"}]})
        for own in seeds
    ]
    return Arm(name, tuple(runs))


def figure(base: float, trained: float) -> dict[str, Any]:
    return {
        "na_share": {
            "spec": "my_module:na_share",
            "base": {"value": base, "interval": (base - 0.1, base + 0.1)},
            "trained": {"value": trained, "interval": None},
            "difference": {"value": trained - base, "interval": (-0.05, 0.3)},
        }
    }


def test_no_table_where_no_recipe_names_a_metric() -> None:
    assert own_metrics_table([arm("one", {})]) is None


def test_each_side_stands_under_the_functions_name() -> None:
    table = own_metrics_table([arm("one", figure(0.25, 0.5)), arm("two", {})])
    assert table is not None
    assert "my_module:na_share" in table.caption
    (group,) = table.groups
    cells = {row.header: row.cells for row in group.rows}
    assert (cells["na_share: base"][0].text, cells["na_share: base"][0].note) == ("0.250", "0.150 to 0.350")
    assert cells["na_share: difference"][0].text == "+0.250"
    assert cells["na_share: difference"][0].note == "\N{MINUS SIGN}0.050 to +0.300"
    assert cells["na_share: trained"][1].text == "\N{EN DASH}"


def test_several_seeds_show_their_mean_with_lowest_and_highest() -> None:
    table = own_metrics_table([arm("one", figure(0.25, 0.5), figure(0.25, 0.75))])
    assert table is not None
    cells = {row.header: row.cells[0] for row in table.groups[0].rows}
    assert (cells["na_share: trained"].text, cells["na_share: trained"].note) == ("0.625", "0.500 to 0.750")
