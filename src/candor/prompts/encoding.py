"""From prompts and answers to token ids and back: chat templates, cutting to fit, places in a text as tokens."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from candor.errors import PromptError
from candor.prompts.chat import frame_of
from candor.prompts.control import disarm
from candor.prompts.templates import Template, one_line
from candor.types import Example, Label

BYTES_OF_A_SIGN: Final = 4
"""Most bytes that UTF-8 spends on one character."""

CUT_MARK: Final = " [...]"
"""Stands behind a sentence that is cut short."""

LEAST_CUT: Final = 20
"""Characters of a sentence below which showing it says nothing."""


def prompt_text(template: Template, example: Example, tokenizer: Any, *, max_evidence: int | None = None) -> str:
    """Return the text that is tokenised: the rendered prompt, in the tokenizer's chat template if it has one.

    Raises:
        PromptError: the chat template fails, or something in the example cannot be shown safely.
    """
    text = template.render(disarm(example, tokenizer), max_evidence=max_evidence)
    return frame_of(template.chat, tokenizer).around(text)


def encode_text(tokenizer: Any, text: str, *, rendered: bool = False) -> tuple[int, ...]:
    """Token ids of a prompt's text.

    Args:
        tokenizer: a Hugging Face tokenizer.
        text: the prompt.
        rendered: whether a chat template wrote it, leading special tokens and all; to others the tokenizer's own are
            added.
    """
    ids = tokenizer(text, add_special_tokens=not rendered)["input_ids"]
    end = getattr(tokenizer, "eos_token_id", None)
    # Some tokenizers close every text with an end token, after which nothing can be answered.
    if not rendered and ids and end is not None and ids[-1] == end:
        ids = ids[:-1]
    return tuple(ids)


def prompt_length(template: Template, example: Example, tokenizer: Any) -> int:
    """Tokens of the prompt that shows all of an example's evidence, whether it fits or not."""
    text = prompt_text(template, example, tokenizer)
    return len(encode_text(tokenizer, text, rendered=frame_of(template.chat, tokenizer).rendered))


def rendered_sha256(template: Template, tokenizer: Any) -> str:
    """Hex SHA-256 over the prompt as this model is shown it: words, chat template, date and special tokens.

    Two models with the same hash were asked in exactly the same form.
    """
    example = Example("1", "claims", "A claim.", ("Some evidence.",), Label.NA, "1")
    frame = frame_of(template.chat, tokenizer)
    text = frame.around(template.render(example))
    leading = () if frame.rendered else tokenizer.convert_ids_to_tokens(list(encode_text(tokenizer, "")))
    parts = [template.answer, text, *map(str, leading)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# -------------------------------------------------------------------------------------------- cutting to fit


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as token ids.

    Attributes:
        tokens: the ids.
        evidence_dropped: evidence sentences left out, from the end, to make it fit.
        evidence_cut: characters cut from the end of the one sentence that is shown, to make it fit; 0 where sentences
            stand whole.
    """

    tokens: tuple[int, ...]
    evidence_dropped: int
    evidence_cut: int = 0


def encode(template: Template, example: Example, tokenizer: Any, *, max_tokens: int) -> EncodedPrompt:
    """Render and tokenise, leaving out whole evidence sentences from the end until the prompt fits.

    Where not even the first sentence fits, it is cut to the room, at a space if there are any, with a mark. The claim
    and the form are never cut.

    Args:
        template: the prompt.
        example: claim and evidence.
        tokenizer: a Hugging Face tokenizer.
        max_tokens: longest prompt in tokens.

    Raises:
        PromptError: the prompt does not fit even without evidence.
    """
    example = disarm(example, tokenizer)
    frame = frame_of(template.chat, tokenizer)

    def tokens_with(evidence: tuple[str, ...]) -> tuple[int, ...]:
        text = frame.around(template.render(replace(example, evidence=evidence)))
        return encode_text(tokenizer, text, rendered=frame.rendered)

    def fits(evidence: tuple[str, ...]) -> bool:
        return len(tokens_with(evidence)) <= max_tokens

    evidence = example.evidence
    tokens = tokens_with(evidence)
    if len(tokens) <= max_tokens:
        return EncodedPrompt(tokens, 0)
    # More text makes a longer prompt, so what fits is found by doubling and halving: the work grows with the text, not
    # with its square. Only the words that stand for no evidence may be longer than a first sentence.
    shown = _most(lambda count: fits(evidence[:count]), least=1, most=len(evidence) - 1)
    if shown is None and fits(()):
        shown = 0
    cut = 0
    if evidence and not shown:
        whole = one_line(evidence[0])

        def cut_to(characters: int) -> tuple[str, ...]:
            short = replace(example, evidence=(whole[:characters].rstrip() + CUT_MARK,))
            return disarm(short, tokenizer).evidence  # a word cut short can spell a token

        kept = _most(lambda count: fits(cut_to(count)), least=LEAST_CUT, most=len(whole) - 1)
        if kept is not None:
            space = whole.rfind(" ", LEAST_CUT, kept + 1)
            if space > kept // 2 and fits(cut_to(space)):  # scripts without spaces are cut anywhere
                kept = space
            evidence, shown, cut = cut_to(kept), 1, len(whole) - kept
    if shown is None:
        raise PromptError(
            f"example {example.id!r} of {example.dataset!r}: the prompt has {len(tokens_with(()))} tokens without any "
            f"evidence and at most {max_tokens} fit; take a model with a longer context or a shorter template"
        )
    return EncodedPrompt(tokens_with(evidence[:shown]), len(example.evidence) - shown, cut)


def _most(holds: Callable[[int], bool], *, least: int, most: int) -> int | None:
    """Largest number from ``least`` to ``most`` up to which something holds; ``None`` for none."""
    found, ahead = None, least
    while ahead <= most and holds(ahead):
        found, ahead = ahead, 2 * ahead
    low, high = least - 1 if found is None else found, min(ahead, most + 1)
    while found is not None and high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            found = low = middle
        else:
            high = middle
    return found


# --------------------------------------------------------------------------------------- answers as tokens


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
