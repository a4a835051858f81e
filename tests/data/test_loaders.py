from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from candor.data import rows
from candor.data.examples import read_examples, write_examples
from candor.data.inputs import load_named, read_splits
from candor.data.loaded import LoadedSource
from candor.data.sources.load import load_source
from candor.errors import DataError
from candor.recipe.data import ClimatefeverSource, DataConfig, TableSource, VitamincSource
from candor.types import Example, Label


def climate_row(number: int = 0, label: str = "SUPPORTS", **changes: Any) -> dict[str, Any]:
    evidence = [{"article": f"Article {n}", "evidence": f"Sentence {n} ."} for n in range(5)]
    return {"claim_id": str(number), "claim": f"Claim {number}.", "claim_label": label, "evidences": evidence} | changes


def vitaminc_row(number: int = 0, label: str = "REFUTES", **changes: Any) -> dict[str, Any]:
    return {
        "unique_id": f"u{number}",
        "label": label,
        "claim": f"Claim {number} .",
        "evidence": f"Evidence {number} .",
        "page": "Some Page",
        "revision_type": "real",
    } | changes


def jsonl(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def climate(folder: Path, content: bytes, on_bad_row: Any = "error", **values: Any) -> LoadedSource:
    folder.mkdir(exist_ok=True)
    (folder / "climate-fever.jsonl").write_bytes(content)
    config = ClimatefeverSource.model_validate({"kind": "climatefever", **values})
    return load_source("climatefever", config, data_dir=folder, on_bad_row=on_bad_row)


def table(path: Path, content: bytes, on_bad_row: Any = "error", **values: Any) -> LoadedSource:
    path.write_bytes(content)
    config = TableSource.model_validate({"kind": "table", "path": str(path), **values})
    return load_source("mine", config, on_bad_row=on_bad_row)


# -- official files --------------------------------------------------------------------------------------------


def test_official_climatefever(shared_data: Path) -> None:
    loaded = load_named("climatefever", data_dir=shared_data)
    assert loaded.notes()["labels"] == {"PASS": 654, "FAIL": 253, "NA": 474 + 154}
    assert {len(example.evidence) for example in loaded.examples} == {5}
    dropped = load_source(
        "c", ClimatefeverSource(kind="climatefever", disputed="drop"), data_dir=shared_data / "climatefever"
    )
    assert dropped.notes()["labels"] == {"PASS": 654, "FAIL": 253, "NA": 474}
    assert dropped.files[0].rows == 1535


def test_official_vitaminc(shared_data: Path) -> None:
    loaded = load_named("vitaminc", data_dir=shared_data)
    assert loaded.notes()["labels"] == {"PASS": 17306, "FAIL": 9907, "NA": 7268}
    assert len({example.id for example in loaded.examples}) == 34481
    assert len({example.group for example in loaded.examples}) == 2836
    assert loaded.examples[0].evidence[0].startswith("According to the British Phonographic Industry")
    assert loaded.examples[0].group == "page:westlife"


def test_published_predictions(shared_data: Path) -> None:
    splits = read_splits(str(shared_data / "published" / "fever_base_results.json.gz"))
    examples = splits["all"]["fever_base_results"]
    shown = {label: sum(bool(e.evidence) for e in examples if e.label is label) for label in Label}
    assert shown == {Label.PASS: 247, Label.FAIL: 247, Label.NA: 0}


# -- ClimateFEVER, VitaminC ------------------------------------------------------------------------------------


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


def test_vitaminc_groups_by_page_as_fever_does(tmp_path: Path) -> None:
    (tmp_path / "vitaminc").mkdir()
    with zipfile.ZipFile(tmp_path / "vitaminc.zip", "w") as archive:
        for number, part in enumerate(("train", "dev", "test")):
            row = vitaminc_row(number, page="Savages (2012 film)", revision_type="synthetic" if number else "real")
            archive.writestr(f"vitaminc/{part}.jsonl", jsonl(row))
    loaded = load_source("v", VitamincSource(kind="vitaminc"), data_dir=tmp_path)
    assert [file.path.rpartition("!")[2] for file in loaded.files] == [
        f"vitaminc/{part}.jsonl" for part in ("train", "dev", "test")
    ]
    assert {example.group for example in loaded.examples} == {"page:savages (2012 film)"}
    real = load_source("v", VitamincSource(kind="vitaminc", revisions="real"), data_dir=tmp_path)
    assert [example.id for example in real.examples] == ["u0"]
    one = load_source("v", VitamincSource.model_validate({"kind": "vitaminc", "parts": ["dev"]}), data_dir=tmp_path)
    assert [example.id for example in one.examples] == ["u1"]


@pytest.mark.parametrize("layout", ["plain", "gz", "zip", "own folder", "zip in own folder"])
def test_files_are_found_packed_or_not(tmp_path: Path, layout: str) -> None:
    content = jsonl(climate_row())
    own = tmp_path / "climatefever"
    own.mkdir()
    if layout == "plain":
        (tmp_path / "climate-fever.jsonl").write_bytes(content)
    elif layout == "gz":
        (tmp_path / "climate-fever.jsonl.gz").write_bytes(gzip.compress(content))
    elif layout == "own folder":
        (own / "climate-fever.jsonl").write_bytes(content)
    else:
        place = own if layout == "zip in own folder" else tmp_path
        with zipfile.ZipFile(place / "climate-fever-master.zip", "w") as archive:
            archive.writestr("dataset/climate-fever.jsonl", content)
    assert len(load_named("climatefever", data_dir=tmp_path).examples) == 1


def test_archives_of_claims_cannot_point_outside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "vitaminc.zip", "w") as archive:
        archive.writestr("vitaminc/../../train.jsonl", jsonl(vitaminc_row()))
    with pytest.raises(DataError, match=r"vitaminc.zip: the archive holds .* which points outside of its folder"):
        load_named("vitaminc", data_dir=tmp_path)


def test_one_datasets_archive_is_not_taken_for_anothers(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "vitaminc.zip", "w") as archive:
        archive.writestr("vitaminc/train.jsonl", jsonl(vitaminc_row()))
    with pytest.raises(DataError, match="candor data fetch fever"):
        load_named("fever", data_dir=tmp_path)


def test_missing_files_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="candor data fetch vitaminc"):
        load_named("vitaminc", data_dir=tmp_path)
    with pytest.raises(DataError, match="no such data folder"):
        load_named("vitaminc", data_dir=tmp_path / "nowhere")
    with pytest.raises(DataError, match="datasets are fever, vitaminc, climatefever"):
        load_named("vitamin", data_dir=tmp_path)


def test_usual_data_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"cache/candor/data: no such data folder; run `candor data fetch climatefever"):
        load_named("climatefever", data_dir=None)
    folder = tmp_path / "cache" / "candor" / "data"
    folder.mkdir(parents=True)
    (folder / "climate-fever.jsonl").write_bytes(jsonl(climate_row(0), climate_row(1)))
    assert len(load_named("climatefever", data_dir=None).examples) == 2
    climate(tmp_path / "data", jsonl(climate_row()))
    assert len(load_named("climatefever", data_dir=None).examples) == 1


def test_a_file_that_changed_since_it_was_fetched(tmp_path: Path) -> None:
    climate(tmp_path, jsonl(climate_row()))
    (tmp_path / "climate-fever.jsonl.sha256").write_text("0" * 64 + "  climate-fever.jsonl\n")
    with pytest.raises(DataError, match="has changed since it was fetched"):
        load_named("climatefever", data_dir=tmp_path)


# -- bad rows --------------------------------------------------------------------------------------------------

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
    monkeypatch.setattr(rows, "MAX_LINE_BYTES", 2000 if case == "huge line" else 100_000)
    bad, words = BAD_CLIMATE[case]
    content = jsonl(climate_row(0)) + bad + jsonl(climate_row(2))
    with pytest.raises(DataError, match=rf"climate-fever.jsonl:2: .*({words})"):
        climate(tmp_path, content)
    loaded = climate(tmp_path, content, "skip")
    assert [example.id for example in loaded.examples] == ["0", "2"]
    assert [(row.line, row.file) for row in loaded.skipped] == [(2, str(tmp_path / "climate-fever.jsonl"))]
    assert loaded.notes()["skipped_rows"] == 1
    assert loaded.files[0].rows == 3


def test_byte_order_mark_crlf_blank_lines_and_no_last_newline(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + jsonl(climate_row(0), climate_row(1)).replace(b"\n", b"\r\n") + b"\r\n\n"
    content += jsonl(climate_row(2)).rstrip()
    assert [example.id for example in climate(tmp_path, content).examples] == ["0", "1", "2"]


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_empty_files(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="holds no row"):
        climate(tmp_path, content)


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no usable row .* line 1: not JSON"):
        climate(tmp_path, b"?\n", "skip")


# -- tables ----------------------------------------------------------------------------------------------------

COLUMNS = {"claim": "text", "evidence": ["e1", "e2"], "label": "verdict", "id": "key", "group": "topic"}


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


ROW = {"claim": "A claim.", "evidence": "A sentence.", "label": "supports"}
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


# -- examples, inputs ------------------------------------------------------------------------------------------


def test_examples_survive_writing_and_reading(tmp_path: Path) -> None:
    examples = [
        Example("1", "a", 'Claim\u2028 "one"', ("Ünï",), Label.PASS, "g", posterior=(0.5, 0.25, 0.25)),
        Example("2", "b", "Claim two", (), Label.NA, "g", evidence_source="none"),
    ]
    write_examples(tmp_path / "test.jsonl", examples)
    assert read_examples(tmp_path / "test.jsonl") == examples
    assert read_splits(str(tmp_path)) == {"test": {"a": examples[:1], "b": examples[1:]}}
    assert read_splits(str(tmp_path / "test.jsonl"))["all"]["b"] == examples[1:]


def test_bad_examples_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1"}\n')
    with pytest.raises(DataError, match=r"a.jsonl:1: no "):
        read_examples(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="no such file"):
        read_examples(tmp_path / "b.jsonl")


def test_predictions_are_examples(tmp_path: Path) -> None:
    header = {"candor": "predictions", "schema": 1, "dataset": "wiki"}
    row = {"id": "7", "claim": "C", "evidence": ["E"], "gold": "FAIL", "label": "PASS", "group": "g"}
    (tmp_path / "p.jsonl").write_bytes(jsonl(header, row))
    ((name, (example,)),) = read_splits(str(tmp_path / "p.jsonl"))["all"].items()
    assert (name, example.id, example.label) == ("wiki", "7", Label.FAIL)


# -- config ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test": {"wikki": 3}}, "did you mean 'wiki'"),
        ({"test": {"wiki": {"MAYBE": 3}}}, "MAYBE"),
        ({"test": {"wiki": {"PASS": -1}}}, "greater than or equal to 0"),
        ({"test": {"wiki": {"PASS": "3"}}}, "valid integer"),
        ({"sources": {}}, "at least 1"),
        ({"sources": {"wiki": {"kind": "sandbx"}}}, "sandbox"),
        ({"sources": {"wiki": {"kind": "sandbox", "x": 1}}}, "Extra inputs"),
        ({"on_shortage": "ignore"}, "'error' or 'shrink'"),
        ({"sources": {"wiki": {"kind": "table", "path": "a.csv", "labels": {True: "PASS"}}}}, "in quotes"),
    ],
)
def test_wrong_configs(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DataConfig.model_validate({"sources": {"wiki": {"kind": "sandbox"}}, **changes})


def test_config_survives_json(tmp_path: Path) -> None:
    config = DataConfig.model_validate(
        {
            "sources": {
                "fever": {"kind": "fever", "parts": ["dev"], "na_sentences": 3},
                "mine": {"kind": "table", "path": "a.csv", "columns": COLUMNS, "labels": {"yes": "PASS"}},
            },
            "train": {"fever": {"NA": 2, "PASS": 1}, "mine": 7},
        }
    )
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config
    assert DataConfig.model_validate_json(config.model_dump_json()) == config
    assert config.requested("fever") == 3


def test_copies_of_official_files_are_used_as_they_are(tmp_path: Path, shared_data: Path) -> None:
    shutil.copy(shared_data / "climatefever" / "climate-fever.jsonl", tmp_path)
    assert len(load_named("climatefever", data_dir=tmp_path).examples) == 1535
