"""Prompt templates, and how an example becomes a prompt.

A template is named and hashed: the hash covers every word that a model sees, so two prediction files with the
same hash were made with the same prompt. Comparing files with different hashes is refused elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from candor.errors import PromptError
from candor.prompts.chat import ChatSettings
from candor.types import Example, Label


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
        evidence_first: whether the evidence stands before the claim.
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
    evidence_first: bool = False

    @property
    def chat(self) -> ChatSettings:
        """How a model's chat template is put around it: as usual, unless :func:`in_chat` says otherwise."""
        return ChatSettings()

    @property
    def unusual_chat(self) -> dict[str, Any] | None:
        """The chat settings as JSON values, where they are not the usual ones."""
        return None if self.chat == ChatSettings() else self.chat.as_json()

    @property
    def reasons(self) -> bool:
        """Whether it asks for reasoning before the answer."""
        return "{reasoning}" in self.answer

    def words(self) -> dict[str, Any]:
        """Every part but the name, as JSON holds it; the usual order of claim and evidence goes without saying."""
        words = {part.name: getattr(self, part.name) for part in fields(Template) if part.name != "name"}
        if not self.evidence_first:
            del words["evidence_first"]
        return words

    @property
    def sha256(self) -> str:
        """Hex SHA-256 over every part but the name, and over an order and chat settings that are not the usual."""
        parts = [
            self.instructions,
            self.claim,
            self.evidence,
            self.item,
            self.separator,
            self.no_evidence,
            self.ending,
            self.answer,
        ]
        if self.evidence_first:
            parts.append("evidence first")
        if self.unusual_chat is not None:
            parts.append(json.dumps(self.unusual_chat, sort_keys=True))
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
            self.item.format(number=number, sentence=one_line(sentence))
            for number, sentence in enumerate(shown, start=1)
        ]
        evidence = self.separator.join(items) if items else self.no_evidence
        lines = [self.claim.format(claim=one_line(example.claim)), self.evidence.format(evidence=evidence)]
        if self.evidence_first:
            lines.reverse()
        return self.instructions + "".join(lines) + self.ending

    def render_answer(self, label: Label, confidence: float) -> str:
        """Return the answer that states ``label`` with ``confidence`` (two decimals), in the asked form, unreasoned."""
        return self.answer.format(label=label.value, confidence=f"{confidence:.2f}", reasoning="")


@dataclass(frozen=True, slots=True)
class FramedTemplate(Template):
    """A prompt for which a recipe says how a model's chat template is put around it.

    Attributes:
        settings: say how.
    """

    settings: ChatSettings = field(default_factory=ChatSettings)

    @property
    def chat(self) -> ChatSettings:
        """The recipe's settings."""
        return self.settings


def in_chat(template: Template, settings: ChatSettings) -> Template:
    """The template with chat settings; the hash is another where these are not the usual ones."""
    if settings == template.chat:
        return template
    return FramedTemplate(template.name, **template.words(), settings=settings)


def one_line(text: str) -> str:
    """The text with every run of white space as one space, as prompts show it."""
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
        replace(
            _VERDICT,
            name="verdict-short",
            instructions="Does the evidence show that the claim is true (PASS), that it is false (FAIL), or does it "
            "not say (NA)?\nAnswer with LABEL, which is PASS, FAIL or NA, and CONF, the probability that it is "
            "right.\n\n",
            evidence="Evidence: {evidence}\n",
            separator=" ",
            ending="",
        ),
        # The evidence before the claim and the question behind both: the claim's tokens can look at the evidence, and
        # the question's compare the two, which a small model has few others for. The form is not asked for: this is
        # for models that are taught it.
        replace(
            _VERDICT,
            name="evidence-first",
            instructions="",
            evidence="Evidence: {evidence}\n",
            item="{sentence}",
            separator=" ",
            ending="Does the evidence support the claim (PASS), refute it (FAIL), or not say (NA)?\n",
            evidence_first=True,
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
