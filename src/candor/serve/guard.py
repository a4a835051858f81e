"""What every request passes first: the token, the size of its body, the time it may take to arrive; and counting."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from candor.serve.metrics import Metrics
from candor.serve.settings import Settings


def json_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as JSON; in ASCII, so that whatever a client sent can be named."""
    return Response(json.dumps({"detail": detail}), status, headers=dict(headers or {}), media_type="application/json")


class Guard:
    """ASGI middleware. It reads a request's whole body before anything else looks at it."""

    def __init__(self, app: ASGIApp, *, settings: Settings, protected: frozenset[str], metrics: Metrics) -> None:
        """Wrap ``app``; paths in ``protected`` ask for the token."""
        self._app = app
        self._settings = settings
        self._protected = protected
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._guarded(scope, receive, counted)
        finally:
            if scope["path"] == "/verify":
                self._metrics.requests.labels(str(status)).inc()
                self._metrics.seconds.observe(time.monotonic() - started)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if scope["path"] in self._protected and not self._may(headers.get(b"authorization", b"")):
            refused = json_response(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
            await refused(scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        too_large = json_response(
            413, f"a request has at most {self._settings.max_body} bytes", {"Connection": "close"}
        )
        if length.isdigit() and int(length) > self._settings.max_body:
            await too_large(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._settings.timeout):
                body = await self._body(receive)
        except TimeoutError:
            late = json_response(408, "the request's body did not arrive in time", {"Connection": "close"})
            await late(scope, receive, send)
            return
        if body is None:
            await too_large(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _may(self, authorization: bytes) -> bool:
        token = self._settings.token
        if token is None:
            return True
        kind, _, given = authorization.partition(b" ")
        return kind.lower() == b"bearer" and secrets.compare_digest(given.strip(), token.encode())

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or ``None`` once it is too large."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            if len(body) > self._settings.max_body:
                return None
            more = message.get("more_body", False)
        return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then whatever else comes."""
    first: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return first.pop() if first else await receive()

    return next_message
