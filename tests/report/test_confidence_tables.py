"""The tables about confidence: only where there is something to show, and what they show of it."""

from __future__ import annotations

from fake_run import results

from candor.report import confidence_tables
from candor.report.tables import Cell, Row, Table


def row(table: Table, header: str) -> Row:
    return next(one for one in table.groups[0].rows if one.header == header)


def test_recalibration_and_threshold_are_tables_only_where_there_was_a_validation_split() -> None:
    items = results()["comparisons"]
    fits = confidence_tables.recalibration_table(items)
    assert fits is not None
    assert [one.header for one in fits.groups[0].rows] == [
        "base, as stated",
        "base, temperature",
        "base, Platt",
        "base, isotonic",
        "trained",
    ]
    threshold = confidence_tables.threshold_table(items)
    assert threshold is not None
    assert [cell.text for cell in row(threshold, "trained").cells] == ["0.83", "47.0", "6.0"]
    assert row(threshold, "base").cells[0].text == "none reaches it"
    assert threshold.caption.endswith("chosen on each dataset's validation answers.")
    items[0]["threshold"] |= {"sources": ["revision", "climate"], "split": "calibration", "notes": ["Said once."]}
    elsewhere = confidence_tables.threshold_table([items[0], items[0]])
    assert elsewhere is not None
    assert elsewhere.caption.endswith(
        "chosen on calibration answers of revision, climate. It holds for claims like those and for no others. "
        "Said once."
    )
    assert elsewhere.groups[0].title == "wiki (trained on): the threshold promises nothing here"
    for item in items:
        item |= {"recalibration": [], "threshold": None}
    assert confidence_tables.recalibration_table(items) is None
    assert confidence_tables.threshold_table(items) is None


def test_calibration_stands_beside_what_chance_alone_would_show() -> None:
    items = results()["comparisons"][:1]
    table = confidence_tables.calibration_table(items)
    assert table is not None
    assert table.columns == (
        "Model",
        "Error, debiased",
        "ECE",
        "p (calibrated)",
        *(f"Answers {x}" for x in ("PASS", "FAIL", "NA")),
    )
    base, trained = table.groups[0].rows
    assert base.header == "base"
    assert base.cells[0] == Cell("0.250", "[0.220, 0.280]")
    assert trained.cells[1].note == "if calibrated [0.020, 0.060]"
    assert trained.cells[2] == Cell("0.200")
    assert trained.cells[3] == Cell("+0.100", "[+0.050, +0.150]")
    del items[0]["calibration"]["trained"]["by_label"]["FAIL"]
    table = confidence_tables.calibration_table(items)
    assert table is not None
    assert table.groups[0].rows[1].cells[4] == Cell("–")
    items[0]["calibration"] = {"base": None, "trained": None}
    assert confidence_tables.calibration_table(items) is None
