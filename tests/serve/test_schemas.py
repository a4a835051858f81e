"""What goes over the wire: bounds of a question, and answers that are what they say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from candor.serve.schemas import MAX_CLAIM, MAX_SENTENCE, MAX_SENTENCES, Answer, Health, Question


def test_the_largest_question_there_may_be() -> None:
    question = Question.model_validate({"claim": "c" * MAX_CLAIM, "evidence": ["e" * MAX_SENTENCE] * MAX_SENTENCES})
    assert len(question.evidence) == MAX_SENTENCES
    assert Question.model_validate({"claim": "c", "evidence": []}).evidence == []


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"claim": "c" * (MAX_CLAIM + 1), "evidence": []}, "claim"),
        ({"claim": "", "evidence": []}, "claim"),
        ({"claim": " \n\t", "evidence": []}, "claim"),
        ({"claim": 5, "evidence": []}, "claim"),
        ({"evidence": []}, "claim"),
        ({"claim": "c"}, "evidence"),
        ({"claim": "c", "evidence": "e"}, "evidence"),
        ({"claim": "c", "evidence": ["e"] * (MAX_SENTENCES + 1)}, "evidence"),
        ({"claim": "c", "evidence": ["e", " "]}, "evidence"),
        ({"claim": "c", "evidence": ["e" * (MAX_SENTENCE + 1)]}, "evidence"),
        ({"claim": "c", "evidence": [], "label": "NA"}, "label"),
    ],
)
def test_questions_that_are_refused(values: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Question.model_validate(values)
    assert [error["loc"][0] for error in caught.value.errors()] == [place]


def test_the_example_of_the_documentation_is_a_question() -> None:
    (example,) = Question.model_json_schema()["examples"]
    assert Question.model_validate(example).claim


ANSWER: dict[str, Any] = {
    "label": "NA",
    "confidence": 0.5,
    "label_probs": {"PASS": 0.2, "FAIL": 0.3, "NA": 0.5},
    "valid_mass": 1.0,
    "accepted": None,
    "evidence_dropped": 0,
    "evidence_cut": 0,
}


@pytest.mark.parametrize(
    "change",
    [{"label": "na"}, {"confidence": 1.01}, {"valid_mass": -0.1}, {"evidence_dropped": -1}, {"evidence_cut": -1}],
)
def test_answers_are_within_their_bounds(change: dict[str, Any]) -> None:
    assert Answer.model_validate(ANSWER).accepted is None
    with pytest.raises(ValidationError):
        Answer.model_validate(ANSWER | change)


def test_health_says_ok_or_nothing() -> None:
    with pytest.raises(ValidationError):
        Health.model_validate({"status": "ill", "model": "m", "waiting": 0})
