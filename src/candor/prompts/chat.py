"""How a model's chat template frames a prompt: the turn it stands in, a thought that it leaves open, the end of a turn.

A frame is rendered once, around a sign that stands for the prompt, and put around every prompt as it is. So nothing
that a claim says can switch the template (``/no_think``, a closing ``</think>``), and all prompts share their frame.

Verdicts are read right behind the prompt, where a thinking model would think first. Its thought is therefore closed
before it begins, in the family's own way where the template knows one, else by the family's marks:

* templates that take ``enable_thinking`` or ``thinking`` are asked for no thought (Qwen3, Qwen3.5, SmolLM3, GLM-4.5,
  DeepSeek-V3.1), and those that look for ``/no_think`` in the system prompt are told so there (Nemotron);
* a thought that is open all the same is closed (Qwen3-Thinking, the distills of R1, Olmo-Think);
* where the template knows thoughts and opens none, the model would: an empty one is put in (the first R1 distills);
* on gpt-oss' channels the answer begins in the channel ``final``.
"""

from __future__ import annotations

import datetime
import functools
import json
import re
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from candor.errors import ModelError, PromptError

FIXED_DATE: Final = "2026-01-01"
"""The day that templates are told it is: a prompt must be the same tomorrow, or a model is asked what it never saw."""

RESERVED: Final = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "messages",
        "strftime_now",
        "tokenize",
        "tools",
    }
)
"""Names of what a template is rendered with in any case."""

_NO_THINKING: Final = "/no_think"
_SIGN: Final = "candor2prompt"
"""Stands for the prompt while a frame is rendered; letters and a digit, which no template changes."""
_USUAL_TIME_CODES: Final = "YymdeBbAajHIMSpFT"
"""What templates are known to ask for, also where the format is none of the template's own words."""
_TIME_CODES: Final = ("", *"-_0^#")
"""What may stand between ``%`` and the letter by which a template asks a clock for something, as in ``strftime``."""
_TAKES_PARTS: Final = re.compile(r"['\"]type['\"]|\.type\b")
SWITCHES: Final = ("enable_thinking", "thinking")
"""What templates call the switch of a thought."""
_SWITCHES: Final = re.compile(rf"\b(?:{'|'.join(SWITCHES)})\b")


@dataclass(frozen=True, slots=True)
class _Marks:
    """How a family of models writes a thought: ``opening + gap + closing + behind`` is an empty one."""

    opening: str
    gap: str
    closing: str
    behind: str


_THOUGHTS: Final = (
    _Marks("<think>", "\n\n", "</think>", "\n\n"),
    _Marks("<thought>", "\n\n", "</thought>", "\n\n"),
    _Marks("<thinking>", "\n\n", "</thinking>", "\n\n"),
    _Marks("<reasoning>", "\n\n", "</reasoning>", "\n\n"),
    _Marks("<seed:think>", "\n", "</seed:think>", "\n"),
    _Marks("<|begin_of_thought|>", "\n\n", "<|end_of_thought|>", "\n\n"),
    _Marks("<|START_THINKING|>", "", "<|END_THINKING|>", ""),
    _Marks("<|inner_prefix|>", "", "<|inner_suffix|>", ""),
    _Marks("<|channel>thought", "\n", "<channel|>", ""),
    _Marks("[THINK]", "", "[/THINK]", ""),
    _Marks("◁think▷", "", "◁/think▷", ""),
)
_CHANNEL: Final = "<|channel|>"
_FINAL: Final = "<|channel|>final<|message|>"
_TO_FINAL: Final = "<|end|><|start|>assistant<|channel|>final<|message|>"


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How a chat template is rendered.

    Attributes:
        use: whether the tokenizer's chat template, if it has one, is put around prompts at all.
        system: the system prompt; ``None`` for the template's own.
        enable_thinking: leave a thinking model's thought open, for prompts that ask for reasoning.
        kwargs: further variables of the template, as JSON values.
        date: the day that templates are told it is, YYYY-MM-DD.

    Raises:
        ValueError: a variable that is not the template's own, a value that is not JSON, or a date that is none.
    """

    use: bool = True
    system: str | None = None
    enable_thinking: bool = False
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    date: str = FIXED_DATE

    def __post_init__(self) -> None:
        """Refuse what no template could be rendered with."""
        if taken := sorted(RESERVED & set(self.kwargs)):
            raise ValueError(f"chat_template_kwargs: {', '.join(taken)}: set by candor; leave out")
        try:
            json.dumps(self.kwargs, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"chat_template_kwargs: {error}") from error
        try:
            datetime.date.fromisoformat(self.date)
        except ValueError:
            raise ValueError(f"date: {self.date!r} is no date; write YYYY-MM-DD") from None

    @property
    def thinks(self) -> bool:
        """Whether a thought is wanted, by its own setting or as templates call it."""
        return bool(self.kwargs.get("enable_thinking", self.kwargs.get("thinking", self.enable_thinking)))

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values, to be read by :meth:`from_json`."""
        return {
            "use": self.use,
            "system": self.system,
            "enable_thinking": self.enable_thinking,
            "kwargs": dict(self.kwargs),
            "date": self.date,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ChatSettings:
        """Read what :meth:`as_json` wrote."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a prompt's own words.

    Attributes:
        before: text before them.
        after: text behind them, up to where the answer begins.
        strips_left, strips_right: whether the template takes off white space at the prompt's ends.
        rendered: whether a chat template made it; it writes a text's leading special tokens itself.
        thinks: whether a thought may stand in front of the answer.
    """

    before: str = ""
    after: str = ""
    strips_left: bool = False
    strips_right: bool = False
    rendered: bool = False
    thinks: bool = False

    def around(self, text: str) -> str:
        """The prompt with its frame."""
        if self.strips_left:
            text = text.lstrip()
        if self.strips_right:
            text = text.rstrip()
        return self.before + text + self.after

    def thought_end(self, written: str) -> str:
        """What closes the thought that is open behind the prompt and what was written after it; ``""`` for none.

        Args:
            written: the beginning of a completion, control tokens and all.
        """
        return (_thought(self.after + written, "")[0] or "") if self.thinks else ""


NO_FRAME: Final = Frame()
"""Around a plain prompt stands nothing."""

LONGEST_THOUGHT_END: Final = 32
"""Tokens to leave free for closing a thought."""


def frame_of(settings: ChatSettings, tokenizer: Any) -> Frame:
    """The frame of a tokenizer's chat template; an empty one where it has none or none is wanted.

    Raises:
        PromptError: the template fails, changes the prompt, or does not take what the settings ask for.
    """
    source = _source(tokenizer) if settings.use else None
    if source is None:
        if settings.use and (settings.system is not None or settings.thinks or settings.kwargs):
            raise PromptError(
                "prompt.system, prompt.enable_thinking and prompt.chat_template_kwargs: the tokenizer has no chat "
                "template that could take them; leave them out"
            )
        return NO_FRAME
    return _frame(settings, tokenizer, source)


def end_of_turn(tokenizer: Any) -> int | None:
    """The token with which the chat template ends an answer; ``None`` without a template or such a token."""
    source = _source(tokenizer)
    return None if source is None else _end_of_turn(tokenizer, source)


def stop_tokens(tokenizer: Any, named: int | Collection[int] | None = None) -> frozenset[int]:
    """Every token that ends an answer: the tokenizer's, the chat template's, and those that the model names.

    Args:
        tokenizer: a Hugging Face tokenizer.
        named: ``eos_token_id`` of the model's generation settings.

    Raises:
        ModelError: there is none.
    """
    of_model: list[Any] = [named]
    if named is None or isinstance(named, list | tuple | set | frozenset):
        of_model = list(named or ())
    wrong = [token for token in of_model if not isinstance(token, int) or isinstance(token, bool) or token < 0]
    if wrong:
        raise ModelError(
            f"eos_token_id of the model's generation_config.json holds {wrong[0]!r:.40}; it must be the number of a "
            "token, or a list of such"
        )
    ends = {getattr(tokenizer, "eos_token_id", None), end_of_turn(tokenizer), *of_model}
    known = frozenset(int(token) for token in ends if token is not None)
    if not known:
        raise ModelError("the tokenizer has no end-of-text token (eos_token), so no answer can end; set one")
    return known


# ------------------------------------------------------------------------------------------------- rendering


def _source(tokenizer: Any) -> str | None:
    """The chat template that a plain conversation is rendered with."""
    templates = getattr(tokenizer, "chat_template", None)
    if not templates:
        return None
    if isinstance(templates, Mapping):
        if "default" not in templates:
            raise PromptError(
                f"the tokenizer has the chat templates {', '.join(sorted(templates))}, and none is called 'default'; "
                "name one so in its chat_template"
            )
        return str(templates["default"])
    return str(templates).removeprefix("\ufeff")


def _on(day: str, source: str) -> str:
    """A template that is told a fixed day wherever it asks for the time: its clock is replaced by a macro."""
    if "strftime_now" not in source:
        return source
    now = datetime.datetime.fromisoformat(day)
    codes = [f"%{flag}{letter}" for flag in _TIME_CODES for letter in string.ascii_letters]
    usual = {f"%{flag}{letter}" for flag in ("", "-") for letter in _USUAL_TIME_CODES}
    told = {code: now.strftime(code) for code in codes if code in source or code in usual}
    # Two signs stand for one, which is no code's beginning.
    written = " | replace('%%', '\\x00')" + "".join(f" | replace({code!r}, {told[code]!r})" for code in told)
    written += " | replace('\\x00', '%')"
    return "{%- macro strftime_now(format) -%}{{ format" + written + " }}{%- endmacro %}{{ '' }}" + source


def _render(settings: ChatSettings, tokenizer: Any, source: str, content: str, *, answer: str | None = None) -> str:
    """A conversation of one question: messages as text, or as lists of parts where a template takes nothing else."""
    turns = [("system", settings.system), ("user", content), ("assistant", answer)]
    said = [(role, text) for role, text in turns if text is not None]
    of_parts = _TAKES_PARTS.search(source) is not None
    rendered = ""
    try:
        rendered = _applied(settings, tokenizer, source, [{"role": role, "content": text} for role, text in said])
    except PromptError:
        if not of_parts:
            raise
    if of_parts and content.strip() not in rendered:
        parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said]
        rendered = _applied(settings, tokenizer, source, parts)
    return rendered


def _applied(settings: ChatSettings, tokenizer: Any, source: str, messages: list[dict[str, Any]]) -> str:
    try:
        rendered = tokenizer.apply_chat_template(
            messages,
            chat_template=_on(settings.date, source),
            tokenize=False,
            add_generation_prompt=messages[-1]["role"] != "assistant",
            **{"enable_thinking": settings.thinks, "thinking": settings.thinks, **settings.kwargs},
        )
    except Exception as error:
        # Chat templates are programs that come with a model; whatever they raise, the fix is the same.
        said = " ".join(str(error).split())
        raise PromptError(f"the tokenizer's chat template failed: {type(error).__name__}: {said}") from error
    return str(rendered)


@functools.lru_cache(maxsize=64)  # the same for every prompt of a run
def _frame(settings: ChatSettings, tokenizer: Any, source: str) -> Frame:
    rendered, asked = _render(settings, tokenizer, source, _SIGN), settings
    quiet = _asked_for_no_thought(settings, source)
    if quiet is not None and _thought(_behind(rendered), source)[0] is not None:
        told = _render(quiet, tokenizer, source, _SIGN)
        if _thought(_behind(told), source) == (None, ""):
            rendered, asked = told, quiet
    if rendered.count(_SIGN) != 1:
        raise PromptError(
            f"the tokenizer's chat template shows a message {rendered.count(_SIGN)} times in place of once; set "
            "prompt.chat_template: none, or mend the template"
        )
    if settings.system is not None and settings.system.strip() not in rendered:
        raise PromptError("prompt.system: the tokenizer's chat template leaves the system prompt out; leave it out too")
    before, after = rendered.split(_SIGN)
    left, right = _stripped_ends(asked, tokenizer, source, before, after)
    if settings.thinks:
        return Frame(before, after, left, right, rendered=True, thinks=True)
    closing, filling = _thought(after, source)
    return Frame(before, after + (closing if closing is not None else filling), left, right, rendered=True)


def _behind(rendered: str) -> str:
    return rendered.rpartition(_SIGN)[2]


def _stripped_ends(settings: ChatSettings, tokenizer: Any, source: str, before: str, after: str) -> tuple[bool, bool]:
    """Whether the template takes off white space in front of a message and behind it."""
    padded = _render(settings, tokenizer, source, f"\n{_SIGN}\n")
    front, _, behind = padded.partition(_SIGN)
    if front not in (before, before + "\n") or behind not in (after, "\n" + after):
        raise PromptError(
            "the tokenizer's chat template changes with the message it frames; set prompt.chat_template: none, or mend "
            "the template"
        )
    return front == before, behind == after


# ------------------------------------------------------------------------------------------------- thoughts


def _asked_for_no_thought(settings: ChatSettings, source: str) -> ChatSettings | None:
    """The settings with the system prompt's word against thinking, where the template looks for it."""
    if settings.thinks or _NO_THINKING not in source:
        return None
    system = _NO_THINKING if settings.system is None else f"{settings.system}\n{_NO_THINKING}"
    return ChatSettings(system=system, kwargs=settings.kwargs, date=settings.date)


def _thought(after: str, source: str) -> tuple[str | None, str]:
    """What closes a thought left open at a frame's end (``None``: none is), and an empty one where one is missing."""
    if _CHANNEL in source or _CHANNEL in after:
        last = after.rfind(_CHANNEL)
        if last < 0:
            return None, _FINAL
        return (None if after.startswith(_FINAL, last) else _TO_FINAL), ""
    for marks in _THOUGHTS:
        opened, closed = after.rfind(marks.opening), after.rfind(marks.closing)
        if opened > closed:
            begun = after[opened + len(marks.opening) :]
            if not begun.strip():
                gap = marks.gap.removeprefix(begun) if marks.gap.startswith(begun) else ""
            else:
                gap = "\n" if marks.gap and not begun.endswith("\n") else ""
            return gap + marks.closing + marks.behind, ""
        if closed >= 0:
            return None, ""
    # A template with a switch has been told, and knows better how its model answers at once.
    if not _SWITCHES.search(source):
        for marks in _THOUGHTS:
            if marks.closing in source:
                return None, marks.opening + marks.gap + marks.closing + marks.behind
    return None, ""


# --------------------------------------------------------------------------------------------------- endings


@functools.lru_cache(maxsize=64)
def _end_of_turn(tokenizer: Any, source: str) -> int | None:
    try:
        rendered = _render(ChatSettings(), tokenizer, source, "question", answer=_SIGN)
    except PromptError:
        return None  # a template for prompts alone; what the tokenizer and the model name still counts
    ids = tokenizer(_behind(rendered).strip(), add_special_tokens=False)["input_ids"] if _SIGN in rendered else []
    if not ids:
        return None
    # Some vocabularies put a space of their own in front of the first token.
    first = next((token for token in ids if str(tokenizer.decode([token])).strip()), ids[0])
    written = str(tokenizer.decode([first])).strip()
    return int(first) if _behind(rendered).strip().startswith(written) and _is_sign_of_end(written) else None


def _is_sign_of_end(written: str) -> bool:
    return re.fullmatch(r"<.+>|\[.+\]|◁.+▷", written) is not None
