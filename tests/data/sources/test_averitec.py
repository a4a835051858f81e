"""The form is that of the published description of the data; rows are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from candor.data.inputs import load_named
from candor.data.sources.load import load_source
from candor.errors import DataError
from candor.recipe.data import AveritecSource
from candor.types import Example, Label


def question(text: str, *answers: str, **more: Any) -> dict[str, Any]:
    return {
        "question": text,
        "answers": [{"answer": answer, "answer_type": "Abstractive", **more} for answer in answers],
    }


def row(label: str = "Refuted", **changes: Any) -> dict[str, Any]:
    questions = [
        question("Who said so?", "Nobody. ", "A\nfriend."),
        question("Is it so?", "No", boolean_explanation="It is not."),
    ]
    return {
        "claim": "It is so.",
        "label": label,
        "fact_checking_article": "https://a/1",
        "questions": questions,
    } | changes


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    (folder / "averitec").mkdir()
    (folder / "averitec" / "train.json").write_text(json.dumps(rows, indent=4))
    (folder / "averitec" / "dev.json").write_text(
        json.dumps([row("Supported", claim="Other.", fact_checking_article=None)])
    )
    return folder


def test_examples(tmp_path: Path) -> None:
    loaded = load_named("averitec", data_dir=write(tmp_path, row("Not Enough Evidence"), row()))
    shown = ("Who said so? Nobody.", "Who said so? A friend.", "Is it so? No It is not.")
    assert loaded.examples == (
        Example("train-1", "averitec", "It is so.", shown, Label.NA, "article:https://a/1"),
        Example("train-2", "averitec", "It is so.", shown, Label.FAIL, "article:https://a/1"),
        Example("dev-1", "averitec", "Other.", shown, Label.PASS, "claim:other"),
    )


@pytest.mark.parametrize(("conflicting", "labels"), [("na", [Label.NA, Label.FAIL]), ("drop", [Label.FAIL])])
def test_claims_with_evidence_both_ways(tmp_path: Path, conflicting: str, labels: list[Label]) -> None:
    folder = write(tmp_path, row("Conflicting Evidence/Cherrypicking"), row())
    config = AveritecSource.model_validate({"kind": "averitec", "conflicting": conflicting, "parts": ["train"]})
    loaded = load_source("a", config, data_dir=folder)
    assert [example.label for example in loaded.examples] == labels
    assert loaded.examples[-1].id == "train-2"
    assert loaded.settings["conflicting_claims"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"questions": "x"}, "'questions' must be a list, not text"),
        ({"questions": [{"question": "Q?", "answers": None}]}, "'answers' must be a list, not null"),
        ({"questions": [question("", "A")]}, "'question' is empty"),
        ({"label": "Maybe"}, "'Maybe', no known label"),
    ],
)
def test_bad_rows(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_named("averitec", data_dir=write(tmp_path, row(**changes)))
