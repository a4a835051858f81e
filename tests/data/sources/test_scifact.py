"""The form is that of the published description of the data; rows are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claim_files import jsonl

from candor.data.inputs import load_named
from candor.data.official.download import fetch
from candor.errors import DataError, FetchError
from candor.types import Example, Label

CLAIM = {
    "id": 263,
    "claim": "Proteins disrupt the cycle.",
    "evidence": {"11": [{"sentences": [1], "label": "CONTRADICT"}, {"sentences": [0], "label": "CONTRADICT"}]},
    "cited_doc_ids": [11, 12],
}
CORPUS = [
    {"doc_id": 11, "title": "T", "abstract": ["First.\n", "Second."], "structured": False},
    {"doc_id": 12, "title": "U", "abstract": ["Other."], "structured": True},
]


def write(folder: Path, **changes: Any) -> Path:
    data = folder / "scifact" / "data"
    data.mkdir(parents=True)
    (data / "claims_train.jsonl").write_bytes(jsonl(CLAIM | changes))
    (data / "claims_dev.jsonl").write_bytes(jsonl(CLAIM | {"id": 264, "evidence": {}, "cited_doc_ids": [12]}))
    (data / "corpus.jsonl").write_bytes(jsonl(*CORPUS))
    return folder


def test_an_example_for_each_claim_and_abstract(tmp_path: Path) -> None:
    claim = CLAIM["claim"]
    assert load_named("scifact", data_dir=write(tmp_path)).examples == (
        Example("263-11", "scifact", claim, ("First.", "Second."), Label.FAIL, "s2orc:11"),
        Example("263-12", "scifact", claim, ("Other.",), Label.NA, "s2orc:12"),
        Example("264-12", "scifact", claim, ("Other.",), Label.NA, "s2orc:12"),
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evidence": []}, "'evidence' must be an object, not a list; the test part has no labels"),
        ({"cited_doc_ids": 11}, "'cited_doc_ids' must be a list, not a number"),
        ({"cited_doc_ids": [99]}, "document '99' is not in the corpus"),
        ({"evidence": {"11": [{"label": "SUPPORT"}, {"label": "CONTRADICT"}]}}, "'11' has rationales both ways"),
        ({"evidence": {"11": [{"label": "NEI"}]}}, "a rationale's label must be SUPPORT or CONTRADICT"),
    ],
)
def test_bad_rows(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_named("scifact", data_dir=write(tmp_path, **changes))


def test_it_is_had_by_hand(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"scifact is not fetched: .* unpack it, and put its files into .*scifact"):
        fetch("scifact", tmp_path)
    with pytest.raises(DataError, match=r"no corpus\.jsonl there; .*allenai/scifact"):
        load_named("scifact", data_dir=tmp_path)
