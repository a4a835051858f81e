from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from claim_files import COLUMNS, ROW, jsonl, table

from candor.data.inputs import read_splits
from candor.data.sources.load import load_source
from candor.errors import DataError
from candor.recipe.data import TableSource
from candor.types import Example, Label

# -- tables ----------------------------------------------------------------------------------------------------


def test_csv_with_several_evidence_columns_and_label_names(tmp_path: Path) -> None:
    content = (
        b"text,e1,e2,verdict,key,topic\r\n"
        b'The sky is blue.,"Blue, they say.",Seen.,Yes,1,sky\r\n'
        b'"Two\nlines.",,Only one.,no,2,other\r\n'
        b"Nothing shown.,,,unsure,3,other\r\n"
    )
    loaded = table(
        tmp_path / "mine.csv", content, columns=COLUMNS, labels={"yes": "PASS", "NO": "FAIL", "unsure": "NA"}
    )
    assert loaded.examples == (
        Example("1", "mine", "The sky is blue.", ("Blue, they say.", "Seen."), Label.PASS, "mine.csv:sky"),
        Example("2", "mine", "Two\nlines.", ("Only one.",), Label.FAIL, "mine.csv:other"),
        Example("3", "mine", "Nothing shown.", (), Label.NA, "mine.csv:other"),
    )


LAYOUTS = {
    "a.jsonl": jsonl(ROW),
    "a.json": json.dumps([ROW]).encode(),
    "a.csv": b"claim,evidence,label\nA claim.,A sentence.,supports\n",
    "a.tsv": b"\xef\xbb\xbfclaim\tevidence\tlabel\r\nA claim.\tA sentence.\tsupports\r\n",
    "a.jsonl.gz": gzip.compress(jsonl(ROW)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_give_the_same_example(tmp_path: Path, name: str) -> None:
    (example,) = table(tmp_path / name, LAYOUTS[name]).examples
    assert (example.claim, example.evidence, example.label) == ("A claim.", ("A sentence.",), Label.PASS)
    assert example.id == table(tmp_path / "b.jsonl", jsonl(ROW)).examples[0].id
    assert read_splits(str(tmp_path / name))["all"]["a"][0].claim == "A claim."


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ("One.", ("One.",)),
        (["One.", " Two. "], ("One.", "Two.")),
        ([], ()),
        ("", ()),
        (None, ()),
        (["One.", None, ""], ("One.",)),
    ],
)
def test_evidence_forms(tmp_path: Path, evidence: Any, expected: tuple[str, ...]) -> None:
    (example,) = table(tmp_path / "a.jsonl", jsonl(ROW | {"evidence": evidence})).examples
    assert example.evidence == expected


def test_json_lists_in_cells(tmp_path: Path) -> None:
    content = b'claim,evidence,label\na,"[""One."", ""Two.""]",NA\nb,[citation needed] One.,NA\nc,"[1, 2]",NA\n'
    evidence = [example.evidence for example in table(tmp_path / "a.csv", content).examples]
    assert evidence == [("One.", "Two."), ("[citation needed] One.",), ("[1, 2]",)]


def test_labels_of_other_types(tmp_path: Path) -> None:
    content = jsonl(ROW | {"label": True}, ROW | {"label": 0, "claim": "B"}, ROW | {"label": " Nei ", "claim": "C"})
    loaded = table(tmp_path / "a.jsonl", content, labels={"true": "PASS", "0": "FAIL"})
    assert [example.label for example in loaded.examples] == [Label.PASS, Label.FAIL, Label.NA]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"claim,evidence,label\nx,y\n", r"a.csv:2: 2 cells, but the header has 3"),
        ("a.csv", b"claim,evidence,label\nx,\xff,NA\n", r"a.csv:2: not UTF-8"),
        ("a.csv", b"claim,claim,label\nx,y,NA\n", r"the header repeats claim"),
        ("a.csv", b"text,evidence,label\nx,y,NA\n", r"a.csv:2: no 'claim'; the row has 'text', 'evidence', 'label'"),
        ("a.csv", b'claim,evidence,label\n"x"y,z,NA\n', r"a.csv:2: not a row of a delimited table"),
        ("a.csv", b"claim,evidence,label\n" + b"x" * 200_000 + b",z,NA\n", r"a.csv:2: .*field larger"),
        ("a.json", b'{"claim": "x"}', r"a JSON list of rows was expected, not an object"),
        ("a.json", b'[{"claim": "x"', r"not JSON"),
        ("a.json", b"[1]", r"a.json:1: a JSON object was expected, not a number"),
        ("a.jsonl", jsonl(ROW | {"evidence": 3}), r"'evidence' must be text or a list of texts, not a number"),
        ("a.jsonl", jsonl(ROW | {"evidence": [{"x": 1}]}), r"not an object"),
        ("a.xlsx", b"", r"set format: jsonl, json, csv or tsv"),
    ],
)
def test_bad_tables(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        table(tmp_path / name, content)


def test_skipping_goes_on_after_a_bad_csv_row(tmp_path: Path) -> None:
    content = b'claim,evidence,label\n"x"y,z,NA\na,b\n\xff,b,NA\ngood,b,NA\n'
    loaded = table(tmp_path / "a.csv", content, "skip")
    assert [example.claim for example in loaded.examples] == ["good"]
    assert [row.line for row in loaded.skipped] == [2, 3, 4]


def test_ids_made_from_content_do_not_depend_on_order(tmp_path: Path) -> None:
    made = [ROW, ROW | {"claim": "B"}, ROW | {"claim": "C"}, ROW]
    one = table(tmp_path / "a.jsonl", jsonl(*made)).examples
    other = table(tmp_path / "b.jsonl", jsonl(*made[::-1])).examples
    assert {example.id: example.claim for example in one} == {example.id: example.claim for example in other}
    assert len({example.id for example in one}) == 4


def test_tables_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.jsonl").write_bytes(jsonl(ROW))
    config = TableSource.model_validate({"kind": "table", "path": "mine.jsonl"})
    assert len(load_source("mine", config, data_dir=tmp_path / "data").examples) == 1
    with pytest.raises(DataError, match=r"no such file; looked for mine.jsonl and .*other/mine.jsonl"):
        load_source("mine", config, data_dir=tmp_path / "other")
