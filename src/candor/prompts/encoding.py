"""From prompts and answers to token ids and back: chat templates, cutting to fit, places in a text as tokens."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from candor.errors import PromptError
from candor.prompts.templates import Template
from candor.types import Example

BYTES_OF_A_SIGN: Final = 4
"""Most bytes that UTF-8 spends on one character."""


def prompt_text(template: Template, example: Example, tokenizer: Any, *, max_evidence: int | None = None) -> str:
    """Return the text that is tokenised: the rendered prompt, in the tokenizer's chat template if it has one.

    Raises:
        PromptError: the chat template fails.
    """
    text = template.render(disarm(example, tokenizer), max_evidence=max_evidence)
    if not getattr(tokenizer, "chat_template", None):
        return text
    try:
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
    except Exception as error:
        # Chat templates are programs that come with a model; whatever they raise, the fix is the same.
        raise PromptError(f"the tokenizer's chat template failed: {type(error).__name__}: {error}") from error
    return str(rendered)


def disarm(example: Example, tokenizer: Any) -> Example:
    """Break up special tokens spelled out in claim or evidence, so that data cannot end a turn or begin another."""
    special = [token for token in getattr(tokenizer, "all_special_tokens", ()) if len(token) > 1]

    def harmless(text: str) -> str:
        for token in special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    if not any(token in text for token in special for text in (example.claim, *example.evidence)):
        return example
    return replace(example, claim=harmless(example.claim), evidence=tuple(map(harmless, example.evidence)))


def encode_text(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Token ids of a prompt's text, with the tokenizer's own leading special tokens unless the text has them."""
    # A chat template writes its special tokens itself; adding them again would double the first one.
    special = not getattr(tokenizer, "chat_template", None)
    ids = tokenizer(text, add_special_tokens=special)["input_ids"]
    end = getattr(tokenizer, "eos_token_id", None)
    # Some tokenizers close every text with an end token, after which nothing can be answered.
    if special and ids and end is not None and ids[-1] == end:
        ids = ids[:-1]
    return tuple(ids)


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as token ids.

    Attributes:
        tokens: the ids.
        evidence_dropped: evidence sentences left out, from the end, to make it fit.
    """

    tokens: tuple[int, ...]
    evidence_dropped: int


def encode(template: Template, example: Example, tokenizer: Any, *, max_tokens: int) -> EncodedPrompt:
    """Render and tokenise, leaving out whole evidence sentences from the end until the prompt fits.

    The claim and the form are never cut.

    Args:
        template: the prompt.
        example: claim and evidence.
        tokenizer: a Hugging Face tokenizer.
        max_tokens: longest prompt in tokens.

    Raises:
        PromptError: the prompt does not fit even without evidence.
    """

    def tokens_with(shown: int) -> tuple[int, ...]:
        return encode_text(tokenizer, prompt_text(template, example, tokenizer, max_evidence=shown))

    total = len(example.evidence)
    tokens = tokens_with(total)
    if len(tokens) <= max_tokens:
        return EncodedPrompt(tokens, 0)
    for shown in reversed(range(total)):
        tokens = tokens_with(shown)
        if len(tokens) <= max_tokens:
            return EncodedPrompt(tokens, total - shown)
    raise PromptError(
        f"example {example.id!r} of {example.dataset!r}: the prompt has {len(tokens)} tokens without any evidence "
        f"and at most {max_tokens} fit; take a model with a longer context or a shorter template"
    )


@functools.lru_cache(maxsize=2**16)  # the same few labels are encoded behind every completion of every step
def encode_continuation(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Token ids of a text as it stands at the start of an answer, behind a prompt's last line break.

    Tokenizers that put a space in front of the first word tokenise an answer on its own differently from one that
    follows a line break, so it is encoded behind a line break, which is then taken off.
    """
    anchor = tokenizer("\n", add_special_tokens=False)["input_ids"]
    ids = tokenizer("\n" + text, add_special_tokens=False)["input_ids"]
    if ids[: len(anchor)] != anchor:  # the line break melts into the text: then the text stands on its own
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    return tuple(ids[len(anchor) :])


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Text of an answer's tokens, without special tokens and with spaces left as they are."""
    text = tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text)


def tokens_covering(tokenizer: Any, tokens: Sequence[int], characters: int) -> int:
    """Smallest n such that the text of ``tokens[:n]`` has at least ``characters`` characters."""
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high) // 2
        if len(decode(tokenizer, tokens[:middle])) >= characters:
            high = middle
        else:
            low = middle + 1
    return low


def tokens_within(tokenizer: Any, tokens: Sequence[int], characters: int) -> int:
    """Largest n such that the text of ``tokens[:n]`` has at most ``characters`` characters."""
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high + 1) // 2
        if len(decode(tokenizer, tokens[:middle])) <= characters:
            low = middle
        else:
            high = middle - 1
    # Some tokenizers show each byte of an unfinished sign as a sign of its own, so the text grows shorter when the sign
    # is complete; the search may have stopped inside such a sign, or before several.
    ahead = low + 1
    while ahead <= min(low + BYTES_OF_A_SIGN, len(tokens)):
        if len(decode(tokenizer, tokens[:ahead])) <= characters:
            low = ahead
        ahead += 1
    return low


def common_prefix_length(sequences: Sequence[tuple[int, ...]]) -> int:
    """Number of leading tokens that all sequences share; 0 for no sequences.

    >>> common_prefix_length([(1, 2, 3), (1, 2, 4, 5)])
    2
    """
    if not sequences:
        return 0
    first, last = min(sequences), max(sequences)
    length = 0
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        length += 1
    return length
