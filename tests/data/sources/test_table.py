from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from claim_files import COLUMNS, ROW, jsonl, table

from candor.data.inputs import read_splits
from candor.data.sources.load import load_source
from candor.data.splits import make_splits
from candor.errors import DataError
from candor.recipe.data import DataConfig, TableSource
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
        ("a.csv", b"claim,evidence,label\n" + b"x" * 1_100_000 + b",z,NA\n", r"a.csv:2: .*field larger"),
        ("a.json", b'{"claim": "x"}', r"a JSON list of rows was expected, not an object"),
        ("a.json", b'[{"claim": "x"', r"not JSON"),
        ("a.json", b"[1]", r"a.json:1: a JSON object was expected, not a number"),
        ("a.jsonl", jsonl(ROW | {"evidence": 3}), r"'evidence' must be text or a list of texts, not a number"),
        ("a.jsonl", jsonl(ROW | {"evidence": [{"x": 1}]}), r"not an object"),
        ("a.xlsx", b"", r"set format: jsonl, json, csv, tsv, parquet, arrow"),
        ("a.csv", b"claim,evidence\nx,y\n", r"no 'label'; .* columns: \(--column label=NAME\).* `candor verify`"),
        ("a.csv", b"claim,label\nx,NA\n", r"no 'evidence'; .* \(--column evidence=NAME\)"),
        ("a.csv", b"claim,evidence,label\nnan,y,NA\n", r"'claim' is 'nan', which stands for nothing"),
        ("a.csv", b"claim,evidence,label\n ,y,NA\n", r"'claim' is empty"),
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


# -- ids and groups --------------------------------------------------------------------------------------------


GROUPED = [ROW | {"claim": f"Claim {n}", "id": f"row-{n}", "group": f"g{n % 4}"} for n in range(40)]


def csv_of(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    lines = [delimiter.join(rows[0]), *(delimiter.join(map(str, row.values())) for row in rows)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json"])
def test_columns_of_ids_and_groups_are_kept(tmp_path: Path, name: str) -> None:
    content = {
        "a.csv": csv_of(GROUPED),
        "a.tsv": csv_of(GROUPED, "\t"),
        "a.jsonl": jsonl(*GROUPED),
        "a.json": json.dumps(GROUPED).encode(),
    }[name]
    examples = table(tmp_path / name, content).examples
    assert [example.id for example in examples] == [f"row-{n}" for n in range(40)]
    assert {example.group for example in examples} == {f"{name}:g{n}" for n in range(4)}
    assert read_splits(str(tmp_path / name))["all"]["a"][0].id == "row-0"


def test_ids_and_groups_can_be_left_out(tmp_path: Path) -> None:
    left_out = table(tmp_path / "a.jsonl", jsonl(*GROUPED), columns={"id": None, "group": None}).examples
    assert not {example.id for example in left_out} & {row["id"] for row in GROUPED}
    assert {example.group for example in left_out} == {f"claim:claim {n}" for n in range(40)}


def test_a_row_without_id_or_group_gets_its_own_unless_the_recipe_names_the_column(tmp_path: Path) -> None:
    rows = jsonl(ROW | {"id": None, "group": " "})
    (example,) = table(tmp_path / "a.jsonl", rows).examples
    assert (len(example.id), example.group) == (12, "claim:a claim")
    for column in ("id", "group"):
        named = jsonl(ROW | {"mine": None})
        with pytest.raises(DataError, match="'mine' must be text, not null"):
            table(tmp_path / "a.jsonl", named, columns={column: "mine"})
        with pytest.raises(DataError, match="no 'mine'; the row has"):
            table(tmp_path / "a.jsonl", rows, columns={column: "mine"})


@pytest.mark.parametrize("nothing", ["nan", "NaN", "None", "null", "<NA>"])
def test_what_programs_write_for_no_group_makes_none(tmp_path: Path, nothing: str) -> None:
    """Rows without one would be a single group together."""
    content = f"id,group,claim,evidence,label\n{nothing},{nothing},a,e,PASS\n{nothing},{nothing},b,e,FAIL\n"
    first, second = table(tmp_path / "a.csv", content.encode()).examples
    assert (first.group, second.group) == ("claim:a", "claim:b")
    assert first.id != second.id


def test_repeated_ids_say_how_to_go_on(tmp_path: Path) -> None:
    rows = jsonl(ROW | {"id": 1.0}, ROW | {"id": 1})
    with pytest.raises(DataError, match=r"id '1' is already that of .*columns: \{id: null\} \(--column id=\)"):
        table(tmp_path / "a.jsonl", rows)
    assert len(table(tmp_path / "a.jsonl", rows, columns={"id": None}).examples) == 2


def test_tables_share_groups_that_are_groups_of_the_same(tmp_path: Path) -> None:
    def groups(name: str, **values: Any) -> set[str]:
        return {example.group for example in table(tmp_path / name, jsonl(*GROUPED), **values).examples}

    assert not groups("a.jsonl") & groups("b.jsonl")
    assert groups("a.jsonl", groups="case") == groups("b.jsonl", groups="case") == {f"case:g{n}" for n in range(4)}


def test_no_group_is_in_two_splits_though_two_tables_have_it(tmp_path: Path) -> None:
    sources = {}
    for name in ("one", "two"):
        rows = [ROW | {"claim": f"{name} {n}", "group": f"g{n % 10}"} for n in range(40)]
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl(*rows))
        sources[name] = {"kind": "table", "path": str(tmp_path / f"{name}.jsonl"), "groups": "case"}
    config = DataConfig.model_validate({"sources": sources, "train": {"one": 12}, "test": {"two": 12}})
    splits = make_splits(config)
    groups = [{example.group for examples in split.values() for example in examples} for _, split in splits.items()]
    assert groups[0]
    assert groups[2]
    assert not groups[0] & groups[2]


# -- headers and labels ----------------------------------------------------------------------------------------


def test_columns_are_found_in_any_case(tmp_path: Path) -> None:
    (example,) = table(tmp_path / "a.csv", b"Claim, EVIDENCE ,Label,ID\nA,B,NA,7\n").examples
    assert (example.claim, example.evidence, example.id) == ("A", ("B",), "7")
    (example,) = table(tmp_path / "a.csv", b"CLAIM,claim,evidence,label\nA,B,C,NA\n").examples
    assert example.claim == "B"
    with pytest.raises(DataError, match="no 'claim'; the row has 'CLAIM', 'Claim'"):
        table(tmp_path / "a.csv", b"CLAIM,Claim,evidence,label\nA,B,C,NA\n")


@pytest.mark.parametrize("name", ["0", "1", 2, 2.0])
def test_numbers_are_labels_where_the_recipe_says_so(tmp_path: Path, name: Any) -> None:
    for written in (int(float(name)), float(name), str(name)):
        content = jsonl(ROW | {"label": written})
        assert table(tmp_path / "a.jsonl", content, labels={name: "pass"}).examples[0].label is Label.PASS
        with pytest.raises(DataError, match=r"which can mean two things: .* labels: \{"):
            table(tmp_path / "a.jsonl", content)


def test_rows_are_left_out_by_their_label(tmp_path: Path) -> None:
    rows = jsonl(ROW, ROW | {"label": "spam", "claim": "B"})
    loaded = table(tmp_path / "a.jsonl", rows, labels={"spam": None})
    assert [example.claim for example in loaded.examples] == ["A claim."]
    assert not loaded.skipped
    assert loaded.notes()["left_out_by_label"] == 1


def test_a_quotation_mark_that_swallows_rows_is_an_error(tmp_path: Path) -> None:
    content = b'claim,evidence,label\nA.,"Begin,PASS\nB.,two,FAIL\nC.,end",NA\n'
    with pytest.raises(DataError, match="a cell of several lines holds what looks like a row"):
        table(tmp_path / "a.csv", content)
    prose = b'claim,evidence,label\nA.,"one, two\nthree, four, and NA",NA\n'
    assert table(tmp_path / "a.csv", prose).examples[0].evidence == ("one, two\nthree, four, and NA",)


@pytest.mark.parametrize(
    "content",
    [
        'claim,evidence,label\nA,"e,PASS\nB,e",FAIL\nC,e,NA\n',
        'claim|evidence|label\nA|"e|PASS\nB|e"|FAIL\nC|e|NA\n',
        'label,claim,evidence\nPASS,"A,e\nFAIL,B",e\nNA,C,e\n',
        'claim,label,evidence\n"A,PASS,e\nB",FAIL,e\n',
        'id,claim,evidence,label\n1,"A,e,PASS\n2,B,e,FAIL\n3,C",e,NA\n',
    ],
)
def test_rows_are_swallowed_wherever_the_label_stands(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="a cell of several lines holds what looks like a row"):
        table(tmp_path / "a.csv", content.encode())


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("id,claim,evidence,label", ("1", "A", "Neutral\nThe committee met.", "PASS")),
        ("id,claim,evidence,label", ("1", "A", "Results: 12%, 14%, neutral\nand more", "PASS")),
        ("claim,evidence,label", ("In 2010, sales rose.", "Support\nfollowed.", "PASS")),
        ("claim,evidence,votes,label", ("A", "e", "ann, 2020, SUPPORTS\nbob, 2021, NA", "PASS")),
        ("label,claim,evidence", ("PASS", "A", "One.\nNeutral, however, it stayed.\nTwo.")),
        ("id,claim,label,evidence,source", ("1", "A", "PASS", "| a | b | c |\n| X | Pass | 5 |\n", "s")),
    ],
)
def test_prose_and_tables_of_several_lines_are_cells(tmp_path: Path, header: str, cells: tuple[str, ...]) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    (example,) = table(tmp_path / "a.csv", f"{header}\n{stream.getvalue()}".encode()).examples
    assert example.label is Label.PASS


def test_only_delimited_text_can_swallow_rows(tmp_path: Path) -> None:
    listed = "Results:\nalgebra, 12, pass\nhistory, 9, fail"
    assert table(tmp_path / "a.jsonl", jsonl(ROW | {"evidence": listed})).examples[0].evidence == (listed,)


def test_a_long_document_in_a_cell(tmp_path: Path) -> None:
    content = f'claim,evidence,label\nA.,"{"word, " * 60_000}",NA\n'.encode()
    assert len(table(tmp_path / "a.csv", content).examples[0].evidence[0]) == 359_999


def test_rows_that_are_all_left_out_by_their_label(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no usable row for source 'mine': all are left out by their label"):
        table(tmp_path / "a.jsonl", jsonl(ROW | {"label": "x"}), labels={"x": None})


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ('{"text": "one", "text": "two"}', "'evidence': a JSON object repeats the key 'text'"),
        ('[{"text": "one", "text": "two"}]', "'evidence': a JSON object repeats the key 'text'"),
        ("[{'text': 'one', 'text': 'two'}]", "'evidence': an object repeats the key 'text'"),
    ],
)
def test_a_key_that_is_repeated_in_a_cell(tmp_path: Path, evidence: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        table(tmp_path / "a.jsonl", jsonl(ROW | {"evidence": evidence}))


def test_folders_that_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder, but none that datasets saved, and without Parquet files"):
        load_source("mine", TableSource.model_validate({"kind": "table", "path": str(tmp_path)}))


def test_covid_fact_in_the_lines_of_the_documentation(tmp_path: Path) -> None:
    """The form is that of its authors' description; rows are made up."""
    row = {"claim": "Masks help.", "label": "SUPPORTED", "evidence": ["One.", "Two."], "gold_source": "https://a/1"}
    content = jsonl(row | {"flair": "Academic Report"}, row | {"claim": "Masks harm.", "label": "REFUTED"})
    loaded = table(tmp_path / "COVIDFACT_dataset.jsonl", content, columns={"group": "gold_source"})
    assert [example.label for example in loaded.examples] == [Label.PASS, Label.FAIL]
    assert {example.group for example in loaded.examples} == {"COVIDFACT_dataset.jsonl:https://a/1"}
    assert loaded.examples[0].evidence == ("One.", "Two.")
