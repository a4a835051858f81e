from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.errors import PromptError
from candor.prompts.answers import parse
from candor.prompts.own import template_from_text
from candor.prompts.templates import Template
from candor.types import Example, Label, Validity

TEXT = "Is it shown? {not a place}\nClaim: {claim}\nEvidence: {evidence}\nAnswer:\n"


def example(claim: str = "A {b}.", *evidence: str) -> Example:
    return Example("1", "mine", claim, evidence, Label.NA, "g")


def test_a_text_becomes_a_prompt() -> None:
    shown = template_from_text("mine", TEXT).render(example("A {b}.", "One.", "Two."))
    assert shown == "Is it shown? {not a place}\nClaim: A {b}.\nEvidence: [1] One.\n[2] Two.\nAnswer:\n"


def test_without_evidence_the_words_for_that_stand_there() -> None:
    template = template_from_text("mine", TEXT, no_evidence="(none)")
    assert "Evidence: (none)\n" in template.render(example())


@given(before=st.text(max_size=30), between=st.text(max_size=30), behind=st.text(max_size=30))
def test_whatever_stands_around_the_places_stays_as_it_is(before: str, between: str, behind: str) -> None:
    text = f"{before}{{claim}}{between}{{evidence}}{behind}"
    if text.count("{claim}") != 1 or text.count("{evidence}") != 1:
        return
    shown = template_from_text("mine", text).render(example("C", "E"))
    assert shown == f"{before}C{between}[1] E{behind}"


def test_a_form_of_ones_own_is_written_and_read() -> None:
    template = template_from_text("mine", TEXT, answer="LABEL={label}; CONF={confidence}.")
    said = template.render_answer(Label.FAIL, 0.5)
    assert said == "LABEL=FAIL; CONF=0.50."
    assert parse(said, template).validity is Validity.CLEAN
    assert template_from_text("mine", TEXT, answer="{reasoning}LABEL={label}\nCONF={confidence}").reasons


@pytest.mark.parametrize(
    "text",
    ["True?\nEvidence: {evidence}\nClaim: {claim}\nSay.\n", "True?\nEvidence: {evidence} Claim: {claim}\nSay.\n"],
)
def test_the_evidence_may_stand_first(text: str) -> None:
    template = template_from_text("mine", text, separator=" ")
    shown = template.render(example("C {evidence}", "One.", "Two."))
    assert shown == text.replace("{claim}", "C {evidence}", 1).replace("{evidence}", "[1] One. [2] Two.", 1)
    assert (template.instructions, template.ending) == ("True?\n", "Say.\n")
    turned = dataclasses.replace(template, evidence_first=False)
    assert turned.sha256 != template.sha256
    assert Template("mine", **template.words()) == template
    assert "evidence_first" not in turned.words()


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("{evidence}", {}, r"\{claim\} stands in it 0 times"),
        ("{claim} {claim} {evidence}", {}, r"\{claim\} stands in it 2 times"),
        (TEXT, {"answer": "{label} {confidence}"}, "no form of an answer"),
        (TEXT, {"answer": "CONF={confidence} LABEL={label}"}, "no form of an answer"),
        (TEXT, {"item": "{sentence} {other}"}, "item"),
        (TEXT, {"item": "- "}, "item"),
    ],
)
def test_what_is_no_prompt_says_why(text: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(PromptError, match=words):
        template_from_text("mine", text, **options)
