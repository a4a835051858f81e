"""The score between checkpoints, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from toy import example

from candor.predictions import validation
from candor.predictions.file import read_prediction
from candor.predictions.validation import validation_score
from candor.prompts import templates
from candor.recipe.recipe import recipe_from
from candor.types import Label

RECIPE = recipe_from(
    {
        "name": "r",
        "model": {"name": "sandbox"},
        "data": {"sources": {"wiki": {"kind": "sandbox"}}},
        "evaluation": {"max_new_tokens": 9, "batch_size": 3},
    }
)


def score(monkeypatch: pytest.MonkeyPatch, **answers: list[str]) -> float:
    """Score of these answers by dataset; every example is NA."""

    def predict(engine: Any, examples: Any, template: templates.Template, **bounds: int) -> Any:
        assert bounds == {"max_new_tokens": 9, "batch_size": 3}
        assert template.name == RECIPE.prompt.template
        return [
            read_prediction(example(0, label=Label.NA), text, template, stopped=True, label_probs=None)
            for text in examples
        ]

    monkeypatch.setattr(validation, "predict", predict)
    return validation_score(object(), answers, RECIPE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("LABEL=NA\nCONF=1.00", 1.0),
        ("LABEL=NA\nCONF=0.80", 1 - 0.04),
        ("LABEL=PASS\nCONF=0.00", 0.0),
        ("LABEL=PASS\nCONF=0.80", -0.64),
        ("LABEL=PASS\nCONF=1.00", -1.0),
        ("LABEL=NA", 1 - 1.0),  # right, but the whole square for a confidence that is not there
        ("no idea", -1.0),
    ],
)
def test_one_answer(answer: str, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    assert score(monkeypatch, wiki=[answer]) == pytest.approx(expected)


def test_datasets_count_alike_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = "LABEL=NA\nCONF=1.00", "LABEL=PASS\nCONF=1.00"
    assert score(monkeypatch, wiki=[right] * 9, climate=[wrong]) == pytest.approx(0.0)
    assert score(monkeypatch, wiki=[right, wrong, wrong, wrong]) == pytest.approx(-0.5)
