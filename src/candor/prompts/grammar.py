"""The answer grammar: every answer in the asked form, as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from candor.errors import ModelError
from candor.prompts.answers import CONFIDENCES, LABEL_ANCHOR
from candor.prompts.encoding import common_prefix_length, decode, encode_continuation, tokens_covering
from candor.prompts.templates import Template
from candor.types import LABELS


@dataclass(frozen=True, slots=True)
class AnswerGrammar:
    """Every answer in the asked form, tokenised in context and closed with the end token.

    Attributes:
        answers: 3 x 101 token sequences; answer ``101 * k + i`` states label k with confidence i / 100.
        label_start: for each answer, index of the first token that tells its label from the others.
        label_end: for each answer, index of the first token behind its label.
        closing: for each answer, index of the first token behind its confidence. From there on stand words of the
            template, if it has any there, and the end token: they say nothing but that the confidence is complete.
    """

    answers: tuple[tuple[int, ...], ...]
    label_start: tuple[int, ...]
    label_end: tuple[int, ...]
    closing: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest answer."""
        return max(map(len, self.answers))

    @property
    def longest_behind_label(self) -> int:
        """Most tokens that an answer has behind its label."""
        return max(len(answer) - end for answer, end in zip(self.answers, self.label_end, strict=True))


def answer_grammar(template: Template, tokenizer: Any) -> AnswerGrammar:
    """Tokenise all answers of a template, for any tokenizer.

    Raises:
        ModelError: the tokenizer has no end token, or loses something of an answer.
    """
    end = getattr(tokenizer, "eos_token_id", None)
    if end is None:
        raise ModelError("the tokenizer has no end-of-text token (eos_token), so no answer can end; set one")
    answers, ends, closing = [], [], []
    for label in LABELS:
        label_text = LABEL_ANCHOR + label.value
        for confidence in CONFIDENCES:
            text = template.render_answer(label, confidence)
            tokens = encode_continuation(tokenizer, text)
            written = decode(tokenizer, tokens)
            if written != text:
                raise ModelError(
                    f"the tokenizer cannot write the answer {text!r}, only {written!r}; take one that keeps letters, "
                    "digits, dots and line breaks"
                )
            answers.append((*tokens, end))
            ends.append(tokens_covering(tokenizer, tokens, text.index(label_text) + len(label_text)))
            stated = f"{confidence:.2f}"
            closing.append(tokens_covering(tokenizer, tokens, text.rindex(stated) + len(stated)))
    start = common_prefix_length(answers[:: len(CONFIDENCES)])
    return AnswerGrammar(tuple(answers), (start,) * len(answers), tuple(ends), tuple(closing))
