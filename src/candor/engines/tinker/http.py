"""Requests to a Tinker service over a connection that fails: repeated where that is harmless, and only there.

A request that changes the adapter must not reach the service twice: SkyRL's server, for one, carries out whatever it
is sent, also what an SDK sends again because the answer got lost. So only what cannot have been carried out (refused
for its rate, or no connection made) and what may be carried out twice (a question, a sample) is sent again. All else
is answered with status 424, ``LOST``, which the SDK does not repeat: whether it was carried out is not known, and
:mod:`candor.engines.tinker.service` goes back to where it is.

That rule lives in the transport, below the SDK's own retries, and is why it is not tenacity's, as elsewhere. The SDK
takes a client of httpx, which it brings along; the rest of the package uses httpx2.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

import httpx

logger = logging.getLogger(__name__)

LOST: Final = 424
"""Status put in the place of an answer that never came."""

CHANGING: Final = frozenset(
    {
        "create_model",
        "forward_backward",
        "load_weights",
        "optim_step",
        "save_weights",
        "save_weights_for_sampler",
        "unload_model",
    }
)
"""Last part of the path of requests that must not be carried out twice."""

ORIGIN: Final = "candor.origin"
"""Under this name a request's extensions say where it was meant to go."""

NEVER_ARRIVED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 20.0
KEEP_ALIVE_S: Final = 2.0
"""Servers close idle connections after some five seconds; a request sent just then would be lost."""


class PatientTransport(httpx.AsyncBaseTransport):  # type: ignore[misc]  # httpx comes with the SDK alone
    """Sends requests through another transport, again and again up to a limit."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, patience_s: float) -> None:
        """Take the transport, and for how many seconds one request is tried."""
        self._inner = inner
        self._patience_s = patience_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, wait, send again; a request that is given up, or must not be repeated, is answered with ``LOST``."""
        # What follows a redirect inherits this from the request that was redirected.
        origin = request.extensions.setdefault(ORIGIN, _origin(request.url))
        if _origin(request.url) != origin:
            return _lost(request, f"the service sent it on to {_origin(request.url)}, which would be given the key")
        changing = request.url.path.rstrip("/").rsplit("/", 1)[-1] in CHANGING
        deadline = time.monotonic() + self._patience_s
        wait = FIRST_WAIT_S
        while True:
            asked_to_wait = 0.0
            try:
                response = await self._send(request)
                if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    asked_to_wait = _retry_after(response)
                elif response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return response
                elif changing:
                    return _lost(request, f"status {response.status_code}")
                failure = f"status {response.status_code}"
            except httpx.TransportError as error:
                failure = type(error).__name__
                if changing and not isinstance(error, NEVER_ARRIVED):
                    return _lost(request, failure)
            # Some chance in the waiting time keeps many clients from coming back all at once.
            pause = max(asked_to_wait, wait * random.uniform(0.75, 1.25))
            if time.monotonic() + pause > deadline:
                return _lost(request, f"{failure}, for {self._patience_s:g} s (engine.patience_s)")
            logger.debug("%s: %s; again in %.1f s", request.url.path, failure, pause)
            await asyncio.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT_S)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """One attempt, its answer read to the end, since a connection can also break in the middle of one."""
        response = await self._inner.handle_async_request(request)
        try:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            content = b"".join([part async for part in response.stream])
        finally:
            await response.aclose()
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=httpx.ByteStream(content),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the transport underneath."""
        await self._inner.aclose()


def patient_client(*, patience_s: float, in_flight: int) -> httpx.AsyncClient:
    """An HTTP client that waits out failures for up to ``patience_s`` seconds, with room for many requests at once.

    It follows redirects, but never to another origin: httpx would carry the key along, which goes in a header of its
    own, ``X-API-Key``.
    """
    limits = httpx.Limits(max_connections=in_flight + 16, keepalive_expiry=KEEP_ALIVE_S)
    transport = httpx.AsyncHTTPTransport(limits=limits)
    return httpx.AsyncClient(
        transport=PatientTransport(transport, patience_s=patience_s), timeout=60.0, follow_redirects=True
    )


def _origin(url: httpx.URL) -> str:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return f"{url.scheme}://{url.host}:{port}"


def _lost(request: httpx.Request, failure: str) -> httpx.Response:
    return httpx.Response(LOST, json={"detail": f"no answer to {request.url.path}: {failure}"}, request=request)


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the service asks to wait, 0 if it does not say so in seconds."""
    try:
        return max(0.0, float(response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0
