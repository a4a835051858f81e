"""What a chat completion says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from candor.errors import RefusedError
from candor.predictions.endpoint.address import writable


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
    """What a response says; ``None`` if it is no chat completion.

    Args:
        content: reads the response as JSON; a ``ValueError`` says that it is none.
        shown: makes a message fit to be shown.

    Raises:
        RefusedError: it says that the answer is withheld.
    """
    try:
        body = content()
        choice = body["choices"][0]
        if choice.get("finish_reason") == "content_filter":
            raise RefusedError("the answer was filtered (finish_reason content_filter)")
        message = choice["message"]
        if refusal := message.get("refusal"):
            raise RefusedError(f"the answer is a refusal: {shown(str(refusal))}")
        # A thought without an answer has no content: an answer without a label, and wrong.
        text = message.get("content") or ""
        given = (choice.get("logprobs") or {}).get("content")
        usage = body.get("usage") or {}
        counts = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
        tokens_in, tokens_out = (count if isinstance(count, int) else None for count in counts)
        if not isinstance(text, str):
            return None
        ended = choice.get("finish_reason") != "length"
        return Reply(writable(text), ended, given or None, tokens_in, tokens_out)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
