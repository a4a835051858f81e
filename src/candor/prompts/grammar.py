"""The answer grammar: every answer in the asked form, as tokens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from candor.errors import ModelError
from candor.prompts.answers import CONFIDENCES, LABEL_ANCHOR
from candor.prompts.chat import end_of_turn, frame_of, stop_tokens
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
        other_ends: further tokens that end an answer just as well. A model may name several, of which a chat model
            is used to one.
    """

    answers: tuple[tuple[int, ...], ...]
    label_start: tuple[int, ...]
    label_end: tuple[int, ...]
    closing: tuple[int, ...]
    other_ends: tuple[int, ...] = ()

    @property
    def longest(self) -> int:
        """Tokens of the longest answer."""
        return max(map(len, self.answers))

    @property
    def longest_behind_label(self) -> int:
        """Most tokens that an answer has behind its label."""
        return max(len(answer) - end for answer, end in zip(self.answers, self.label_end, strict=True))


def answer_grammar(template: Template, tokenizer: Any, named_ends: Collection[int] = ()) -> AnswerGrammar:
    """Tokenise all answers of a template, for any tokenizer.

    Args:
        template: gives the form of the answer.
        tokenizer: a Hugging Face tokenizer.
        named_ends: tokens that end an answer according to the model, beside those that the tokenizer knows.

    Raises:
        ModelError: there is no token that ends an answer, or the tokenizer loses something of an answer.
    """
    ends = stop_tokens(tokenizer, named_ends)
    end = _usual_end(template, tokenizer)
    if end not in ends:
        end = min(ends)
    answers, label_ends, closing = [], [], []
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
            label_ends.append(tokens_covering(tokenizer, tokens, text.index(label_text) + len(label_text)))
            stated = f"{confidence:.2f}"
            closing.append(tokens_covering(tokenizer, tokens, text.rindex(stated) + len(stated)))
    start = common_prefix_length(answers[:: len(CONFIDENCES)])
    others = tuple(sorted(ends - {end}))
    return AnswerGrammar(tuple(answers), (start,) * len(answers), tuple(label_ends), tuple(closing), others)


def _usual_end(template: Template, tokenizer: Any) -> int | None:
    """The token that a model ends an answer with: that of a turn in a chat, else that of a text."""
    turn = end_of_turn(tokenizer) if frame_of(template.chat, tokenizer).rendered else None
    return getattr(tokenizer, "eos_token_id", None) if turn is None else turn
