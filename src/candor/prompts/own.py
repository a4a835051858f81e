"""Prompt templates of one's own, from a text with ``{claim}`` and ``{evidence}`` in it."""

from __future__ import annotations

import re
from typing import Final

from candor.errors import PromptError
from candor.prompts.templates import Template

TWO_LINES: Final = "LABEL={label}\nCONF={confidence}"
"""The usual form of an answer."""

_ANSWER: Final = re.compile(r"(\{reasoning\})?[^{}]*LABEL=\{label\}[^{}]*CONF=\{confidence\}[^{}]*")
_ITEM: Final = re.compile(r"[^{}]*(\{number\}[^{}]*)?\{sentence\}[^{}]*")


def template_from_text(
    name: str,
    text: str,
    *,
    answer: str = TWO_LINES,
    item: str = "[{number}] {sentence}",
    separator: str = "\n",
    no_evidence: str = "No evidence was given for this claim.",
) -> Template:
    r"""A template from its text.

    ``{claim}`` and ``{evidence}`` stand there once each, in either order. What is before the line of the first are the
    instructions, which all prompts share, and what is behind the line of the second ends the prompt. Other braces are
    text.

    Args:
        name: how prediction files call it.
        text: the prompt. It should ask for the form that ``answer`` has.
        answer: ``LABEL={label}`` and behind it ``CONF={confidence}``, with ``{reasoning}`` in front where a model may
            reason first.
        item: one evidence sentence, with ``{sentence}`` and perhaps ``{number}``.
        separator: between evidence sentences.
        no_evidence: stands for the evidence when none is shown.

    Raises:
        PromptError: something is missing, twice or in no order; says what.

    >>> template = template_from_text("mine", "True?\nClaim: {claim}\nEvidence: {evidence}\nAnswer:\n")
    >>> template.instructions, template.claim, template.evidence, template.ending
    ('True?\n', 'Claim: {claim}\n', 'Evidence: {evidence}\n', 'Answer:\n')
    """
    for place in ("{claim}", "{evidence}"):
        if text.count(place) != 1:
            raise PromptError(f"{name}: {place} stands in it {text.count(place)} times; it has to stand there once")
    if not _ANSWER.fullmatch(answer):
        raise PromptError(
            f"{name}: answer: {answer!r} is no form of an answer; it has LABEL={{label}}, then CONF={{confidence}}, "
            "and {reasoning}, if at all, in front"
        )
    if not _ITEM.fullmatch(item):
        raise PromptError(f"{name}: item: {item!r} needs {{sentence}} once, and {{number}} at most once before it")
    first, second = sorted(("{claim}", "{evidence}"), key=text.index)
    first_from = text.rfind("\n", 0, text.index(first)) + 1
    second_from = max(text.rfind("\n", 0, text.index(second)) + 1, text.index(first) + len(first))
    newline = text.find("\n", text.index(second))
    ending_from = len(text) if newline < 0 else newline + 1
    lines = {
        first: _format_of(text[first_from:second_from], first),
        second: _format_of(text[second_from:ending_from], second),
    }
    return Template(
        name=name,
        instructions=text[:first_from],
        claim=lines["{claim}"],
        evidence=lines["{evidence}"],
        item=item,
        separator=separator,
        no_evidence=no_evidence,
        ending=text[ending_from:],
        answer=answer,
        evidence_first=first == "{evidence}",
    )


def _format_of(text: str, place: str) -> str:
    """The text as ``str.format`` takes it: braces but for those of the place are text."""
    before, _, behind = text.partition(place)
    return _braced(before) + place + _braced(behind)


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
