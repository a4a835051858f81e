from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from candor.data.inputs import load_named
from candor.errors import DataError
from candor.types import Example, Label

ROW = {
    "paper": "A paper",
    "paper_id": "1904.1v1",
    "table_caption": "Table 1: Scores.",
    "table_column_names": ["Model", "[BOLD] F1"],
    "table_content_values": [["ours", "[BOLD]  0.93"], ["[EMPTY]", "[EMPTY]"], ["theirs", "[ITALIC] 0.9 [2]"]],
    "id": "068f",
    "claim": "Ours is best.",
    "label": "not enough info",
    "table_id": "042a",
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "sci_tab.json").write_text(json.dumps([ROW | changes]))
    return folder


def test_the_published_file(shared_data: Path) -> None:
    loaded = load_named("scitab", data_dir=shared_data)
    assert loaded.notes()["labels"] == {"PASS": 457, "FAIL": 411, "NA": 356}
    assert len({example.group for example in loaded.examples}) == 80
    first = loaded.examples[0]
    assert first.evidence[0] == "Table 1: Performance of supervised learning models with different features."
    assert first.evidence[1] == "Feature | LR P | LR R | LR F1 | SVM P | SVM R | SVM F1 | ANN P | ANN R | ANN F1"
    assert first.evidence[3].startswith("+BoC (Wiki-PubMed-PMC) | 0.94 | 0.92 | 0.93 |")
    assert not any("[BOLD]" in line for example in loaded.examples for line in example.evidence)


def test_a_table_as_evidence(tmp_path: Path) -> None:
    (example,) = load_named("scitab", data_dir=write(tmp_path)).examples
    table = ("Table 1: Scores.", "Model | F1", "ours | 0.93", "theirs | 0.9 [2]")
    assert example == Example("068f", "scitab", "Ours is best.", table, Label.NA, "paper:1904.1v1")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table_content_values": "x"}, "'table_content_values' must be a list of rows, not text"),
        ({"table_content_values": ["x"]}, "'table_content_values' must hold lists of cells, not text"),
        ({"table_column_names": None}, "'table_column_names' must hold lists of cells, not null"),
        ({"table_caption": ""}, "'table_caption' is empty"),
        ({"label": 1}, "which can mean two things"),
    ],
)
def test_bad_rows(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_named("scitab", data_dir=write(tmp_path, **changes))
