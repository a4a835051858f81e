"""What a chat server is sent beside the prompt, and in which order it is given up where the server refuses it.

Servers refuse a field in a thousand wordings, and a refusal may quote the claim or repeat the whole request, where the
same words stand. So no wording is read: one field after the other is given up until there is an answer, and then each
is put back whose absence was not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

FIELDS: Final = ("top_logprobs", "logprobs", "temperature", "max_tokens")
"""Fields that people may have left out from the start."""

TOP_LOGPROBS: Final = 20
"""As many alternatives to a token as the interface allows."""
FEWER_LOGPROBS: Final = 5
"""As many as servers that allow fewer do."""

ALTERNATIVES: Final = "alternatives"
KWARGS: Final = "chat_template_kwargs"
RUNGS: Final = (ALTERNATIVES, "logprobs", "temperature", "max_tokens", KWARGS)
"""What is given up, in this order: 20 alternatives for 5, log-probabilities, greedy answers, the limit's old name, and
last what a person asked the chat template for, because without it the question is another."""

PUT_BACK: Final = (
    frozenset({"max_tokens"}),
    frozenset({"temperature"}),
    frozenset({"logprobs", ALTERNATIVES}),
    frozenset({"logprobs"}),
)
"""What is tried again once there is an answer, in this order."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a request beside model and prompt.

    Attributes:
        left_out: fields of :data:`FIELDS` that a person asked to leave out.
        given_up: rungs of :data:`RUNGS` that the server made us give up.
        kwargs: variables of the server's chat template; none are not sent.
    """

    left_out: frozenset[str] = frozenset()
    given_up: frozenset[str] = frozenset()
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def fields(self, max_new_tokens: int) -> dict[str, Any]:
        """The fields with their values.

        >>> Form(given_up=frozenset({"logprobs", "max_tokens"})).fields(32)
        {'max_completion_tokens': 32, 'temperature': 0}
        """
        fields: dict[str, Any] = {"max_tokens": max_new_tokens, "temperature": 0, "logprobs": True}
        fields["top_logprobs"] = FEWER_LOGPROBS if ALTERNATIVES in self.given_up else TOP_LOGPROBS
        without = set(self.left_out)
        if "logprobs" in without or "logprobs" in self.given_up:
            without |= {"logprobs", "top_logprobs"}
        if "temperature" in self.given_up:
            without.add("temperature")
        fields = {name: value for name, value in fields.items() if name not in without}
        if self.kwargs and KWARGS not in self.given_up:
            fields[KWARGS] = dict(self.kwargs)
        if "max_tokens" in self.given_up and "max_tokens" in fields:
            return {"max_completion_tokens": fields.pop("max_tokens"), **fields}
        return fields

    def ladder(self) -> Iterator[Form]:
        """Forms with one thing after the other given up, each in addition to those before it."""
        form = self
        for rung in RUNGS:
            lower = replace(form, given_up=form.given_up | {rung})
            if lower.fields(1) != form.fields(1):
                form = lower
                yield form

    def fuller(self, back: frozenset[str]) -> Form | None:
        """The form with things put back; ``None`` where they were not given up, or where that would change nothing."""
        form = replace(self, given_up=self.given_up - back)
        return form if back <= self.given_up and form.fields(1) != self.fields(1) else None

    def lacks(self) -> tuple[str, ...]:
        """In words, what the server does not take."""
        words = []
        if "logprobs" in self.given_up:
            words.append("log-probabilities, so there will be no label probabilities")
        elif ALTERNATIVES in self.given_up:
            words.append(f"more than {FEWER_LOGPROBS} alternatives to a token, so some label probabilities may lack")
        if "temperature" in self.given_up:
            words.append("a temperature of 0, so answers are sampled as it likes")
        if self.kwargs and KWARGS in self.given_up:
            words.append(f"{KWARGS}, so its chat template is rendered as it likes")
        return tuple(words)
