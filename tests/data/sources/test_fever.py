from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fever_files import CLAIMS, PAGES, claim, page, write_dump, write_fever

from candor.data.loaded import LoadedSource
from candor.data.sources.load import load_source
from candor.data.splits import make_splits
from candor.data.wiki.index import WikiIndex, build_wiki_index
from candor.data.wiki.retrieval import Retriever, words
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


@pytest.fixture(scope="module")
def index(folder: Path) -> WikiIndex:
    path = folder / "index.sqlite"
    build_wiki_index(folder / "fever" / "wiki-pages.zip", path)
    return WikiIndex(path)


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


def test_unpacked_dump(tmp_path: Path, index: WikiIndex) -> None:
    shard = tmp_path / "wiki-pages" / "wiki-001.jsonl"
    shard.parent.mkdir()
    shard.write_text("\n".join(json.dumps(page(*item)) for item in PAGES.items()), encoding="utf-8")
    build_wiki_index(shard.parent, tmp_path / "index.sqlite")
    assert WikiIndex(tmp_path / "index.sqlite").fingerprint() == index.fingerprint()


def test_lookup(index: WikiIndex) -> None:
    assert index.pages == len(PAGES)
    assert index.lines("Savages_-LRB-2012_film-RRB-") == {
        0: "Savages is a 2012 crime film directed by Oliver Stone .",
        2: "It stars Taylor Kitsch .",
    }
    for title in ("Savages (2012 film)", "Alien: Covenant", unicodedata.normalize("NFC", "Beyoncé"), "Empty"):
        assert index.lines(title) is not None
    assert index.lines("Nobody") is None
    assert index.sentence("Ed_Decter", 5) is None


def test_empty_pages_are_never_drawn(index: WikiIndex) -> None:
    rng = random.Random(0)
    assert "Empty" not in {index.random_sentence(rng).title for _ in range(100)}


def test_bm25_ranks_by_hand(tmp_path: Path) -> None:
    pages = {
        "A": ["green apples grow on trees ."],
        "B": ["green pears grow on trees ."],
        "C": ["apples apples apples ."],
        "D": ["nothing of the kind ."],
    }
    build_wiki_index(write_dump(tmp_path / "dump.zip", pages), tmp_path / "index.sqlite")
    retriever = Retriever(WikiIndex(tmp_path / "index.sqlite"))
    # "pears" is in one sentence, "green" in two: the one with both wins.
    assert [sentence.title for sentence in retriever.search("Green pears?", 3)] == ["B", "A"]
    # Repeats count less each time, but count; and the shorter sentence wins.
    assert [sentence.title for sentence in retriever.search("apples", 3)] == ["C", "A"]
    assert retriever.search("zebra", 3) == []
    assert retriever.search("?!", 3) == []


@pytest.mark.parametrize(
    "claim_text", ['"quoted" AND (NEAR OR NOT', "text:colon* ^caret", "'; DROP TABLE pages; --", "\x00"]
)
def test_hostile_claims_are_only_words(index: WikiIndex, claim_text: str) -> None:
    Retriever(index).search(claim_text, 3)
    assert index.lines("Ed_Decter")


def test_words_are_those_of_the_index(index: WikiIndex) -> None:
    for (term,) in index.execute("SELECT term FROM vocabulary"):
        assert words(term) == [term]


def _sentence(path: Path) -> str:
    return str(WikiIndex(path).sentence("Ed_Decter", 1))


def test_several_processes_read_one_index(index: WikiIndex) -> None:
    assert index.sentence("Ed_Decter", 1) is not None
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert set(pool.map(_sentence, [index.path] * 6)) == {"[Ed Decter] He wrote a film ."}


def test_killed_build_goes_on_to_the_same_index(tmp_path: Path) -> None:
    pages = {f"Page_{n}": [f"Sentence {m} of page {n} with word{n * m % 97} ." for m in range(5)] for n in range(4000)}
    dump = write_dump(tmp_path / "dump.zip", pages, per_shard=100)
    build_wiki_index(dump, tmp_path / "whole.sqlite")
    killed = tmp_path / "killed.sqlite"
    script = (
        "import sys, time; from pathlib import Path; from candor.data.wiki.index import build_wiki_index\n"
        "def say(words): print(words, flush=True); time.sleep(0.01)\n"
        f"build_wiki_index(Path({str(dump)!r}), Path({str(killed)!r}), progress=say)"
    )
    for stop in (3, 12):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(stop):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        assert not killed.exists()
    said: list[str] = []
    build_wiki_index(dump, killed, progress=said.append)
    assert len(said) < 30, "shards that were finished are not built again"
    assert WikiIndex(killed).fingerprint() == WikiIndex(tmp_path / "whole.sqlite").fingerprint()


def test_a_full_disk_stops_the_build_and_room_lets_it_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {f"Page_{n}": [f"Sentence {m} of {n} ." for m in range(30)] for n in range(1500)}
    dump = write_dump(tmp_path / "dump.zip", pages, per_shard=300)
    connect = sqlite3.connect

    def small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 300")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", small)
        with pytest.raises(DataError, match=r"disk is full.*with more room on the disk the same command goes on"):
            build_wiki_index(dump, tmp_path / "index.sqlite")
    assert not (tmp_path / "index.sqlite").exists()
    build_wiki_index(dump, tmp_path / "index.sqlite")
    build_wiki_index(dump, tmp_path / "at_once.sqlite")
    fingerprints = {WikiIndex(tmp_path / f"{name}.sqlite").fingerprint() for name in ("index", "at_once")}
    assert len(fingerprints) == 1


def test_two_builders_do_not_mix(tmp_path: Path) -> None:
    dump = write_dump(tmp_path / "dump.zip")

    def second(words: str) -> None:
        with pytest.raises(DataError, match="another process is building"):
            build_wiki_index(dump, tmp_path / "index.sqlite")

    build_wiki_index(dump, tmp_path / "index.sqlite", progress=second)
    assert WikiIndex(tmp_path / "index.sqlite").pages == len(PAGES)


def test_bad_page_of_the_dump(tmp_path: Path) -> None:
    dump = tmp_path / "wiki-pages"
    dump.mkdir()
    good = json.dumps(page("Good", ["A sentence ."]))
    (dump / "wiki-001.jsonl").write_text(f'{good}\n{{"id": "Bad", "lines": 3}}\n{{"id"\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"wiki-001.jsonl:2: 'lines' must be text"):
        build_wiki_index(dump, tmp_path / "index.sqlite")
    build_wiki_index(dump, tmp_path / "index.sqlite", on_bad_row="skip")
    index = WikiIndex(tmp_path / "index.sqlite")
    assert index.pages == 1
    assert [line for _, line, _ in index.skipped()] == [2, 3]


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be read as one" * 20])
def test_damaged_index(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wiki.sqlite"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a wiki index"):
        WikiIndex(path)


def test_index_cannot_be_changed_by_readers(index: WikiIndex) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        index.execute("DELETE FROM pages")


@pytest.mark.parametrize("name", ["../evil.jsonl", "/etc/evil.jsonl", "a/../../evil.jsonl", "C:\\evil.jsonl"])
def test_archives_cannot_point_outside(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "dump.zip", "w") as archive:
        archive.writestr(name, "{}\n")
    with pytest.raises(DataError, match="points outside"):
        build_wiki_index(tmp_path / "dump.zip", tmp_path / "index.sqlite")


@pytest.mark.parametrize("name", [".", "./"])
def test_archives_with_odd_names_are_no_trouble(tmp_path: Path, name: str) -> None:
    dump = write_dump(tmp_path / "dump.zip")
    with zipfile.ZipFile(dump, "a") as archive:
        archive.writestr(name, "")
    build_wiki_index(dump, tmp_path / "index.sqlite")
    assert WikiIndex(tmp_path / "index.sqlite").pages == len(PAGES)


def test_damaged_archive(tmp_path: Path) -> None:
    dump = write_dump(tmp_path / "dump.zip", {f"P{n}": ["x " * 500] for n in range(50)})
    data = bytearray(dump.read_bytes())
    data[200:230] = bytes(30)
    dump.write_bytes(data)
    with pytest.raises(DataError):
        build_wiki_index(dump, tmp_path / "index.sqlite")
    assert not (tmp_path / "index.sqlite").exists()
