from __future__ import annotations

import math
from pathlib import Path

import pytest
from fever_files import write_dump

from candor.data.wiki import retrieval
from candor.data.wiki.index import WikiIndex, build_wiki_index
from candor.data.wiki.retrieval import Retriever, words


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


def test_ties_go_by_their_place_in_the_dump_and_the_limit_is_kept(tmp_path: Path) -> None:
    pages = {name: ["the same words ."] for name in ("B", "A", "D", "C")}
    build_wiki_index(write_dump(tmp_path / "dump.zip", pages), tmp_path / "index.sqlite")
    retriever = Retriever(WikiIndex(tmp_path / "index.sqlite"))
    assert [sentence.title for sentence in retriever.search("same words", 3)] == ["B", "A", "D"]


def test_a_score_is_bm25s_by_hand(tmp_path: Path) -> None:
    pages = {"A": ["green apples"], "B": ["green green pears and more"]}
    build_wiki_index(write_dump(tmp_path / "dump.zip", pages), tmp_path / "index.sqlite")
    index = WikiIndex(tmp_path / "index.sqlite")
    retriever = Retriever(index)
    (first, second) = retriever.search("green pears", 2)
    # Titles count as words: 3 and 6 words, 4.5 on average, so lengths are 2/3 and 4/3.
    rarity = {count: math.log(1 + (2 - count + 0.5) / (count + 0.5)) for count in (1, 2)}
    expected = {
        "A": rarity[2] * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)),
        "B": rarity[2] * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4 / 3))
        + rarity[1] * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 4 / 3)),
    }
    counts = {"green": 2, "pears": 1}
    assert [sentence.title for sentence in (first, second)] == ["B", "A"]
    for sentence in (first, second):
        assert retriever._score(sentence, counts) == pytest.approx(expected[sentence.title])


def test_frequent_words_alone_are_searched_by_the_two_rarest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {f"P{n}": [f"{'red' if n % 2 else 'blue'} {'round' if n % 3 else 'square'} thing"] for n in range(24)}
    build_wiki_index(write_dump(tmp_path / "dump.zip", pages), tmp_path / "index.sqlite")
    retriever = Retriever(WikiIndex(tmp_path / "index.sqlite"))
    expected = retriever.search("blue round thing", 3)
    monkeypatch.setattr(retrieval, "MATCH_BUDGET", 5)
    assert retriever.search("blue round thing", 3) == expected
    assert all({"blue", "round"} <= set(words(sentence.text)) for sentence in expected)
