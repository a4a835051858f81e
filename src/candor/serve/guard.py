"""What every request passes first: host, token, path, the size of its body, the time it may take; and counting."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from candor.serve.metrics import Metrics
from candor.serve.settings import Settings

CLIENT_GONE: Final = 499
"""Status under which a request is counted whose client did not wait for the answer."""


_HOST: Final = re.compile(r"(?P<name>[^\s:/@\[\]]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


class _TooLargeError(Exception):
    """A body has more bytes than it may have."""


def is_allowed(host: str, hosts: Collection[str]) -> bool:
    """Whether a ``Host`` header names the service.

    Args:
        host: the header.
        hosts: names with a port, or without one for any; addresses of IPv6 in brackets.

    >>> is_allowed("LOCALHOST:8000", ["localhost:8000"]), is_allowed("localhost:80", ["localhost:8000"])
    (True, False)
    >>> is_allowed("candor.example:1234", ["candor.example"]), is_allowed("evil.example", ["candor.example"])
    (True, False)
    """
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return False
    name, port = match["name"], match["port"] or "80"
    return any(allowed.lower() in (name, f"{name}:{port}") for allowed in hosts)


def json_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as JSON; in ASCII, so that whatever a client sent can be named."""
    return Response(json.dumps({"detail": detail}), status, headers=dict(headers or {}), media_type="application/json")


class Guard:
    """ASGI middleware. It refuses what is not allowed by name, and reads a request's whole body before all else.

    Every request to ``/verify`` is counted, and every one that is refused here, wherever it was to go.
    """

    def __init__(
        self, app: ASGIApp, *, settings: Settings, open_paths: Collection[str], paths: Collection[str], metrics: Metrics
    ) -> None:
        """Wrap ``app``.

        Args:
            app: what answers the requests that pass.
            settings: bounds, token and hosts.
            open_paths: these alone can be read without the token.
            paths: all there are, sign by sign.
            metrics: counts.
        """
        self._app = app
        self._settings = settings
        self._open = frozenset(open_paths)
        self._paths = frozenset(paths)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"a connection of type {scope['type']} came in, and there is nothing that takes it")
        started = time.monotonic()
        status = CLIENT_GONE

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        passed = False
        try:
            found = await self._admit(scope, receive)
            passed = isinstance(found, bytes)
            if isinstance(found, bytes):
                await self._app(scope, _replay(found, receive), counted)
            elif found is not None:
                await found(scope, receive, counted)
        finally:
            if scope["path"] == "/verify" or not passed:
                self._metrics.requests.labels(str(status)).inc()
            if scope["path"] == "/verify":
                self._metrics.seconds.observe(time.monotonic() - started)

    async def _admit(self, scope: Scope, receive: Receive) -> bytes | Response | None:
        """The body of a request that may pass, or why it may not; ``None`` if the client has hung up."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            return refusal
        too_large = json_response(
            413, f"a request has at most {self._settings.max_body} bytes", {"Connection": "close"}
        )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._settings.max_body:
            return too_large
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._body(receive)
        except TimeoutError:
            return json_response(408, "the request's body did not arrive in time", {"Connection": "close"})
        except _TooLargeError:
            return too_large

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
        hosts = self._settings.hosts
        if hosts is not None and not is_allowed(headers.get(b"host", b"").decode("latin-1"), hosts):
            return json_response(421, "this service is not known by that name; --allow-host adds one")
        readable = scope["path"] in self._open and scope["method"] == "GET"
        if not readable and not self._may(headers.get(b"authorization", b"")):
            return json_response(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
        if scope["path"] not in self._paths:
            # Asked here too, because a router that goes by patterns takes more for a path than what it was given.
            return json_response(404, "there is nothing at this path")
        return None

    def _may(self, authorization: bytes) -> bool:
        token = self._settings.token
        if token is None:
            return True
        kind, _, given = authorization.partition(b" ")
        return kind.lower() == b"bearer" and secrets.compare_digest(given.strip(), token.encode())

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or ``None`` if the client hung up before it was there."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._settings.max_body:
                raise _TooLargeError
            more = message.get("more_body", False)
        return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then whatever else comes."""
    first: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return first.pop() if first else await receive()

    return next_message
