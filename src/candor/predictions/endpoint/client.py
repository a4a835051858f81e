"""Asking a model behind an OpenAI-compatible server: one question, asked again until it is answered or refused.

What servers do not all take (log-probabilities, a temperature, the name of the length limit) is left out once a server
refuses it, and said. The key is sent to the server and written nowhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from candor.errors import EndpointError, RefusedError
from candor.predictions.endpoint.address import Discretion, chat_url, public_url
from candor.predictions.endpoint.form import Form, adapted
from candor.predictions.endpoint.pace import Pace, retry_after
from candor.predictions.endpoint.reply import Reply, read_reply

FIRST_WAIT: Final = 0.5
"""Seconds before the second attempt; each further wait is twice as long, up to ``LONGEST_WAIT``."""
LONGEST_WAIT: Final = 30.0
LONGEST_RETRY_AFTER: Final = 600.0
"""A server that asks for more patience than that has run out of quota rather than of breath."""

REFUSED_FOR_ALL: Final = (401, 402, 404, 405)
"""Key, quota, address or model name are wrong: no other question would be answered either."""
REFUSED: Final = (400, 403, 413, 422)
"""This question is, for all that can be told: some servers answer 400 to a wrong model, and 403 to wrong keys too."""
AGAIN: Final = (408, 409, 425, 429)
BROKEN: Final = 500
"""From this status on the server is at fault, and may answer another time."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How the server is asked.

    Attributes:
        url: address of the server, e.g. ``http://127.0.0.1:8000/v1``.
        model: name of the model there.
        key: sent as a bearer token; ``None`` sends none.
        max_new_tokens: longest answer.
        timeout: seconds that one attempt may take.
        retries: attempts after the first.
        concurrency: questions under way at once.
        requests_per_minute: attempts started in a minute at most; ``None`` for no limit.
    """

    url: str
    model: str
    key: str | None
    max_new_tokens: int
    timeout: float
    retries: int
    concurrency: int
    requests_per_minute: float | None


@dataclass(slots=True)
class _Question:
    """A prompt, and the form that it is asked in: its own until it is answered, because a refusal may mean it alone."""

    prompt: str
    form: Form


class _AgainError(Exception):
    """An attempt failed in a way that may pass.

    Attributes:
        patience: seconds that the server asks to wait; ``None`` where it asks for none.
    """

    def __init__(self, failure: str, patience: float | None = None) -> None:
        super().__init__(failure)
        self.patience = patience


class Endpoint:
    """A connection to a server; an asynchronous context."""

    def __init__(self, asking: Asking, *, say: Callable[[str], None] = lambda words: None) -> None:
        """Take how to ask; ``say`` is told what the server does not take."""
        self._asking = asking
        self._say = say
        self._url = chat_url(asking.url)
        self._form = Form()
        self._pace = Pace(asking.requests_per_minute)
        self._discretion = Discretion(asking.url, asking.key)
        headers = {} if asking.key is None else {"Authorization": f"Bearer {asking.key}"}
        self._client = httpx2.AsyncClient(
            timeout=asking.timeout, headers=headers, limits=httpx2.Limits(max_connections=asking.concurrency)
        )

    async def __aenter__(self) -> Endpoint:
        """Ready to ask."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ask(self, prompt: str) -> Reply:
        """Ask for the greedy answer to a prompt, as one user message.

        Raises:
            RefusedError: the server refuses this prompt.
            EndpointError: it refuses everything, or did not answer within all attempts.
        """
        attempts = self._asking.retries + 1
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_AgainError),
            stop=stop_after_attempt(attempts),
            wait=_growing_wait,
            before_sleep=self._be_patient,
            reraise=True,
        )
        try:
            return await retrying(self._attempt, _Question(prompt, self._form))
        except _AgainError as error:
            raise EndpointError(
                f"{public_url(self._url)} did not answer in {attempts} attempts; the last failed with {error}"
            ) from None

    async def _attempt(self, question: _Question) -> Reply:
        """Ask until no field is blamed: asking in another form is no second attempt.

        Raises:
            _AgainError, RefusedError, EndpointError: what the server said.
        """
        while True:
            await self._pace.turn()
            question.form = question.form.joined(self._form)  # others may have found out more meanwhile
            response = await self._post(question)
            changed = _adapted(question, response)
            if changed is None:
                reply = self._read(response)
                self._adopt(question.form)
                return reply
            question.form = changed

    async def _post(self, question: _Question) -> httpx2.Response:
        body = {
            "model": self._asking.model,
            "messages": [{"role": "user", "content": question.prompt}],
            **question.form.fields(self._asking.max_new_tokens),
        }
        try:
            async with asyncio.timeout(self._asking.timeout):
                return await self._client.post(self._url, json=body)
        except (httpx2.TransportError, TimeoutError) as error:
            failure = f"{type(error).__name__}: {error}".rstrip(": ")
            raise _AgainError(self._discretion.clean(failure)) from None

    def _read(self, response: httpx2.Response) -> Reply:
        """The answer, or what is to be made of there being none."""
        status, said = response.status_code, self._discretion.shown(response.text)
        if status == httpx2.codes.OK:
            reply = read_reply(response.json, shown=self._discretion.shown)
            if reply is None:
                raise _AgainError(f"it answered with something else than a chat completion: {said}")
            return reply
        if status in AGAIN or status >= BROKEN:
            raise _AgainError(f"HTTP {status} {said}", retry_after(response.headers.get("retry-after", "")))
        if status in REFUSED:
            raise RefusedError(f"HTTP {status} {said}")
        kind = "refuses" if status in REFUSED_FOR_ALL else "answers with"
        raise EndpointError(
            f"{public_url(self._url)} {kind} HTTP {status} {said}; check --endpoint, --model and --api-key-env"
        )

    def _adopt(self, form: Form) -> None:
        """Ask all further questions in a form that was answered."""
        before, self._form = self._form, self._form.joined(form)
        for lack in self._form.lacks():
            if lack not in before.lacks():
                self._say(f"the server does not take {lack}")

    def _be_patient(self, state: RetryCallState) -> None:
        """Before another attempt: let every question wait as long as the server asks."""
        error = None if state.outcome is None else state.outcome.exception()
        asked = error.patience if isinstance(error, _AgainError) else None
        if asked is None:
            return
        if asked > LONGEST_RETRY_AFTER:
            raise EndpointError(f"{public_url(self._url)} asks to come back in {asked:.0f} seconds; do so")
        self._pace.hold(asked)


def _adapted(question: _Question, response: httpx2.Response) -> Form | None:
    """The form without what a response blames; ``None`` if it is no refusal, or blames no field."""
    status = response.status_code
    if status not in REFUSED and status < BROKEN:
        return None
    return adapted(question.form, response.text, question.prompt, certain=status in REFUSED)


def _growing_wait(state: RetryCallState) -> float:
    """Seconds before the next attempt, whatever the server asks for: it may ask for none, or with a clock that is late.

    Random, so that questions that failed together do not come back together.
    """
    grown: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (state.attempt_number - 1))
    return grown * random.uniform(0.5, 1.0)
