from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from claim_files import jsonl

from candor.data.inputs import load_named
from candor.errors import DataError
from candor.types import Example, Label


def write(folder: Path, **changes: Any) -> Path:
    row = {
        "id": "60b8_0",
        "claim": "Tests find the virus in seconds. ",
        "cord_id": "8vp5",
        "label": "NOTENOUGHINFO",
        "evidence_set": [{"sent_index": 1, "type": "SUPPLEMENTARY"}, {"sent_index": 0, "type": "PRIMARY"}],
        "is_auth": False,
    }
    (folder / "check-covid").mkdir()
    (folder / "check-covid" / "Check-COVID_all.json").write_bytes(jsonl(row | changes))
    abstract = {"cord_id": "8vp5", "title": "T", "abstract": ["First.", "Second.", "Third."]}
    (folder / "check-covid" / "corpus.json").write_bytes(jsonl(abstract))
    return folder


def test_the_published_file(shared_data: Path) -> None:
    loaded = load_named("check-covid", data_dir=shared_data)
    assert loaded.notes()["labels"] == {"PASS": 505, "FAIL": 504, "NA": 495}
    assert [file.rows for file in loaded.files] == [347, 1504]
    assert len({example.group for example in loaded.examples}) == 347
    first = loaded.examples[0]
    assert (first.label, first.group) == (Label.FAIL, "cord:8vp57c1o")
    assert first.evidence[0].startswith("We developed an assay that detects single copies of SARS-CoV-2")
    # Evidence is shown with every claim, so "nothing is shown" gives no label away.
    assert all(example.evidence for example in loaded.examples)


def test_an_example(tmp_path: Path) -> None:
    (example,) = load_named("check-covid", data_dir=write(tmp_path)).examples
    claim = "Tests find the virus in seconds."
    assert example == Example("60b8_0", "check-covid", claim, ("First.", "Second."), Label.NA, "cord:8vp5")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cord_id": "none"}, "'cord_id' is 'none', which the corpus lacks"),
        ({"evidence_set": "x"}, "'evidence_set' must be a list, not text"),
        ({"evidence_set": [{"sent_index": 3}]}, "'sent_index' is 3, but the abstract has 3 sentences"),
        ({"evidence_set": [{"sent_index": -1}]}, "'sent_index' is -1"),
        ({"evidence_set": [{"sent_index": "0"}]}, "'sent_index' is '0'"),
        ({"evidence_set": [{}]}, "no 'sent_index'"),
        ({"label": "MAYBE"}, "'label' is 'MAYBE', no known label"),
    ],
)
def test_bad_rows(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=r"Check-COVID_all\.json:1: " + re.escape(words)):
        load_named("check-covid", data_dir=write(tmp_path, **changes))
