"""Answers are read without ever failing, and the last label counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.prompts import templates
from candor.prompts.answers import CONFIDENCES, Answer, label_position, parse
from candor.types import LABELS, Label, Validity

VERDICT = templates.get("verdict")
RATIONALE = templates.get("verdict-rationale")
REASONED = templates.get("verdict-reasoned")
TEMPLATES = [templates.get(name) for name in templates.names()]


@pytest.mark.parametrize("template", TEMPLATES, ids=templates.names())
def test_every_rendered_answer_is_read_back_clean(template: templates.Template) -> None:
    for label in LABELS:
        for confidence in CONFIDENCES:
            answer = parse(template.render_answer(label, confidence), template)
            assert answer == Answer(label, confidence, Validity.CLEAN)


@pytest.mark.parametrize(
    ("text", "label", "confidence"),
    [
        ("LABEL=NA\nCONF=0.4", Label.NA, 0.4),
        ("LABEL=NA", Label.NA, None),
        ("LABEL=NA CONF=0.40", Label.NA, 0.4),
        ("LABEL=NA\nCONF=0.400", Label.NA, 0.4),
        ("LABEL=NA\nCONF=1.01", Label.NA, None),
        ("LABEL=NA\nCONF=85", Label.NA, None),
        ("LABEL=NA\nCONF=1%", Label.NA, None),
        ("LABEL=NA\nCONF=0.9 %", Label.NA, None),
        ("LABEL=NA\nCONF=0.1.2", Label.NA, None),
        ("LABEL=NA\nCONF=0.9.", Label.NA, 0.9),
        ("LABEL=NA\nCONF=-0.5", Label.NA, None),
        ("LABEL=NA\nCONF=nan", Label.NA, None),
        ("LABEL: <FAIL>\nCONFIDENCE = <1>", Label.FAIL, 1.0),
        ("I think\nLABEL=PASS\nCONF=0.70", Label.PASS, 0.7),
        ("LABEL=PASS\nCONF=0.70\nand so on", Label.PASS, 0.7),
        ("LABEL=PASS\nCONF=0.10\nno: LABEL=FAIL\nCONF=0.90", Label.FAIL, 0.9),
        ("CONF=0.90\nLABEL=FAIL", Label.FAIL, None),
        ("LABEL=PASS\nCONF=0.70\nRATIONALE=", Label.PASS, 0.7),
    ],
)
def test_readable_answers(text: str, label: Label, confidence: float | None) -> None:
    assert parse(text, VERDICT) == Answer(label, confidence, Validity.READABLE)


@pytest.mark.parametrize("text", ["", "PASS", "LABEL=PASSED", "LABEL=pass", "LABEL=\nPASS", "CONF=0.50", "LABEL=MAYBE"])
def test_without_a_label_there_is_no_answer_and_no_na(text: str) -> None:
    assert parse(text, VERDICT) == Answer(None, None, Validity.NONE)


def test_the_form_is_that_of_the_template() -> None:
    assert parse("LABEL=NA\nCONF=0.40\nRATIONALE=", RATIONALE).validity is Validity.CLEAN
    assert parse("LABEL=NA\nCONF=0.40\nRATIONALE=because", RATIONALE).validity is Validity.READABLE
    assert parse("LABEL=NA\nCONF=0.40", RATIONALE).validity is Validity.READABLE
    assert parse("\n LABEL=NA\nCONF=0.40 \n", VERDICT).validity is Validity.CLEAN


def test_reasoning_may_come_first_where_it_is_asked_for() -> None:
    thought = "It is not LABEL=PASS\nCONF=0.90.\n\nRather:\n"
    assert parse(thought + "LABEL=NA\nCONF=0.40\n", REASONED) == Answer(Label.NA, 0.4, Validity.CLEAN)
    assert parse(thought + "LABEL=NA\nCONF=0.40", VERDICT) == Answer(Label.NA, 0.4, Validity.READABLE)
    assert parse(thought + "LABEL=NA\nCONF=0.40, I think", REASONED).validity is Validity.READABLE
    assert parse(thought + "LABEL=NA", REASONED).validity is Validity.READABLE


pieces = st.sampled_from(
    [
        "LABEL",
        "=",
        " ",
        "PASS",
        "NA",
        "FAIL",
        "\n",
        "CONF",
        "0.50",
        "1",
        ".",
        "%",
        "<",
        ">",
        "9" * 400,
        "-",
        "e9",
        "LABEL=NA",
    ]
)


@given(st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join)), st.sampled_from(TEMPLATES))
def test_reading_never_fails(text: str, template: templates.Template) -> None:
    answer = parse(text, template)
    assert (answer.label is None) == (answer.validity is Validity.NONE) == (label_position(text) is None)
    assert answer.confidence is None or 0.0 <= answer.confidence <= 1.0
    assert answer.label is not None or answer.confidence is None
    if answer.label is not None:
        position = label_position(text)
        assert position is not None
        assert text[slice(*position)] == answer.label.value
    if answer.validity is Validity.CLEAN:
        assert answer.label is not None
        assert answer.confidence is not None
        written = template.render_answer(answer.label, answer.confidence)
        assert text.strip().endswith(written) if template is REASONED else text.strip() == written
