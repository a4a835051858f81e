"""Asking a model behind an OpenAI-compatible server: one question, asked again until it is answered or refused.

What servers do not all take (log-probabilities, a temperature, the name of the length limit) is found out with the
first question that is answered, and said. The key is sent to the server and written nowhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from candor.errors import EndpointError, RefusedError
from candor.files import parse_json
from candor.predictions.endpoint.address import Discretion, chat_url, public_url
from candor.predictions.endpoint.form import KWARGS, PUT_BACK, Form
from candor.predictions.endpoint.pace import Pace, retry_after
from candor.predictions.endpoint.reply import Reply, read_reply

FIRST_WAIT: Final = 0.5
"""Seconds before the second attempt; each further wait is twice as long, up to ``LONGEST_WAIT``."""
LONGEST_WAIT: Final = 30.0
LONGEST_RETRY_AFTER: Final = 600.0
"""A server that asks for more patience than that has run out of quota rather than of breath."""

REFUSED_FOR_ALL: Final = (401, 402, 404, 405)
"""Key, quota, address or model name are wrong: no other question would be answered either."""
REFUSED: Final = (400, 403, 413, 422, 501)
"""This question is, for all that can be told: some servers answer 400 to a wrong model, and 403 to wrong keys too."""
ASKED_WRONGLY: Final = (400, 422, 501)
"""Of these, the ones that may mean a field of the request."""
AGAIN: Final = (408, 409, 425, 429)
BROKEN: Final = 500
"""From this status on the server is at fault, and may answer another time."""
LONGEST_RESPONSE: Final = 64 << 20
"""Bytes; an answer of thousands of tokens with all their alternatives has a tenth of it."""


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
        leave_out: fields of a request that are never sent, of :data:`~candor.predictions.endpoint.form.FIELDS`.
        system: a system message in front of the prompt; ``None`` for none.
        chat_template_kwargs: variables of the server's chat template, in the field that vLLM, SGLang and others take.
    """

    url: str
    model: str
    key: str | None
    max_new_tokens: int
    timeout: float
    retries: int
    concurrency: int
    requests_per_minute: float | None
    leave_out: frozenset[str] = frozenset()
    system: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class _Response:
    """What came back: status, body, and the header ``Retry-After``."""

    status: int
    content: bytes
    retry_after: str

    @property
    def text(self) -> str:
        """The body, as far as it is text; what the header says of its encoding may be anything."""
        return self.content.decode("utf-8", "replace")


class _AgainError(Exception):
    """An attempt failed in a way that may pass.

    Attributes:
        patience: seconds that the server asks to wait; ``None`` where it asks for none.
        unanswered: the server took the question and gave no answer to it, which may be the question's fault.
    """

    def __init__(self, failure: str, patience: float | None = None, *, unanswered: bool = False) -> None:
        super().__init__(failure)
        self.patience = patience
        self.unanswered = unanswered


class Endpoint:
    """A connection to a server; an asynchronous context."""

    def __init__(self, asking: Asking, *, say: Callable[[str], None] = lambda words: None) -> None:
        """Take how to ask; ``say`` is told what the server does not take."""
        self._asking = asking
        self._say = say
        self._url = chat_url(asking.url)
        self._form = Form(asking.leave_out, kwargs=asking.chat_template_kwargs)
        self._messages = [] if asking.system is None else [{"role": "system", "content": asking.system}]
        self._form_is_known = False
        self._form_is_sought = asyncio.Lock()
        self._nothing_helped = False
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

    @property
    def takes_kwargs(self) -> bool:
        """Whether questions are sent with the variables of the chat template that were asked for, if any were."""
        return KWARGS not in self._form.given_up

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
            return await retrying(self._attempt, prompt)
        except _AgainError as error:
            if error.unanswered:
                raise RefusedError(f"no answer in {attempts} attempts: {error}") from None
            raise EndpointError(
                f"{public_url(self._url)} did not answer in {attempts} attempts; the last failed with {error}; "
                "where a field of the request is what it fails at, --leave-out goes without"
            ) from None

    async def _attempt(self, prompt: str) -> Reply:
        """Ask once, or find out with this question how the server is to be asked.

        Raises:
            _AgainError, RefusedError, EndpointError: what the server said.
        """
        if not self._form_is_known:
            async with self._form_is_sought:
                # Another question may have found it out meanwhile.
                if not self._form_is_known:
                    return await self._seek_form(prompt)
        return self._read(await self._post(prompt, self._form))

    async def _seek_form(self, prompt: str) -> Reply:
        """Ask in fuller and poorer forms, down the ladder and up again; all other questions take what was answered.

        Raises:
            RefusedError: no form is answered, so it is the question that is refused; says what was said to the first.
        """
        whole, last = self._form, None
        refused = response = await self._post(prompt, whole)
        form = whole
        rungs = list(whole.ladder())
        if self._nothing_helped:  # for another question: more than a look at the end of the ladder is not worth it
            rungs = rungs[-1:]
        for rung in rungs:
            if response.status not in ASKED_WRONGLY:
                break
            last, form = rung.given_up - form.given_up, rung
            response = await self._post(prompt, form)
        if response.status in ASKED_WRONGLY:
            self._nothing_helped = True
            return self._read(refused)  # raises
        reply = self._read(response)
        for back in PUT_BACK:
            fuller = form.fuller(back)
            if fuller is None or (last is not None and last <= back):
                continue  # the last step down is known to have been needed
            response = await self._post(prompt, fuller)
            if response.status not in REFUSED:
                reply, form = self._read(response), fuller
        self._form, self._form_is_known = form, True
        for lack in form.lacks():
            self._say(f"the server does not take {lack}")
        return reply

    async def _post(self, prompt: str, form: Form) -> _Response:
        """Send a question when its turn has come.

        Raises:
            _AgainError: nothing came back, or nothing that can be taken.
        """
        await self._pace.turn()
        body = {
            "model": self._asking.model,
            "messages": [*self._messages, {"role": "user", "content": prompt}],
            **form.fields(self._asking.max_new_tokens),
        }
        content = bytearray()
        try:
            async with asyncio.timeout(self._asking.timeout):
                async with self._client.stream("POST", self._url, json=body) as response:
                    async for piece in response.aiter_bytes():
                        content += piece
                        if len(content) > LONGEST_RESPONSE:
                            raise _AgainError(f"its answer is longer than {LONGEST_RESPONSE >> 20} MiB")
        except (httpx2.RequestError, TimeoutError) as error:
            failure = f"{type(error).__name__}: {error}".rstrip(": ")
            raise _AgainError(self._discretion.shown(failure)) from None
        return _Response(response.status_code, bytes(content), response.headers.get("retry-after", ""))

    def _read(self, response: _Response) -> Reply:
        """The answer, or what is to be made of there being none."""
        status, said = response.status, self._discretion.shown(response.text)
        if status == httpx2.codes.OK:
            reply = read_reply(lambda: parse_json(response.content), shown=self._discretion.shown)
            if reply is None:
                raise _AgainError(f"it sent no answer of a chat model: {said}", unanswered=True)
            return reply
        if status in REFUSED:
            raise RefusedError(f"HTTP {status} {said}")
        if status in AGAIN or status >= BROKEN:
            raise _AgainError(f"HTTP {status} {said}", retry_after(response.retry_after))
        kind = "refuses" if status in REFUSED_FOR_ALL else "answers with"
        raise EndpointError(
            f"{public_url(self._url)} {kind} HTTP {status} {said}; check --endpoint, --model and --api-key-env"
        )

    def _be_patient(self, state: RetryCallState) -> None:
        """Before another attempt: let every question wait as long as the server asks."""
        error = None if state.outcome is None else state.outcome.exception()
        asked = error.patience if isinstance(error, _AgainError) else None
        if asked is None:
            return
        if asked > LONGEST_RETRY_AFTER:
            raise EndpointError(f"{public_url(self._url)} asks to come back in {asked:.0f} seconds; do so")
        self._pace.hold(asked)


def _growing_wait(state: RetryCallState) -> float:
    """Seconds before the next attempt, whatever the server asks for: it may ask for none, or with a clock that is late.

    Random, so that questions that failed together do not come back together.
    """
    grown: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (state.attempt_number - 1))
    return grown * random.uniform(0.5, 1.0)
