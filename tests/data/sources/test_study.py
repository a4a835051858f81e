from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from candor.data.inputs import load_named
from candor.data.sources.load import load_source
from candor.data.splits import make_splits
from candor.errors import DataError
from candor.recipe.data import DataConfig, StudySource
from candor.types import Example, Label


def load(path: Path) -> tuple[Example, ...]:
    return load_source("study", StudySource(kind="study", path=path)).examples


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    answered = {"predicted_label": "PASS", "raw_response": "LABEL=PASS"}
    results = [{"id": at, "claim": f"Claim {at}.", **row, **answered} for at, row in enumerate(rows)]
    (folder / "base_results.json").write_text(json.dumps({"model": "m", "results": results}))
    return folder / "base_results.json"


def test_the_published_fever_claims(shared_data: Path) -> None:
    examples = load(shared_data / "published" / "fever_base_results.json.gz")
    assert {label: sum(example.label is label for example in examples) for label in Label} == {
        Label.PASS: 250,
        Label.FAIL: 250,
        Label.NA: 500,
    }
    first = examples[0]
    assert (first.claim, first.group) == ("Ed Decter only has citizenship in China.", "page:ed decter")
    assert first.evidence[0].startswith("[Ed Decter] Edward I. `` Ed '' Decter ( born May 19 , 1959 ) is")
    with_evidence = [example for example in examples if example.evidence]
    assert all(example.group.startswith("page:") for example in with_evidence)


def test_the_published_climate_claims_are_those_of_climatefever(shared_data: Path) -> None:
    official = {example.id: example for example in load_named("climatefever", data_dir=shared_data).examples}
    examples = load(shared_data / "published" / "climatefever_base_results.json.gz")
    assert len(examples) == 1000
    for example in examples:
        known = official[example.id]
        assert (example.claim, example.label, example.group) == (known.claim, known.label, known.group)
    same = sum(example.evidence == official[example.id].evidence for example in examples)
    assert same > 950  # the study's lines are those of the official file


def test_no_claim_of_the_study_is_in_two_splits_of_two_sources(shared_data: Path) -> None:
    published = shared_data / "published"
    sources = {
        "fever": {"kind": "study", "path": str(published / "fever_base_results.json.gz")},
        "again": {"kind": "study", "path": str(published / "fever_only_on_fever_results.json.gz")},
    }
    config = DataConfig.model_validate({"sources": sources, "train": {"fever": 300}, "test": {"again": 300}})
    splits = make_splits(config)
    trained = {example.claim for example in splits.train["fever"]}
    assert len(trained) > 250
    assert not trained & {example.claim for example in splits.test["again"]}


def test_evidence_is_shown_as_its_dataset_shows_it(tmp_path: Path) -> None:
    fever = {"golden_label": "SUPPORTS", "evidence_texts": ["[A_-LRB-film-RRB-] It -LRB- 1 -RRB- .", "[B] It ."]}
    climate = {"golden_label": "DISPUTED", "evidence_texts": ["[Some page] One.\n[B] Two."]}
    plain = {"golden_label": "REFUTES", "evidence_texts": "One.\nNot [two]."}
    none = {"golden_label": "NOT ENOUGH INFO", "evidence_texts": []}
    examples = load(write(tmp_path, fever, climate, plain, none))
    assert [example.evidence for example in examples] == [
        ("[A (film)] It ( 1 ) .", "[B] It ."),
        ("[Some page] One.", "[B] Two."),
        ("One.\nNot [two].",),
        (),
    ]
    assert [example.label for example in examples] == [Label.PASS, Label.NA, Label.FAIL, Label.NA]
    assert [example.group for example in examples] == [
        "page:a (film)",
        "claim:claim 1",
        "claim:claim 2",
        "claim:claim 3",
    ]


def test_a_file_that_is_missing_or_none_of_the_studys(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; looked for .*none\.json"):
        load(tmp_path / "none.json")
    (tmp_path / "a.json").write_text('{"results": [{"claim": "x"}]}')
    with pytest.raises(DataError, match="no 'golden_label'"):
        load(tmp_path / "a.json")
