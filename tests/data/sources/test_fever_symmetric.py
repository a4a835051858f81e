"""The form is that of the published description and the first rows of version 0.2; rows are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from claim_files import jsonl

from candor.data.inputs import load_named
from candor.data.sources.load import load_source
from candor.recipe.data import FeverSymmetricSource
from candor.types import Example, Label


def row(pair: str, label: str, **changes: Any) -> dict[str, Any]:
    return {"id": pair, "claim": "He was born -LRB- once -RRB- .", "evidence": "Born twice .", "label": label} | changes


def write(folder: Path) -> Path:
    made = row("542530000003", "SUPPORTS", gold_label="SUPPORTS", sentence1="Born twice .")
    (folder / "fever_symmetric_dev.jsonl").write_bytes(jsonl(row("54253", "REFUTES"), made))
    del made["evidence"]
    made |= {"id": 7, "evidence_sentence": "In version 0.1 ."}
    (folder / "fever_symmetric_test.jsonl").write_bytes(jsonl(made))
    return folder


def test_pairs_that_belong_together_are_a_group(tmp_path: Path) -> None:
    claim = "He was born ( once ) ."
    assert load_named("fever-symmetric", data_dir=write(tmp_path)).examples == (
        Example("54253", "fever-symmetric", claim, ("Born twice .",), Label.FAIL, "fever-symmetric:54253"),
        Example("542530000003", "fever-symmetric", claim, ("Born twice .",), Label.PASS, "fever-symmetric:54253"),
        Example("7", "fever-symmetric", claim, ("In version 0.1 .",), Label.PASS, "fever-symmetric:7"),
    )


def test_parts(tmp_path: Path) -> None:
    config = FeverSymmetricSource.model_validate({"kind": "fever-symmetric", "parts": ["test"]})
    assert [example.id for example in load_source("s", config, data_dir=write(tmp_path)).examples] == ["7"]
