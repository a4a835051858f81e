from __future__ import annotations

import json
from pathlib import Path

import pytest
from claim_files import ROW, jsonl

from candor.data.examples import write_examples
from candor.data.inputs import SANDBOX_EXAMPLES, read_splits
from candor.errors import DataError
from candor.types import Example, Label


def test_published_predictions(shared_data: Path) -> None:
    splits = read_splits(str(shared_data / "published" / "fever_base_results.json.gz"))
    examples = splits["all"]["fever_base_results"]
    shown = {label: sum(bool(e.evidence) for e in examples if e.label is label) for label in Label}
    assert shown == {Label.PASS: 247, Label.FAIL: 247, Label.NA: 0}


def test_predictions_are_examples(tmp_path: Path) -> None:
    header = {"candor": "predictions", "schema": 1, "dataset": "wiki"}
    row = {"id": "7", "claim": "C", "evidence": ["E"], "gold": "FAIL", "label": "PASS", "group": "g"}
    (tmp_path / "p.jsonl").write_bytes(jsonl(header, row))
    ((name, (example,)),) = read_splits(str(tmp_path / "p.jsonl"))["all"].items()
    assert (name, example.id, example.label) == ("wiki", "7", Label.FAIL)


def test_an_empty_folder_and_an_unknown_name_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not the folder of a run: none of train\.jsonl, .* is there"):
        read_splits(str(tmp_path))
    with pytest.raises(DataError, match=r"nowhere: no such file or folder, and no dataset of that name"):
        read_splits("nowhere")


def test_a_run_has_the_splits_that_it_kept(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    example = Example("1", "a", "C", ("E",), Label.PASS, "g")
    write_examples(tmp_path / "data" / "train.jsonl", [example])
    assert read_splits(str(tmp_path)) == {"train": {"a": [example]}}


def test_a_sandbox_domain_is_read_by_its_name() -> None:
    ((name, examples),) = read_splits("wiki")["all"].items()
    assert (name, len(examples)) == ("wiki", SANDBOX_EXAMPLES)
    assert {example.label for example in examples} == set(Label)


def test_rows_of_the_study_have_its_columns(tmp_path: Path) -> None:
    row = {"id": 4, "claim": "C", "evidence_texts": ["E", "F"], "golden_label": "SUPPORTS", "response": "..."}
    (tmp_path / "base_results.json").write_text(json.dumps([row]))
    (example,) = read_splits(str(tmp_path / "base_results.json"))["all"]["base_results"]
    assert example == Example("4", "base_results", "C", ("E", "F"), Label.PASS, "claim:c")


def test_bad_rows_that_are_left_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(jsonl(ROW) + b"?\n")
    said: list[str] = []
    splits = read_splits(str(tmp_path / "mine.jsonl"), on_bad_row="skip", progress=said.append)
    assert len(splits["all"]["mine"]) == 1
    (words,) = said
    assert words.startswith(f"mine: 1 bad row is left out, first: {tmp_path / 'mine.jsonl'}:2: not JSON")
    with pytest.raises(DataError, match=r"mine\.jsonl:2: not JSON"):
        read_splits(str(tmp_path / "mine.jsonl"))


def test_a_table_with_the_columns_of_our_examples_is_a_table(tmp_path: Path) -> None:
    row = {"id": 1, "dataset": "d", "group": "g", "claim": "A", "evidence": "e", "label": "SUPPORTS"}
    (tmp_path / "a.jsonl").write_bytes(jsonl(row))
    (example,) = read_splits(str(tmp_path / "a.jsonl"))["all"]["a"]
    assert (example.label, example.evidence) == (Label.PASS, ("e",))


def test_examples_of_our_own_with_a_bad_first_row_are_not_taken_for_a_table(tmp_path: Path) -> None:
    row = {"id": "1", "dataset": "d", "group": "g", "claim": "A", "evidence": ["", "x"], "label": "NA"}
    (tmp_path / "a.jsonl").write_bytes(jsonl(row, row | {"id": "2", "evidence": ["x"]}))
    with pytest.raises(DataError, match=r"a\.jsonl:1: 'evidence' is empty"):
        read_splits(str(tmp_path / "a.jsonl"))
    (tmp_path / "a.jsonl").write_bytes(jsonl(row | {"evidence": ["x"], "label": "na"}))
    assert read_splits(str(tmp_path / "a.jsonl"))["all"]["d"][0].group == "g"
