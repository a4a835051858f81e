"""What a chat completion says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from candor.errors import RefusedError
from candor.predictions.endpoint.address import writable

ENDED: Final = frozenset({"stop", "stopped", "eos", "end", "complete", "completed", "done", "finished", "normal"})
"""Words of the reasons that mean an answer's own end; giving none means it, too."""
CUT: Final = frozenset({"length", "max", "limit", "truncated", "truncation"})
"""Words of those that mean a model's limit."""
WITHHELD: Final = frozenset(
    {"filter", "filtered", "safety", "recitation", "blocklist", "blocked", "prohibited", "spii", "sensitive"}
    | {"refusal", "guardrail", "guardrails", "moderation", "policy"}
)
"""Words of those that mean that an answer is not given. Any other reason (``error``, ``abort``, ``tool_calls``) means
that what stands there is no answer, and another attempt may give one."""

NOT_THE_MODEL: Final = frozenset({"system", "developer", "user", "tool", "function"})
"""Whose words a message may hold that are no answer."""

THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields of a message in which servers keep what a model thought before it answered."""
TEXTS: Final = frozenset({"text", "output_text"})
THOUGHT_PARTS: Final = frozenset({"thinking", "reasoning", "redacted_thinking"})


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        text: what the model wrote.
        stopped: whether it came to its end (false: it was cut at the length limit).
        logprobs: the interface's list of tokens with log-probabilities; ``None`` where it gave none.
        tokens_in, tokens_out: as the server counts; ``None`` where it does not say.
    """

    text: str
    stopped: bool
    logprobs: list[dict[str, Any]] | None
    tokens_in: int | None
    tokens_out: int | None


def read_reply(content: Callable[[], Any], *, shown: Callable[[str], str]) -> Reply | None:
    """What a response says; ``None`` if it holds no answer: it is no chat completion, or one that came to no end.

    An answer in parts is the text of its parts; a thought in a part or a field of its own is no part of it. A thought
    that came to no answer is an answer without text, and so without a label.

    Args:
        content: reads the response as JSON; a ``ValueError`` says that it is none.
        shown: makes a message fit to be shown.

    Raises:
        RefusedError: it says that the answer is withheld.
    """
    try:
        body = content()
        choices = body["choices"]
        choice = next((one for one in choices if one.get("index") == 0), choices[0])
        why = _finish(choice)
        words = frozenset(re.split(r"[^a-z]+", why))
        if words & WITHHELD:
            raise RefusedError(f"the answer was filtered (finish_reason {shown(why)})")
        cut = not words.isdisjoint(CUT)
        message = choice["message"]
        if refusal := message.get("refusal"):
            raise RefusedError(f"the answer is a refusal: {shown(str(refusal))}")
        if body.get("error") or body.get("object") == "error" or choice.get("error"):
            return None
        if message.get("role") in NOT_THE_MODEL or (why and not cut and words.isdisjoint(ENDED)):
            return None
        text = _text(message.get("content"), shown)
        if text is None:
            if not cut and not any(message.get(name) for name in THOUGHTS):
                return None
            text = ""
        given = (choice.get("logprobs") or {}).get("content")
        usage = body.get("usage") or {}
        tokens_in, tokens_out = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        return Reply(writable(text), not cut, given or None, tokens_in, tokens_out)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _finish(choice: Any) -> str:
    """Why the model stopped, in lower case; some servers give the reason as an object with a type."""
    why = choice.get("finish_reason")
    why = why.get("type") if isinstance(why, dict) else why
    return "" if why is None else str(why).lower()


def _text(content: Any, shown: Callable[[str], str]) -> str | None:
    """The text of an answer, whole or in parts; ``None`` where there is none.

    Raises:
        ValueError: it holds something that is no text.
        RefusedError: a part says that the answer is withheld.
    """
    if content is None or isinstance(content, str):
        return content
    texts = []
    for part in content:
        if part["type"] == "refusal":
            raise RefusedError(f"the answer is a refusal: {shown(str(part.get('refusal')))}")
        if part["type"] in TEXTS and isinstance(part["text"], str):
            texts.append(part["text"])
        elif part["type"] not in THOUGHT_PARTS:
            raise ValueError(f"a part of kind {part['type']!r}")
    return "".join(texts) if texts else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
