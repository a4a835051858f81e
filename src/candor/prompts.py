"""Prompt templates, how an example becomes a prompt, and how an answer is read.

A template is named and hashed: the hash covers every word that a model sees, so two prediction files with the
same hash were made with the same prompt. Comparing files with different hashes is refused elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final

from candor.errors import PromptError
from candor.types import LABELS, Example, Label, Validity

LABEL_ANCHOR: Final = "LABEL="
"""Text after which a label stands, in every answer form."""

CONFIDENCES: Final[tuple[float, ...]] = tuple(i / 100 for i in range(101))
"""Confidences that an answer can state: 0.00, 0.01, ..., 1.00."""


@dataclass(frozen=True, slots=True)
class Template:
    """A named prompt.

    Attributes:
        name: how recipes and prediction files call it.
        instructions: what comes before the first claim; ``""`` for none.
        claim: line for the claim, with ``{claim}``.
        evidence: line before the evidence, with ``{evidence}``.
        item: one evidence sentence, with ``{number}`` and ``{sentence}``.
        separator: between evidence sentences.
        no_evidence: stands for the evidence when none is shown.
        ending: last words of the prompt; the answer follows directly.
        answer: form of the answer, with ``{label}`` and ``{confidence}``, and with ``{reasoning}`` in front where a
            model may reason first.
    """

    name: str
    instructions: str
    claim: str
    evidence: str
    item: str
    separator: str
    no_evidence: str
    ending: str
    answer: str

    @property
    def reasons(self) -> bool:
        """Whether it asks for reasoning before the answer."""
        return "{reasoning}" in self.answer

    @property
    def sha256(self) -> str:
        """Hex SHA-256 over every part of the template but its name."""
        parts = (
            self.instructions,
            self.claim,
            self.evidence,
            self.item,
            self.separator,
            self.no_evidence,
            self.ending,
            self.answer,
        )
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()

    def render(self, example: Example, *, max_evidence: int | None = None) -> str:
        """Return the prompt's text for ``example``.

        Args:
            example: claim and evidence; line breaks inside them become spaces, so that data cannot imitate
                the prompt's own lines.
            max_evidence: show at most that many sentences, from the first on.
        """
        shown = example.evidence if max_evidence is None else example.evidence[:max_evidence]
        items = [
            self.item.format(number=number, sentence=_one_line(sentence))
            for number, sentence in enumerate(shown, start=1)
        ]
        evidence = self.separator.join(items) if items else self.no_evidence
        return (
            self.instructions
            + self.claim.format(claim=_one_line(example.claim))
            + self.evidence.format(evidence=evidence)
            + self.ending
        )

    def render_answer(self, label: Label, confidence: float) -> str:
        """Return the answer that states ``label`` with ``confidence`` (two decimals), in the asked form, unreasoned."""
        return self.answer.format(label=label.value, confidence=f"{confidence:.2f}", reasoning="")


def _one_line(text: str) -> str:
    return " ".join(text.split())


_ANSWER_TWO_LINES: Final = "LABEL={label}\nCONF={confidence}"

_TASK: Final = (
    "Decide whether the evidence settles the claim. Use the evidence alone, not what you may know otherwise.\n"
    "The verdict is one of three:\n"
    "PASS: the evidence shows that the claim is true.\n"
    "FAIL: the evidence shows that the claim is false.\n"
    "NA: the evidence does not contain enough information to tell, or there is none.\n"
    "CONF is the probability, from 0.00 to 1.00, that your verdict is the right one: of all answers that you give "
    "with CONF=0.70, seven in ten should turn out right.\n"
)

_VERDICT: Final = Template(
    name="verdict",
    instructions=_TASK + "Answer with exactly these two lines and nothing else:\n"
    "LABEL=PASS or FAIL or NA\n"
    "CONF=a number with two decimals\n\n",
    claim="Claim: {claim}\n",
    evidence="Evidence:\n{evidence}\n",
    item="[{number}] {sentence}",
    separator="\n",
    no_evidence="No evidence was given for this claim.",
    ending="\n",
    answer=_ANSWER_TWO_LINES,
)

_TEMPLATES: Final[dict[str, Template]] = {
    template.name: template
    for template in (
        _VERDICT,
        replace(
            _VERDICT,
            name="verdict-rationale",
            instructions=_TASK + "Answer with exactly these three lines and nothing else; leave the last one empty:\n"
            "LABEL=PASS or FAIL or NA\n"
            "CONF=a number with two decimals\n"
            "RATIONALE=\n\n",
            answer=_ANSWER_TWO_LINES + "\nRATIONALE=",
        ),
        Template(
            name="sandbox",
            instructions="",
            claim="Claim: {claim}\n",
            evidence="Evidence: {evidence}\n",
            item="[{number}] {sentence}",
            separator=" ",
            no_evidence="none was given.",
            ending="Answer:\n",
            answer=_ANSWER_TWO_LINES,
        ),
        replace(
            _VERDICT,
            name="verdict-reasoned",
            instructions=_TASK + "First weigh claim and evidence in a few sentences. Then, as the last thing that you "
            "write, give the verdict in exactly these two lines:\n"
            "LABEL=PASS or FAIL or NA\n"
            "CONF=a number with two decimals\n\n",
            answer="{reasoning}" + _ANSWER_TWO_LINES,
        ),
    )
}


def names() -> tuple[str, ...]:
    """Names of all templates."""
    return tuple(_TEMPLATES)


def get(name: str) -> Template:
    """Return the template called ``name``.

    Raises:
        PromptError: there is none; names those there are.
    """
    try:
        return _TEMPLATES[name]
    except KeyError:
        raise PromptError(f"no prompt template {name!r}; there are: {', '.join(_TEMPLATES)}") from None


def get_direct(name: str) -> Template:
    """Return the template called ``name``, for a place where the answer is read right behind the prompt.

    Raises:
        PromptError: there is none, or it asks for reasoning first.
    """
    template = get(name)
    if template.reasons:
        direct = ", ".join(other for other in names() if not get(other).reasons)
        raise PromptError(
            f"prompt template {name!r} asks for reasoning first, and there is no room for it here; take {direct}"
        )
    return template


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
