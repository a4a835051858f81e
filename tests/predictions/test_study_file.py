"""The study's file: one reading of its rows, and what candor makes of an answer in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from candor.comparison.study_rules import in_paired_table, row_confidence
from candor.errors import PredictionError
from candor.predictions.study_file import StudyRow, from_prediction, parse_study, to_prediction
from candor.types import Label, Prediction, Validity

ENTRY = {
    "id": 7,
    "claim": "Owls  are fish.",
    "evidence_texts": ["Owls are birds."],
    "golden_label": "REFUTES",
    "predicted_label": "FAIL",
    "raw_response": "LABEL=REFUTES\nCONF=0.80",
}


def read(**changes: Any) -> StudyRow:
    """One row, with some keys changed."""
    text = json.dumps({"model": "m", "source": 3, "results": [ENTRY | changes]})
    (row,) = parse_study(text, "x.json").rows
    return row


def test_a_row_as_it_stands() -> None:
    assert read() == StudyRow(
        id="7",
        claim="Owls  are fish.",
        evidence=("Owls are birds.",),
        gold=Label.FAIL,
        predicted=Label.FAIL,
        raw="LABEL=REFUTES\nCONF=0.80",
        has_confidence=False,
        confidence=None,
        format_valid=None,
    )
    assert read(evidence_texts="Owls are birds.").evidence == ("Owls are birds.",)
    assert read(predicted_conf=1, format_valid=True).confidence == 1.0
    file = parse_study(json.dumps({"model": "m", "source": 3, "results": []}), "x.json")
    assert (file.model, file.source, file.rows) == ("m", None, ())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("SUPPORTS", Label.PASS),
        ("fail", Label.FAIL),
        ("NOT ENOUGH INFO", Label.NA),
        ("NOT_ENOUGH_INFO", Label.NA),
        ("DISPUTED", Label.NA),
        ("MAYBE", None),
        (None, None),
        (2, None),
    ],
)
def test_labels_by_their_names(name: object, label: Label | None) -> None:
    row = read(golden_label=name, predicted_label=name)
    assert (row.gold, row.predicted) == (label, label)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"predicted_conf": "0.5"}, r"x\.json: results\[0\]: predicted_conf is '0.5', not a number"),
        ({"predicted_conf": True}, r"predicted_conf is True, not a number"),
        ({"format_valid": 1}, r"x\.json: results\[0\]: format_valid is 1, not true or false"),
    ],
)
def test_values_of_another_kind_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        read(**changes)


def test_candor_reads_the_text() -> None:
    made = to_prediction(read(predicted_label="PASS", predicted_conf=0.5, format_valid=False), "fever")
    assert (made.label, made.confidence, made.gold) == (Label.FAIL, 0.8, Label.FAIL)
    assert (made.group, made.dataset, made.id) == ("owls are fish.", "fever", "7")


def test_the_files_own_reading_counts_where_it_is_vouched_for() -> None:
    vouched = read(raw_response="nothing to read", predicted_conf=0.7, format_valid=True)
    assert to_prediction(vouched, "f").label is Label.FAIL
    assert to_prediction(vouched, "f").confidence == 0.7
    unmarked = to_prediction(replace(vouched, format_valid=None), "f")
    assert (unmarked.label, unmarked.confidence, unmarked.validity) == (None, None, Validity.NONE)


def test_two_readings_of_one_row() -> None:
    """The first confidence against the one behind the label; brackets, which only candor's reading sees through."""
    row = read(raw_response="Let CONF=0.3 stand.\nLABEL=<FAIL>\nCONF=<0.80>")
    assert to_prediction(row, "f").confidence == 0.8
    assert row_confidence(row) == 0.3
    assert in_paired_table(row)


def test_a_row_without_a_gold_label_cannot_be_judged() -> None:
    with pytest.raises(PredictionError, match="fever: golden_label of id '7' is none of pass, supports"):
        to_prediction(read(golden_label="MAYBE"), "fever")


def test_there_and_back() -> None:
    made = to_prediction(read(raw_response="LABEL=FAIL\nCONF=0.80"), "f")
    row = from_prediction(made)
    assert (row.gold, row.predicted, row.confidence) == (made.gold, made.label, made.confidence)
    assert row.has_confidence
    assert row.format_valid == (made.validity is Validity.CLEAN)


def two_rows(**changes: Any) -> tuple[StudyRow, ...]:
    good = {"id": 1, "claim": "c", "golden_label": "PASS", "predicted_label": "PASS", "predicted_conf": 0.95}
    return parse_study(json.dumps({"results": [good, good | {"id": 2} | changes]}), "file.json").rows


def answer_of(**changes: Any) -> Prediction:
    return to_prediction(two_rows(**changes)[1], "fever")


@pytest.mark.parametrize("value", [95, 1.7, -0.1, 2**2000, True, False, "0.95", [0.95], float("nan"), float("inf")])
def test_a_confidence_that_is_none_is_an_error_that_names_file_row_and_key(value: Any) -> None:
    with pytest.raises(
        PredictionError, match=r"^file\.json: results\[1\]: predicted_conf is .*, not a number from 0 to 1"
    ):
        two_rows(predicted_conf=value)


@pytest.mark.parametrize(("value", "confidence"), [(0, 0.0), (1, 1.0), (0.0, 0.0), (0.95, 0.95), (None, None)])
def test_a_confidence_is_taken_as_it_stands(value: Any, confidence: float | None) -> None:
    assert two_rows(predicted_conf=value)[1].confidence == confidence


@pytest.mark.parametrize("text", ["0,95", "0·95", "0. 95", "0:95", "1 %", "1％", "1/10", "1 out of 10", "1e-3", "0.xx"])
@pytest.mark.parametrize("valid", [True, None])
def test_a_reading_that_is_none_does_not_override_the_files_own(text: str, valid: bool | None) -> None:
    answer = answer_of(raw_response=f"LABEL=PASS\nCONF={text}\nRATIONALE=", format_valid=valid)
    assert (answer.label, answer.confidence) == (Label.PASS, 0.95)
    # 0.5 is what the study writes for confidences that it could not read.
    doubtful = answer_of(raw_response=f"LABEL=PASS\nCONF={text}\nRATIONALE=", format_valid=False, predicted_conf=0.5)
    assert (doubtful.label, doubtful.confidence) == (Label.PASS, None)


@pytest.mark.parametrize(
    "text", ["LABEL=SUPPORTS or REFUTES or NOT ENOUGH INFO", "LABEL=PASS/FAIL/NA", "<think>LABEL=FAIL"]
)
def test_what_is_no_verdict_is_none_of_the_study_either(text: str) -> None:
    answer = answer_of(raw_response=text)
    assert (answer.label, answer.confidence, answer.validity) == (None, None, Validity.NONE)


KEYS = {"id": 7, "golden_label": "REFUTES", "predicted_label": "FAIL"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"x\.json: neither candor's .* not JSON"),
        ("[]", r"a JSON object with a list \"results\""),
        ('{"results": {}}', "a list"),
        (json.dumps({"results": [5]}), r"results\[0\]: not a JSON object"),
        (json.dumps({"results": [{"id": 1}]}), r"results\[0\]: the key 'golden_label' is missing"),
        (json.dumps({"results": [KEYS, KEYS | {"id": "7"}]}), r"results\[1\]: id '7' occurs twice"),
        (json.dumps({"results": [KEYS | {"predicted_conf": True}]}), "predicted_conf is True, not a number"),
        (json.dumps({"results": [KEYS | {"predicted_conf": "0.5"}]}), "predicted_conf is '0.5'"),
        (json.dumps({"results": [KEYS | {"format_valid": 1}]}), "format_valid is 1, not true or false"),
    ],
)
def test_files_that_cannot_be_used(text: str, words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        parse_study(text, "x.json")
