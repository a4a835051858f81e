"""Connections under bounds: how many there are, and how long one may take until a request's headers are there.

uvicorn waits for headers without end, and for the rest of a body that nobody wants any more. Here a connection that
keeps the service waiting for a request has ``header_timeout`` seconds. Once there are as many connections as there
may be, a new one takes the place of the one that has kept the service waiting longest, so that half-sent requests
never lock others out. A request that is complete is never given up for another.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from candor.serve.metrics import Metrics
from candor.serve.settings import Settings

OTHER_FILES: Final = 64
"""Open files that the process needs beside its connections."""

_DETAIL: Final = b'{"detail": "the headers of the request did not arrive in time"}'
TOO_LATE: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_DETAIL), _DETAIL)
)
"""Written as it is: where no request has arrived there is none that the server could answer."""


def _open_files() -> int:
    """How many files the process may have open at a time."""
    if sys.platform == "win32":
        return sys.maxsize  # bounded by memory alone
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


class Door:
    """What the connections of one service share: their bounds, and which of them keep it waiting."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.header_timeout = settings.header_timeout
        # Requests that are complete are not closed; more of them than wait and are judged there cannot be for long.
        wanted = max(settings.max_connections, settings.max_queue + 2 * settings.max_batch)
        self.max_connections = max(1, min(wanted, _open_files() - OTHER_FILES))
        self.metrics = metrics
        self.waiting: dict[BoundedProtocol, asyncio.TimerHandle] = {}
        """Connections that wait for a request to arrive, the longest first."""

    def make_room(self, connections: int) -> bool:
        """Whether there is room for one more beside so many; if need be, by closing the one that waited longest."""
        if connections < self.max_connections:
            return True
        oldest = next(iter(self.waiting), None)
        if oldest is None:
            return False
        oldest.give_up()
        self.metrics.closed.labels("limit").inc()
        return True


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(self, *, door: Door, **options: Any) -> None:
        super().__init__(**options)
        self._door = door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take the connection in, or close it at once where all others are busy."""
        room = self._door.make_room(len(self.connections))
        super().connection_made(transport)
        # asyncio does this where a socket was made with the protocol's number, which socket.create_server leaves out.
        # Without it the kernel keeps an answer's body back until the client has acknowledged its headers: 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if room:
            self._wait()
        else:
            self._door.metrics.closed.labels("limit").inc()
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle what came; what comes drop by drop gets no more time for it."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        super().on_response_complete()
        self._watch()

    def give_up(self) -> None:
        """Close the connection, whatever was under way."""
        self._wait_no_more()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self.transport.abort()

    def _watch(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing() or not (answered or self.conn.their_state is h11.SEND_BODY):
            self._wait_no_more()
        elif self not in self._door.waiting:
            self._wait()

    def _wait(self) -> None:
        timer = self.loop.call_later(self._door.header_timeout, self._too_late)
        self._door.waiting[self] = timer

    def _wait_no_more(self) -> None:
        timer = self._door.waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _too_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait()  # for a body, which has a deadline of its own; this one is for what may come behind the answer
            return
        self._door.metrics.closed.labels("deadline").inc()
        begun, _ = self.conn.trailing_data
        if begun and self.conn.our_state is h11.IDLE:
            self._door.metrics.requests.labels("408").inc()
            self.transport.write(TOO_LATE)
        self._wait_no_more()
        self._unset_keepalive_if_required()
        self.transport.close()
