"""Evidence in one value, in every form in which programs write lists into cells."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.data.cells import TEXT_KEYS, is_blank, is_nothing, sentences_of
from candor.data.rows import RowError

sentence = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: not is_nothing(text)
)
sentences = st.lists(sentence, max_size=4)


def stripped(texts: list[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts)


def numpy_text(texts: list[str]) -> str:
    with np.printoptions(threshold=10**6):
        return str(np.array(texts, dtype=object))


WRITERS = {
    "json": json.dumps,
    "json as it is": lambda texts: json.dumps(texts, ensure_ascii=False),
    "json, indented": lambda texts: json.dumps(texts, indent=1),
    "json in json": lambda texts: json.dumps(json.dumps(texts)),
    "python list": lambda texts: str(list(texts)),
    "python tuple": lambda texts: str(tuple(texts)),
    "numpy": numpy_text,
    "numpy repr": lambda texts: repr(np.array(texts, dtype=object)),
    "numpy strings": lambda texts: str([np.str_(text) for text in texts]),
    "json objects": lambda texts: json.dumps([{"text": text} for text in texts]),
    "python objects": lambda texts: str([{"text": text, "page": 1} for text in texts]),
    "object of a list": lambda texts: json.dumps({"text": texts}),
}


@pytest.mark.parametrize("form", WRITERS)
@given(texts=sentences)
def test_lists_come_back_from_every_form(form: str, texts: list[str]) -> None:
    assert sentences_of(WRITERS[form](texts), "evidence") == stripped(texts)


@given(sentences)
def test_lists_as_they_are(texts: list[str]) -> None:
    assert sentences_of(texts, "evidence") == sentences_of(tuple(texts), "evidence") == stripped(texts)
    assert sentences_of([{"text": text} for text in texts], "evidence") == stripped(texts)


@given(st.lists(sentence, min_size=1, max_size=12))
def test_numbered_objects_are_in_the_order_of_their_numbers(texts: list[str]) -> None:
    numbered = {str(at): text for at, text in enumerate(texts)}
    assert sentences_of(dict(reversed(numbered.items())), "evidence") == stripped(texts)


@pytest.mark.parametrize("key", TEXT_KEYS)
def test_an_objects_text_stands_under_a_known_key(key: str) -> None:
    assert sentences_of({"id": 1, key: "One."}, "evidence") == ("One.",)
    assert sentences_of([{key: "One."}, {key: None}, {key: ["Two.", "Three."]}], "evidence") == (
        "One.",
        "Two.",
        "Three.",
    )


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "  ", float("nan"), [], (), {"text": None}, [None], ["", None, " "], ["nan"]),
        *("[]", "()", "[null]", "[None]", "[nan]", "['nan', None]", '["", null]', "array([])"),
        *("nan", "NaN", "None", "null", "N/A", "#N/A", "<NA>", " none "),
    ],
)
def test_what_stands_for_no_evidence(value: Any) -> None:
    assert sentences_of(value, "evidence") == ()


@pytest.mark.parametrize(
    "text",
    [
        *("[citation needed] One.", "[1, 2]", "[1] says so.", "[One", "[Ed_Decter] He writes.", "[]() is Markdown"),
        *("(He said.)", '("He said.")', "('70s) music", "(1) One. (2) Two.", "{braces}", "{x} in {y}", '{"x"}s'),
        *(
            '"Quoted," he said.',
            '"A whole quotation."',
            "'Single'",
            "array of stars",
            "set(s)",
            "None of them.",
            "nano",
        ),
        *('["90s" music', "['90s music was loud.", "[sic]", "[a, b]"),
    ],
)
def test_sentences_that_look_a_little_like_lists_stay_as_they_are(text: str) -> None:
    assert sentences_of(text, "evidence") == (text,)


@given(sentence)
def test_a_sentence_is_never_lost(text: str) -> None:
    assert sentences_of(["x", text], "evidence") == ("x", text.strip())
    if text.lstrip()[:1] not in ("[", "(", "{", '"', "") and not text.lstrip().startswith(
        ("array", "list", "tuple", "set", "np", "frozen", "deque", "dict_", "Index", "tensor", "pd", "torch", "collec")
    ):
        assert sentences_of(text, "evidence") == (text.strip(),)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "'evidence' must be text or a list of texts, not a number"),
        (True, "not a boolean"),
        ([3], "not a number"),
        ([["a"]], "not a list inside of one"),
        ([{"x": 1}], "not an object with 'x'; an object's text stands under one of text, sentence"),
        ({"text": "a", "sentence": "b"}, "not an object with 'text', 'sentence'"),
        ({}, "not an object with nothing"),
        ({"0": 3}, "not a number"),
        ("['a' 'b' ... 'c']", "a list that numpy cut short"),
        ("['a', 'b' c]", "begins and ends like a list"),
        ("[array(['a'], dtype=object), 'b']", "begins and ends like a list"),
        ("[u'a', b'c']", "begins and ends like a list"),
        ("tensor([1.0, 2.0])", "begins and ends like a list"),
        ("['a', 'b'", "begins like a list, .* and has no end"),
        ('["a", "b that was cut', "begins like a list, .* and has no end"),
        ("{'text': 'a", "begins like a list, .* and has no end"),
        ('["' + "a" * 32_766, "begins like a list, .* and has no end"),
        ("0    a\n1    b\nName: evidence, dtype: object", "what pandas prints of a column"),
        ("0    a\ndtype: object", "what pandas prints of a column"),
        ('["a", ["b"]]', "begins and ends like a list"),
        ("[{'text': open}]", "begins and ends like a list"),
        ("a\ud800", "half of a surrogate pair"),
        ("a\0b", "a NUL"),
        ({"text": {"text": {"text": {"text": {"text": "a"}}}}}, "an object"),
    ],
)
def test_what_is_no_evidence(value: Any, words: str) -> None:
    with pytest.raises(RowError, match=words):
        sentences_of(value, "evidence")


@pytest.mark.parametrize("piece", ["[", "(", "['a', ", "{", '["', "[{'a': ", "\\", "'", '"', "-", "[{" + "-" * 9])
def test_hostile_texts_are_read_all_the_same(piece: str) -> None:
    """Deep or endless nesting gives a sentence or an error, and nothing that stands there is run."""
    for text in (piece * 20_000, f"[{{{piece * 20_000}}}]"):
        try:
            found = sentences_of(text, "evidence")
        except RowError:
            continue
        assert found == (text.strip(),)
    with pytest.raises(RowError):
        sentences_of("[{'text': __import__('os').getcwd()}]", "evidence")


@pytest.mark.parametrize("kind", ["frozenset({%s})", "collections.deque([%s])", "dict_values([%s])", "np.array([%s])"])
def test_other_collections_are_lists(kind: str) -> None:
    assert sentences_of(kind % "'a', 'b'", "evidence") == ("a", "b")


def test_blank_is_less_than_nothing() -> None:
    assert [is_blank(value) for value in (None, "", " ", float("nan"), "none", 0)] == [True] * 4 + [False] * 2
    assert [is_nothing(value) for value in ("none", "N/A", 0, "no", False, [])] == [True, True, *[False] * 4]
