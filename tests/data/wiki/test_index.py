from __future__ import annotations

import gzip
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
from fever_files import PAGES, page, write_dump

from candor.data.wiki.index import WikiIndex, build_wiki_index
from candor.errors import DataError


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


@pytest.mark.parametrize("lines", ["0\tHalf a \ud800 .\t", "9" * 5000 + "\tA line .\t"])
def test_pages_that_no_index_can_hold_are_bad_rows(tmp_path: Path, lines: str) -> None:
    dump = tmp_path / "wiki-pages"
    dump.mkdir()
    rows = [page("Good", ["A sentence ."]), {"id": "Odd", "text": "", "lines": lines}]
    (dump / "wiki-001.jsonl").write_text("\n".join(map(json.dumps, rows)))
    build_wiki_index(dump, tmp_path / "index.sqlite", on_bad_row="skip")
    index = WikiIndex(tmp_path / "index.sqlite")
    assert [line for _, line, _ in index.skipped()] == ([2] if "\ud800" in lines else [])
    assert index.pages == (1 if "\ud800" in lines else 2)


@pytest.mark.parametrize("packed", [False, True])
def test_shards_may_be_gzipped(tmp_path: Path, packed: bool) -> None:
    content = gzip.compress(json.dumps(page("Good", ["A sentence ."])).encode())
    dump = tmp_path / ("dump.zip" if packed else "wiki-pages")
    if packed:
        with zipfile.ZipFile(dump, "w") as archive:
            archive.writestr("wiki-pages/wiki-001.jsonl.gz", content)
    else:
        dump.mkdir()
        (dump / "wiki-001.jsonl.gz").write_bytes(content)
        # What unpacking leaves behind is not read twice.
        (dump / "wiki-002.jsonl").write_text(json.dumps(page("Other", ["A sentence ."])))
        (dump / "wiki-002.jsonl.gz").write_bytes(gzip.compress((dump / "wiki-002.jsonl").read_bytes()))
    build_wiki_index(dump, tmp_path / "index.sqlite")
    assert WikiIndex(tmp_path / "index.sqlite").pages == (1 if packed else 2)


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
