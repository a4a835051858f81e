"""A proxy on the loopback device that spoils what passes through it, on demand.

Of the standard library alone: it breaks connections, and the environment of the SkyRL server has no test server.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Kind = Literal["429", "500", "503", "drop before", "drop after", "500 after", "late"]
"""What happens to a request: an answer of the proxy's own, or a connection that breaks. ``before`` it reaches the
server (as all that is not said to be after), or ``after`` the server has answered, so that it was carried out."""


@dataclass
class Fault:
    """One kind of fault on requests to some path.

    Attributes:
        kind: what happens.
        path: last part of the path of the requests that it happens to.
        skip: so many of them pass before it.
        times: so many are spoiled.
        then: called when the first is.
    """

    kind: Kind
    path: str
    skip: int = 0
    times: int = 1
    then: Callable[[], None] | None = None
    spoiled: int = 0

    def strikes(self, path: str) -> bool:
        """Whether this request is to be spoiled; counts."""
        if path.rstrip("/").rsplit("/", 1)[-1] != self.path or self.spoiled >= self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.spoiled += 1
        if self.then and self.spoiled == 1:
            self.then()
        return True


class Proxy:
    """Stands between a client and the server at ``port``; faults are in ``faults``, requests seen in ``seen``."""

    def __init__(self, port: int) -> None:
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self.late_s = 3.0
        self._port = port
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy._pass(self)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _pass(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        with self._lock:
            self.seen.append(handler.path.rsplit("/", 1)[-1])
            fault = next((fault for fault in self.faults if fault.strikes(handler.path)), None)
        kind = fault.kind if fault else None
        if kind in ("429", "500", "503"):
            return _answer(handler, int(kind), b'{"detail": "spoiled"}')
        if kind == "drop before":
            return _drop(handler)
        if kind == "late":
            time.sleep(self.late_s)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=400)
            headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
            connection.request(handler.command, handler.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return _drop(handler)
        if kind == "drop after":
            return _drop(handler)
        if kind == "500 after":
            return _answer(handler, 500, b'{"detail": "spoiled"}')
        return _answer(
            handler, response.status, content, response.getheader("content-type"), response.getheader("location")
        )

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def _answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    kind: str | None = "application/json",
    location: str | None = None,
) -> None:
    handler.send_response(status)
    handler.send_header("content-type", kind or "application/octet-stream")
    handler.send_header("content-length", str(len(content)))
    if location:
        handler.send_header("location", location)
    handler.end_headers()
    handler.wfile.write(content)


def _drop(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()
