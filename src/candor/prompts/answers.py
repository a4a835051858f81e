"""What an answer can say, and how one is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from candor.prompts.templates import Template
from candor.types import LABELS, Label, Validity

LABEL_ANCHOR: Final = "LABEL="
"""Text after which a label stands, in every answer form."""

CONFIDENCES: Final[tuple[float, ...]] = tuple(i / 100 for i in range(101))
"""Confidences that an answer can state: 0.00, 0.01, ..., 1.00."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What could be read from an answer's text.

    Attributes:
        label: the stated label, or ``None``.
        confidence: the stated confidence in [0, 1], or ``None``.
        validity: ``clean`` if the text has exactly the asked form, ``readable`` if a label can be read all the
            same, ``none`` if not.
    """

    label: Label | None
    confidence: float | None
    validity: Validity


_LABEL_WORDS: Final = "|".join(label.value for label in LABELS)
_CLEAN_CONFIDENCE: Final = r"(?P<confidence>0\.\d\d|1\.00)"
_LABEL_ANYWHERE: Final = re.compile(rf"LABEL[ \t]*[=:][ \t]*<?(?P<label>{_LABEL_WORDS})\b", re.ASCII)
_CONFIDENCE_ANYWHERE: Final = re.compile(
    r"CONF(?:IDENCE)?[ \t]*[=:][ \t]*<?(?P<confidence>\d{1,9}(?:\.\d{1,9})?)(?![\d.]*\d|[ \t]*%)", re.ASCII
)
_CLEAN: Final[dict[str, re.Pattern[str]]] = {}


def _clean_pattern(form: str) -> re.Pattern[str]:
    if form not in _CLEAN:
        pattern = re.escape(form)
        pattern = pattern.replace(re.escape("{label}"), f"(?P<label>{_LABEL_WORDS})")
        pattern = pattern.replace(re.escape("{confidence}"), _CLEAN_CONFIDENCE)
        pattern = pattern.replace(re.escape("{reasoning}"), "(?s:.*)")
        # Space around the answer is not the model's doing everywhere: chat templates add some.
        _CLEAN[form] = re.compile(rf"\s*{pattern}\s*", re.ASCII)
    return _CLEAN[form]


def parse(text: str, template: Template) -> Answer:
    r"""Read an answer; never raises, whatever the text.

    In an answer that is not clean the last ``LABEL=`` counts (a model that reasons first may mention others before
    its verdict), and the first ``CONF=`` after it; a confidence outside [0, 1] or in per cent is none.

    >>> from candor.prompts.templates import get
    >>> parse("LABEL=NA\nCONF=0.40", get("verdict"))
    Answer(label=<Label.NA: 'NA'>, confidence=0.4, validity=<Validity.CLEAN: 'clean'>)
    >>> parse("I think LABEL = PASS", get("verdict")).validity
    <Validity.READABLE: 'readable'>
    """
    clean = _clean_pattern(template.answer).fullmatch(text)
    if clean is not None:
        return Answer(Label(clean["label"]), float(clean["confidence"]), Validity.CLEAN)
    label_match = _last_label(text)
    if label_match is None:
        return Answer(None, None, Validity.NONE)
    confidence_match = _CONFIDENCE_ANYWHERE.search(text, label_match.end())
    confidence = None if confidence_match is None else float(confidence_match["confidence"])
    if confidence is not None and confidence > 1.0:
        confidence = None
    return Answer(Label(label_match["label"]), confidence, Validity.READABLE)


def label_position(text: str) -> tuple[int, int] | None:
    r"""Where the label that :func:`parse` reads stands, as start and end in characters; ``None`` if there is none.

    >>> label_position("LABEL=NA\nCONF=0.40")
    (6, 8)
    """
    match = _last_label(text)
    return None if match is None else match.span("label")


def _last_label(text: str) -> re.Match[str] | None:
    found = None
    for found in _LABEL_ANYWHERE.finditer(text):  # noqa: B007 - the last one counts
        pass
    return found
