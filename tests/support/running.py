"""A service in a thread of the test's own process, on a free port, and a client for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from candor.errors import DataError
from candor.prompts.encoding import EncodedPrompt
from candor.serve.server import make_server
from candor.serve.settings import Settings
from candor.types import Label
from candor.verifier import Verdict


class FakeVerifier:
    """Answers at once, or once ``gate`` opens; its confidence is the length of the claim in hundredths."""

    name = "fake"
    abstention = None

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.seconds = 0.0

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def encode(self, claim: str, evidence: tuple[str, ...]) -> EncodedPrompt:
        if claim == "unusable":
            raise DataError("this claim cannot be used")
        return EncodedPrompt(tuple(claim.encode()), len(evidence))

    def judge(self, encoded: list[EncodedPrompt]) -> list[Verdict]:
        self.batches.append(len(encoded))
        self.gate.wait(30)
        time.sleep(self.seconds)
        if any(bytes(one.tokens) == b"break" for one in encoded):
            raise RuntimeError("secret words of a traceback")
        return [
            Verdict(Label.NA, len(one.tokens) % 101 / 100, (0.2, 0.3, 0.5), 0.9, None, one.evidence_dropped)
            for one in encoded
        ]


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """Where a service listens, and how to stop it."""

    port: int
    server: uvicorn.Server
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            sent = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body, sent | headers)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def counted(self, name: str, **headers: str) -> float:
        """The sum of all counters whose line in the metrics begins so."""
        lines = self.call("GET", "/metrics", **headers).body.decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def begin(self, count: int, sent: bytes) -> list[socket.socket]:
        """Connections over which the same beginning of a request was sent."""
        connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            connection.sendall(sent)
            connections.append(connection)
        return connections

    def verify(self, claim: str, evidence: list[str] | None = None, **headers: str) -> Reply:
        body = json.dumps({"claim": claim, "evidence": evidence or []}).encode()
        return self.call("POST", "/verify", body, **headers)


def wait_until(condition: object) -> None:
    assert callable(condition)
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError


@contextlib.contextmanager
def running(verifier: Any, settings: Settings | None = None) -> Iterator[Running]:
    """Serve while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = make_server(verifier, settings or Settings(), log_level="critical")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Running(listening.getsockname()[1], server, thread)
        finally:
            server.should_exit = True
            thread.join(30)
