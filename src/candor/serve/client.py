"""Asking a service that ``candor serve`` started, from another program.

It needs neither a model nor the extra ``serve``. What is sent and what comes back is described in ``schemas``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from candor.errors import EndpointError, RefusedError
from candor.serve.schemas import Answer, Health, Problem, Question

TIMEOUT: Final = 60.0
"""Seconds that one attempt may take; the service itself gives up after 30 unless told otherwise."""

RETRIES: Final = 3
"""Attempts after the first, where too many claims wait."""

LONGEST_WAIT: Final = 30.0
"""Seconds between two attempts, whatever the service asks for."""

_BUSY: Final = (429, 503, 504)
"""Statuses that another attempt may change."""

_AT_FAULT: Final = (400, 413, 422)
"""Statuses that say that this one claim cannot be judged."""

Body = TypeVar("Body", bound=BaseModel)


class Client:
    """A connection to a service, best used in a ``with`` block, which closes it."""

    def __init__(self, url: str, *, token: str | None = None, timeout: float = TIMEOUT, retries: int = RETRIES) -> None:
        """Say where the service is; nothing is sent yet.

        Args:
            url: its address, e.g. ``http://127.0.0.1:8000``.
            token: what the service asks for (``CANDOR_TOKEN``); sent to it alone and shown nowhere.
            timeout: seconds that one attempt may take, above 0.
            retries: attempts after the first where the service is busy, at least 0.

        Raises:
            EndpointError: the address is no ``http`` or ``https`` address, or a number is out of range.
        """
        if not url.startswith(("http://", "https://")):
            raise EndpointError(f"{url}: not an address of a service; it starts with http:// or https://")
        if timeout <= 0 or retries < 0:
            raise EndpointError(
                f"timeout is {timeout}, retries {retries}: needs more than 0 seconds, at least 0 retries"
            )
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url = url.rstrip("/")
        self._retries = retries
        self._http = httpx2.Client(headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        """Use the client in a ``with`` block, which closes its connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def verify(self, claim: str, evidence: Sequence[str] = ()) -> Answer:
        """Have one claim judged by its evidence.

        Args:
            claim: 1 to 4,000 characters.
            evidence: at most 64 sentences in order, each of 1 to 8,000 characters; may be empty.

        Raises:
            RefusedError: this claim cannot be judged; says why.
            EndpointError: the service cannot be reached, refuses the token, is busy for too long, or answers with
                what is no answer.
        """
        if isinstance(evidence, str):
            raise RefusedError("evidence is one string; give a list of sentences, [evidence] for a single one")
        try:
            question = Question(claim=claim, evidence=list(evidence))
        except ValidationError as error:
            raise RefusedError(_first(error)) from error
        return self._ask("POST", "/verify", Answer, json=question.model_dump())

    def verify_many(self, claims: Iterable[tuple[str, Sequence[str]]]) -> list[Answer]:
        """Have claims judged one after the other; arguments and errors as of :meth:`verify`."""
        return [self.verify(claim, evidence) for claim, evidence in claims]

    def health(self) -> Health:
        """Ask which model answers, and how many claims wait for it.

        Raises:
            EndpointError: as :meth:`verify`.
        """
        return self._ask("GET", "/healthz", Health)

    def _ask(self, method: str, path: str, form: type[Body], **content: Any) -> Body:
        for attempt in range(self._retries + 1):
            try:
                response = self._http.request(method, self._url + path, **content)
            except httpx2.HTTPError as error:
                raise EndpointError(f"{self._url}: no answer from the service ({error})") from error
            if response.status_code not in _BUSY or attempt == self._retries:
                break
            time.sleep(_wait(response.headers.get("Retry-After", ""), attempt))
        if response.status_code != httpx2.codes.OK:
            raise self._problem(response)
        try:
            return form.model_validate_json(response.content)
        except ValidationError as error:
            raise EndpointError(f"{self._url}{path}: not the answer of candor serve: {_first(error)}") from error

    def _problem(self, response: httpx2.Response) -> EndpointError | RefusedError:
        try:
            said = Problem.model_validate_json(response.content).detail
        except ValidationError:
            said = "it says nothing of why"
        status = response.status_code
        if status in _AT_FAULT:
            return RefusedError(f"the service refuses this claim ({status}): {said}")
        hint = "; give the service's token" if status == httpx2.codes.UNAUTHORIZED else ""
        return EndpointError(f"{self._url}: the service answers {status}: {said}{hint}")


def _wait(asked: str, attempt: int) -> float:
    """Seconds until the next attempt: as the service asks, or twice as long each time."""
    seconds = float(asked) if asked.isdecimal() else 0.5 * 2**attempt
    return min(seconds, LONGEST_WAIT)


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']}" if place else str(found["msg"])
