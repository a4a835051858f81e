"""Asking a model behind an OpenAI-compatible server: one question, asked again until it is answered or refused.

What servers do not all take (log-probabilities, a temperature, the name of the length limit) is left out once a server
refuses it, and said. The key is sent to the server and written nowhere.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx2

from candor.errors import CandorError
from candor.predictions.endpoint.form import Form, adapted

FIRST_WAIT: Final = 0.5
"""Seconds before the second attempt; each further wait is twice as long, up to ``LONGEST_WAIT``."""
LONGEST_WAIT: Final = 30.0
LONGEST_RETRY_AFTER: Final = 600.0
"""A server that asks for more patience than that has run out of quota rather than of breath."""
SHOWN_OF_MESSAGE: Final = 300
SHORTEST_SECRET: Final = 4
"""Shorter parts of an address (a version, a flag) keep nobody out, and hiding them would garble messages."""

REFUSED_FOR_ALL: Final = (401, 402, 404, 405)
"""Key, quota, address or model name are wrong: no other question would be answered either."""
REFUSED: Final = (400, 403, 413, 422)
"""This question is, for all that can be told: some servers answer 400 to a wrong model, and 403 to wrong keys too."""
AGAIN: Final = (408, 409, 425, 429)


class EndpointError(CandorError):
    """The server cannot be used at all, or did not answer however often it was asked."""


class RefusedError(CandorError):
    """The server refuses this very question, whatever else it would answer."""


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


def public_url(url: str) -> str:
    """The address without user, password and query, which may be secrets.

    >>> public_url("https://me:secret@models.example/v1?key=secret")
    'https://models.example/v1'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def chat_url(url: str) -> str:
    """Where chat completions are asked for, given the address as people write it.

    Raises:
        EndpointError: it is no address of a web server.

    >>> chat_url("http://127.0.0.1:8000"), chat_url("https://models.example/api/v1/")
    ('http://127.0.0.1:8000/v1/chat/completions', 'https://models.example/api/v1/chat/completions')
    """
    expected = "expected an address such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        # Not shown: what cannot be taken apart may hold a password anywhere.
        raise EndpointError(f"--endpoint: its host or port cannot be read; {expected}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError(f"--endpoint {public_url(url)}: {expected}")
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


class Endpoint:
    """A connection to a server; an asynchronous context."""

    def __init__(self, asking: Asking, *, say: Callable[[str], None] = lambda words: None) -> None:
        """Take how to ask; ``say`` is told what the server does not take."""
        self._asking = asking
        self._say = say
        self._url = chat_url(asking.url)
        self._form = Form()
        self._secrets = _secrets(asking)
        self._not_before = 0.0
        self._interval = 0.0 if asking.requests_per_minute is None else 60.0 / asking.requests_per_minute
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
        failure = ""
        attempt = 0
        trial = self._form
        while attempt <= self._asking.retries:
            await self._turn()
            trial = trial.joined(self._form)  # others may have found out more meanwhile
            body = self._body(prompt, trial)
            try:
                async with asyncio.timeout(self._asking.timeout):
                    response = await self._client.post(self._url, json=body)
            except (httpx2.TransportError, TimeoutError) as error:
                failure = self._clean(f"{type(error).__name__}: {error}".rstrip(": "))
                await self._wait(attempt, None)
            else:
                if response.status_code == httpx2.codes.OK:
                    reply = self._reply(response)
                    if reply is not None:
                        self._adopt(trial)
                        return reply
                    failure = f"it answered with something else than a chat completion: {self._said(response)}"
                    await self._wait(attempt, None)
                elif response.status_code in AGAIN or response.status_code >= 500:
                    failure = f"HTTP {response.status_code} {self._said(response)}"
                    if response.status_code >= 500:
                        changed = adapted(trial, response.text, prompt, certain=False)
                        if changed is not None:
                            trial = changed
                            continue
                    await self._wait(attempt, _retry_after(response))
                elif response.status_code in REFUSED:
                    changed = adapted(trial, response.text, prompt, certain=True)
                    if changed is None:
                        raise RefusedError(f"HTTP {response.status_code} {self._said(response)}")
                    trial = changed  # asked in another way, which is no second attempt
                    continue
                else:
                    kind = "refuses" if response.status_code in REFUSED_FOR_ALL else "answers with"
                    raise EndpointError(
                        f"{public_url(self._url)} {kind} HTTP {response.status_code} {self._said(response)}; check "
                        "--endpoint, --model and --api-key-env"
                    )
            attempt += 1
        raise EndpointError(
            f"{public_url(self._url)} did not answer in {self._asking.retries + 1} attempts; the last failed with "
            f"{failure}"
        )

    def _body(self, prompt: str, form: Form) -> dict[str, Any]:
        return {
            "model": self._asking.model,
            "messages": [{"role": "user", "content": prompt}],
            **form.fields(self._asking.max_new_tokens),
        }

    def _adopt(self, form: Form) -> None:
        """Ask all further questions in a form that was answered."""
        before, self._form = self._form, self._form.joined(form)
        for lack in self._form.lacks():
            if lack not in before.lacks():
                self._say(f"the server does not take {lack}")

    async def _turn(self) -> None:
        """Wait until the rate limit, or a server that asked for patience, allows one more attempt."""
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        self._not_before = max(self._not_before, time.monotonic()) + self._interval

    async def _wait(self, attempt: int, asked: float | None) -> None:
        if attempt >= self._asking.retries:
            return
        if asked is not None:
            if asked > LONGEST_RETRY_AFTER:
                raise EndpointError(f"{public_url(self._url)} asks to come back in {asked:.0f} seconds; do so")
            # The limit is the server's, not this question's: all of them wait.
            self._not_before = max(self._not_before, time.monotonic() + asked)
        # The longer of the two waits counts: servers ask for no patience at all, or with a clock that is late.
        # Random, so that questions that failed together do not come back together.
        await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) * random.uniform(0.5, 1.0))

    def _reply(self, response: httpx2.Response) -> Reply | None:
        """What a chat completion says; ``None`` if it is none.

        Raises:
            RefusedError: it says that the answer is withheld.
        """
        try:
            content = response.json()
            choice = content["choices"][0]
            if choice.get("finish_reason") == "content_filter":
                raise RefusedError("the answer was filtered (finish_reason content_filter)")
            message = choice["message"]
            if refusal := message.get("refusal"):
                raise RefusedError(f"the answer is a refusal: {self._shown(str(refusal))}")
            # A thought without an answer has no content: an answer without a label, and wrong.
            text = message.get("content") or ""
            given = (choice.get("logprobs") or {}).get("content")
            usage = content.get("usage") or {}
            counts = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
            tokens_in, tokens_out = (count if isinstance(count, int) else None for count in counts)
            if not isinstance(text, str):
                return None
            ended = choice.get("finish_reason") != "length"
            return Reply(_writable(text), ended, given or None, tokens_in, tokens_out)
        except (ValueError, LookupError, TypeError, AttributeError):
            return None

    def _said(self, response: httpx2.Response) -> str:
        return self._shown(response.text)

    def _shown(self, words: str) -> str:
        # Cleaned first: a secret across the cut would show in part.
        return _writable(self._clean(" ".join(words.split()))[:SHOWN_OF_MESSAGE])

    def _clean(self, words: str) -> str:
        """Words without the key and what else is secret in the address, which some servers repeat."""
        for secret in self._secrets:
            words = words.replace(secret, "[key]")
        return words


def _secrets(asking: Asking) -> list[str]:
    """What must not be shown, the longest first: key, user, password and query, also as they are sent."""
    parts = urlsplit(asking.url)
    user = parts.netloc.rpartition("@")[0]
    values = [value for pair in parts.query.split("&") for value in (pair, pair.partition("=")[2])]
    secrets = {asking.key or "", parts.query, user, user.partition(":")[2], *values}
    secrets |= {unquote(secret) for secret in secrets}
    secrets.add(base64.b64encode(unquote(user).encode()).decode())
    return sorted((secret for secret in secrets if len(secret) >= SHORTEST_SECRET), key=len, reverse=True)


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that a server asks to wait, given as a number or as a date."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None


def _writable(text: str) -> str:
    """Text without halves of surrogate pairs, which JSON can carry and no file can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
