from __future__ import annotations

from pathlib import Path

import pytest
from claim_files import climate, climate_row, jsonl

from candor.data import lines
from candor.data.inputs import load_named
from candor.data.sources.load import load_source
from candor.errors import DataError
from candor.recipe.data import ClimatefeverSource
from candor.types import Label


def test_official_climatefever(shared_data: Path) -> None:
    loaded = load_named("climatefever", data_dir=shared_data)
    assert loaded.notes()["labels"] == {"PASS": 654, "FAIL": 253, "NA": 474 + 154}
    assert {len(example.evidence) for example in loaded.examples} == {5}
    dropped = load_source(
        "c", ClimatefeverSource(kind="climatefever", disputed="drop"), data_dir=shared_data / "climatefever"
    )
    assert dropped.notes()["labels"] == {"PASS": 654, "FAIL": 253, "NA": 474}
    assert dropped.files[0].rows == 1535


def test_climatefever_example(tmp_path: Path) -> None:
    (example,) = climate(tmp_path, jsonl(climate_row(3, "DISPUTED"))).examples
    assert example.id == "3"
    assert example.label is Label.NA
    assert example.evidence[4] == "[Article 4] Sentence 4 ."
    assert example.group == "claim:claim 3"


def test_disputed_claims_can_be_dropped(tmp_path: Path) -> None:
    content = jsonl(climate_row(0, "DISPUTED"), climate_row(1, "REFUTES"))
    loaded = climate(tmp_path, content, disputed="drop")
    assert [example.id for example in loaded.examples] == ["1"]
    assert not loaded.skipped


BAD_CLIMATE = {
    "not JSON": (b'{"claim_id": "1", \n', "not JSON"),
    "no object": (b"[1, 2]\n", "a JSON object was expected, not a list"),
    "missing key": (jsonl({"claim_id": "1"}), "no 'claim_label'"),
    "unknown label": (jsonl(climate_row(1, "MAYBE")), "'MAYBE', no known label"),
    "empty claim": (jsonl(climate_row(1, claim="  \t ")), "'claim' is empty"),
    "wrong type": (jsonl(climate_row(1, claim=["a"])), "'claim' must be text, not a list"),
    "label null": (jsonl(climate_row(1, claim_label=None)), "'claim_label' must be text, not null"),
    "evidence no list": (jsonl(climate_row(1, evidences="text")), "'evidences' must be a list, not text"),
    "evidence item": (jsonl(climate_row(1, evidences=[{"article": "A"}])), "no 'evidence'"),
    "bad UTF-8": (jsonl(climate_row(1)).replace(b"Claim 1", b"Claim \xff"), "not UTF-8"),
    "half a surrogate": (jsonl(climate_row(1, claim="a \ud800 b")), "surrogate"),
    "huge line": (jsonl(climate_row(1, claim="x" * 3000)), "line longer than"),
    "deep nesting": (b"[" * 2500 + b"]" * 2500 + b"\n", "nested too deeply|JSON object was expected"),
    "repeated id": (jsonl(climate_row(0)), "id '0' is already that of .*climate-fever.jsonl:1"),
}


@pytest.mark.parametrize("case", BAD_CLIMATE)
def test_bad_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    # Long enough for the row nested too deeply, too short for the huge one.
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 2000 if case == "huge line" else 100_000)
    bad, words = BAD_CLIMATE[case]
    content = jsonl(climate_row(0)) + bad + jsonl(climate_row(2))
    with pytest.raises(DataError, match=rf"climate-fever.jsonl:2: .*({words})"):
        climate(tmp_path, content)
    loaded = climate(tmp_path, content, "skip")
    assert [example.id for example in loaded.examples] == ["0", "2"]
    assert [(row.line, row.file) for row in loaded.skipped] == [(2, str(tmp_path / "climate-fever.jsonl"))]
    assert loaded.notes()["skipped_rows"] == 1
    assert loaded.files[0].rows == 3
