"""What a chat server is sent beside the prompt, and what of it its refusals blame.

A refusal may quote the claim or repeat the whole request, and those hold the same words; so what was sent is taken out
of it before it is read, and a field must be named as one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final

TOP_LOGPROBS: Final = 20
"""As many alternatives to a token as the interface allows."""
QUOTED_RUN: Final = 5
"""So many words and signs in a row that also stand in the prompt are taken for a quotation of it."""

_ECHOES: Final = frozenset({"input", "body", "request", "messages", "prompt"})
_NAMES_A_FIELD: Final = frozenset({"param", "loc"})
_BLAME: Final = (
    r"\b(?:unsupported|(?:not|n't) support(?:ed)?|not (?:allowed|permitted|enabled|available)|unknown|unrecogni[sz]ed|"
    r"unexpected|extra)\b"
)
_BETWEEN: Final = r"[^\w\n.;{\[]+(?:\w+[^\w\n.;{\[]+){0,3}"
_ITS_VALUE: Final = r"['\"]?\s*:\s*(?:[-\d'\"\[{]|(?:true|false|null|none)\b)"
"""What follows a field in a repeated request."""
_MOST: Final = re.compile(
    r"(?:max(?:imum)?[^\d.\n]{0,25}|at most |up to |or equal to |<= ?|exceed |between \d+ and |\[\d+, ?)(\d+)", re.I
)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a request beside model and prompt.

    Attributes:
        left_out: optional fields that are not sent.
        limit_name: what the limit to the answer's length is called.
        top_logprobs: alternatives to each token to ask for.
    """

    left_out: frozenset[str] = frozenset()
    limit_name: str = "max_tokens"
    top_logprobs: int = TOP_LOGPROBS

    def fields(self, max_new_tokens: int) -> dict[str, Any]:
        """The fields with their values.

        >>> Form(left_out=frozenset({"logprobs", "top_logprobs"})).fields(32)
        {'max_tokens': 32, 'temperature': 0}
        """
        optional = {"temperature": 0, "logprobs": True, "top_logprobs": self.top_logprobs}
        return {self.limit_name: max_new_tokens} | {k: v for k, v in optional.items() if k not in self.left_out}

    def joined(self, other: Form) -> Form:
        """What a server takes that takes no more than either."""
        return Form(
            self.left_out | other.left_out,
            other.limit_name if self.limit_name == Form().limit_name else self.limit_name,
            min(self.top_logprobs, other.top_logprobs),
        )

    def lacks(self) -> tuple[str, ...]:
        """In words, what is not asked for."""
        words = []
        if "logprobs" in self.left_out:
            words.append("log-probabilities, so there will be no label probabilities")
        elif self.top_logprobs < TOP_LOGPROBS:
            words.append(f"more than {self.top_logprobs} alternatives to a token, so some label probabilities may lack")
        if "temperature" in self.left_out:
            words.append("a temperature of 0, so answers are sampled as it likes")
        return tuple(words)


def adapted(form: Form, said: str, prompt: str, *, certain: bool) -> Form | None:
    """The form without what a refusal blames; ``None`` if it blames no field.

    Args:
        form: as was asked.
        said: body of the refusal.
        prompt: what was asked.
        certain: whether the status says that the request is at fault. A server error may name a field for other
            reasons, so there it must also say that something is not supported.

    >>> adapted(Form(), "Unsupported parameter: 'temperature'", "", certain=True).left_out
    frozenset({'temperature'})
    >>> adapted(Form(), "the filter refuses 'global temperature is rising'", "", certain=True)
    """
    named, words = _complaint(said, prompt)
    if not certain and not re.search(_BLAME, words, re.I):
        return None
    if "max_completion_tokens" in words and form.limit_name == "max_tokens":
        return replace(form, limit_name="max_completion_tokens")
    if "logprobs" not in form.left_out:
        mentioned = named & {"logprobs", "top_logprobs"} or re.search(rf"logprobs(?!{_ITS_VALUE})", words, re.I)
        limits = [int(n) for n in _MOST.findall(words) if int(n) < form.top_logprobs] if mentioned else []
        if limits and max(limits) > 0:
            return replace(form, top_logprobs=max(limits))
        if limits or any(_blamed(field, named, words) for field in ("logprobs", "top_logprobs")):
            return replace(form, left_out=form.left_out | {"logprobs", "top_logprobs"})
    if "temperature" not in form.left_out and _blamed("temperature", named, words):
        return replace(form, left_out=form.left_out | {"temperature"})
    return None


def _blamed(field: str, named: set[str], words: str) -> bool:
    """Whether a field is named as one: by the interface, in quotes, or beside words of blame."""
    quoted = rf"(['\"`]){field}\1(?!{_ITS_VALUE})"
    beside = rf"{_BLAME}{_BETWEEN}{field}\b|\b{field}{_BETWEEN}{_BLAME}"
    return field in named or re.search(quoted, words, re.I) is not None or re.search(beside, words, re.I) is not None


def _complaint(said: str, prompt: str) -> tuple[set[str], str]:
    """Fields that a refusal names in their own place, and its words without what was sent."""
    named: set[str] = set()
    words: list[str] = []

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for inner, content in value.items():
                if inner not in _ECHOES:
                    walk(content, inner)
        elif isinstance(value, list):
            for content in value:
                walk(content, key)
        elif isinstance(value, str) and key in _NAMES_A_FIELD:
            named.update(re.findall(r"\w+", value))
        elif isinstance(value, str):
            words.append(_without_quotations(value, prompt))

    try:
        walk(json.loads(said), "")
    except ValueError:
        walk(said, "")
    return named, "\n".join(words)


def _without_quotations(text: str, prompt: str) -> str:
    sign = re.compile(r"\w+|[^\w\s]")
    sent = sign.findall(prompt)
    runs = {tuple(sent[i : i + QUOTED_RUN]) for i in range(len(sent) - QUOTED_RUN + 1)}
    found = list(sign.finditer(text))
    kept, place = [], 0
    for i in range(len(found) - QUOTED_RUN + 1):
        run = found[i : i + QUOTED_RUN]
        if tuple(match[0] for match in run) in runs:
            kept.append(text[place : run[0].start()])
            place = run[-1].end()
    return "\n".join([*kept, text[place:]])
