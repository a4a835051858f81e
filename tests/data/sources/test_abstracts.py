from __future__ import annotations

from typing import Any

import pytest

from candor.data.rows import RowError
from candor.data.sources.abstracts import abstract_of


def test_an_abstract_by_its_id() -> None:
    row = {"doc_id": 4983, "title": "T", "abstract": [" One. ", "Two."], "structured": False}
    assert abstract_of("doc_id")(row) == ("4983", ("One.", "Two."))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([], "a JSON object was expected"),
        ({"abstract": []}, "no 'doc_id'"),
        ({"doc_id": 1}, "no 'abstract'"),
        ({"doc_id": 1, "abstract": "One."}, "'abstract' must be a list of texts, not text"),
        ({"doc_id": 1, "abstract": ["One.", 2]}, "'abstract' must be a list of texts"),
    ],
)
def test_what_is_no_abstract(row: Any, words: str) -> None:
    with pytest.raises(RowError, match=words):
        abstract_of("doc_id")(row)
