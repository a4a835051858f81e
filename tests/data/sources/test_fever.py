from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from fever_files import CLAIMS, claim, write_dump, write_fever

from candor.data.loaded import LoadedSource
from candor.data.sources.load import load_source
from candor.data.splits import make_splits
from candor.errors import DataError
from candor.recipe.data import DataConfig, FeverSource
from candor.types import Label


def source(**values: object) -> FeverSource:
    return FeverSource.model_validate({"kind": "fever", "parts": ["train"], **values})


def load(folder: Path, **values: object) -> LoadedSource:
    return load_source("fever", source(**values), data_dir=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fever(tmp_path_factory.mktemp("fever"))


def test_annotated_sentences_in_order_each_once_over_all_annotators(folder: Path) -> None:
    examples = {example.id: example for example in load(folder).examples}
    assert examples["1"].evidence == (
        "[Ed Decter] Edward I. Decter ( born May 19 , 1959 ) is an American film director .",
        "[Ed Decter] He wrote a film .",
    )
    assert examples["2"].evidence == (
        "[Oliver Stone] Oliver Stone is an American filmmaker .",
        "[Savages (2012 film)] Savages is a 2012 crime film directed by Oliver Stone .",
    )
    assert examples["1"].label is Label.PASS
    assert examples["3"].label is Label.FAIL
    assert examples["5"].label is Label.NA


def test_titles_are_found_in_other_unicode_forms(folder: Path) -> None:
    examples = {example.id: example for example in load(folder).examples}
    assert [sentence.partition("] ")[2] for sentence in examples["3"].evidence] == [
        "Beyoncé is a singer born in Houston ."
    ]


def test_a_missing_sentence_is_counted(folder: Path) -> None:
    loaded = load(folder)
    example = next(example for example in loaded.examples if example.id == "4")
    assert example.evidence == ("[Alien: Covenant] Alien is a 2017 science fiction film by Ridley Scott .",)
    assert loaded.settings["missing_sentences"] == 1


def test_group_is_the_page_that_the_claim_names_first(folder: Path) -> None:
    groups = {example.id: example.group for example in load(folder).examples}
    assert groups["2"] == "page:savages (2012 film)"
    assert groups["4"] == "page:alien: covenant"
    assert groups["5"] == "claim:taylor kitsch lives in houston"


@pytest.mark.parametrize("choice", ["none", "random", "retrieved"])
def test_na_evidence_is_a_recorded_choice(folder: Path, choice: str) -> None:
    loaded = load(folder, na_evidence=choice, na_sentences=2)
    for example in loaded.examples:
        if example.label is Label.NA:
            assert example.evidence_source == choice
            assert len(example.evidence) == (0 if choice == "none" else 2)
        else:
            assert example.evidence_source == "annotated"
    assert loaded.settings["na_evidence"] == choice


def test_retrieved_evidence_fits_the_claim(folder: Path) -> None:
    examples = {example.id: example for example in load(folder, na_sentences=1).examples}
    assert examples["5"].evidence == ("[Savages (2012 film)] It stars Taylor Kitsch .",)
    assert examples["6"].evidence[0].startswith("[Oliver Stone]")


def test_matched_numbers_come_from_annotated_claims(folder: Path) -> None:
    numbers = {len(e.evidence) for e in load(folder, na_evidence="random").examples if e.label is Label.NA}
    assert numbers <= {1, 2}


def test_matched_numbers_need_annotated_claims(tmp_path: Path) -> None:
    write_fever(tmp_path, [CLAIMS[4]])
    with pytest.raises(DataError, match="give a number"):
        load(tmp_path)


def test_random_evidence_does_not_depend_on_the_order_of_claims(tmp_path: Path, folder: Path) -> None:
    write_fever(tmp_path, CLAIMS[::-1])
    mine, other = (
        {example.id: example for example in load(place, na_evidence="random").examples} for place in (folder, tmp_path)
    )
    assert mine == other


def test_a_claim_whose_sentences_are_not_in_the_dump(tmp_path: Path) -> None:
    write_fever(tmp_path, [*CLAIMS, claim(7, "Nobody is here.", "SUPPORTS", [("Nobody", 0)])])
    with pytest.raises(DataError, match=r"train.jsonl:7: none of the annotated sentences .* Nobody:0"):
        load(tmp_path)
    loaded = load_source("fever", source(), data_dir=tmp_path, on_bad_row="skip")
    assert "7" not in {example.id for example in loaded.examples}
    assert [row.line for row in loaded.skipped] == [7]


def test_splits_draw_another_claim_where_evidence_is_missing(tmp_path: Path) -> None:
    lost = [claim(10 + n, f"Nobody number {n} is here.", "SUPPORTS", [(f"Nobody{n}", 0)]) for n in range(20)]
    write_fever(tmp_path, [*CLAIMS, *lost])
    config = DataConfig.model_validate(
        {
            "sources": {"fever": {"kind": "fever", "parts": ["train"]}},
            "test": {"fever": {"PASS": 2, "FAIL": 1, "NA": 1}},
            "on_bad_row": "skip",
        }
    )
    splits = make_splits(config, data_dir=tmp_path)
    assert {example.id for example in splits.test["fever"] if example.label is Label.PASS} == {"1", "2"}
    assert all(example.evidence for example in splits.test["fever"])
    assert splits.notes["sources"]["fever"]["without_evidence"]
    json.dumps(splits.notes)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**CLAIMS[0], "evidence": "x"}, "evidence must be a list, not text"),
        ({**CLAIMS[0], "evidence": [[[1, 2, "A"]]]}, "3 parts, not 4"),
        ({**CLAIMS[0], "evidence": [[[1, 2, "A", "0"]]]}, "must name a page and a line"),
        ({**CLAIMS[0], "evidence": [[[1, None, None, None]]]}, "no sentence is annotated"),
        ({**CLAIMS[0], "evidence": [[[1, 2, "\ud800", 0]]]}, "'evidence' holds half of a surrogate pair"),
        ({**CLAIMS[0], "label": "MAYBE"}, "no known label"),
    ],
)
def test_bad_claims(tmp_path: Path, row: dict[str, object], words: str) -> None:
    write_fever(tmp_path, [CLAIMS[1], row])
    with pytest.raises(DataError, match=rf"train.jsonl:2: .*{words}"):
        load(tmp_path)


def test_bad_pages_are_listed_with_the_source(tmp_path: Path) -> None:
    write_fever(tmp_path)
    with zipfile.ZipFile(tmp_path / "fever" / "wiki-pages.zip", "a") as archive:
        archive.writestr("wiki-pages/wiki-900.jsonl", '{"id": "Bad", "lines": 3}\n')
    loaded = load_source("fever", source(), data_dir=tmp_path, on_bad_row="skip")
    assert loaded.notes()["wiki_skipped_rows"] == 1
    (listed,) = loaded.notes()["wiki_skipped"]
    assert listed["file"].endswith("wiki-900.jsonl")
    assert (listed["line"], listed["reason"]) == (1, "'lines' must be text, not a number")
    with pytest.raises(DataError, match=r"was built without bad rows of the dump .1, first: .*wiki-900.jsonl:1: 'lin"):
        load(tmp_path)


def test_missing_dump_says_how_to_get_it(tmp_path: Path) -> None:
    write_fever(tmp_path)
    (tmp_path / "fever" / "wiki-pages.zip").unlink()
    with pytest.raises(DataError, match="candor data fetch fever"):
        load(tmp_path)


def test_index_is_built_once_and_reused(tmp_path: Path) -> None:
    write_fever(tmp_path)
    load(tmp_path)
    path = tmp_path / "fever" / "wiki.sqlite"
    before = path.stat()
    load(tmp_path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert {file.name for file in path.parent.iterdir()} == {"train.jsonl", "wiki-pages.zip", "wiki.sqlite"}


def test_index_of_another_dump_is_refused(tmp_path: Path) -> None:
    write_fever(tmp_path)
    load(tmp_path)
    write_dump(tmp_path / "fever" / "wiki-pages.zip", {"Other": ["Another page ."]})
    with pytest.raises(DataError, match="is not the index of"):
        load(tmp_path)


def test_data_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fever(tmp_path / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    loaded = load(tmp_path / "data")
    assert loaded.settings["wiki_index"].startswith(str(tmp_path / "cache"))
