"""Connections under bounds: half-sent requests lock nobody out, and what is there is answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from running import FakeVerifier, running, wait_until

from candor.serve.settings import Settings

BODY = json.dumps({"claim": "x", "evidence": []}).encode()
HALF = b"POST /verify HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def fake() -> FakeVerifier:
    return FakeVerifier()


@pytest.mark.parametrize("sent", [b"POST /verify HTTP/1.1\r\nHost: x\r\n", b"", b"GET"])
def test_half_sent_requests_lock_nobody_out(sent: bytes, fake: FakeVerifier) -> None:
    bounds = Settings(max_connections=20, max_queue=8, max_batch=4, header_timeout=60)
    with running(fake, bounds) as service, contextlib.ExitStack() as held:
        for connection in service.begin(300, sent):
            held.enter_context(connection)
        for _ in range(3):
            assert service.call("GET", "/healthz").status == 200
            assert service.verify("x").status == 200
        assert len(service.server.server_state.connections) <= 20
        assert service.counted('candor_connections_closed_total{reason="limit"}') >= 280


def test_an_answer_is_not_kept_back_until_the_client_acknowledges_its_headers(fake: FakeVerifier) -> None:
    """With Nagle's algorithm every answer on a kept connection came 40 ms late."""
    with running(fake) as service:
        (connection,) = service.begin(1, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            (protocol,) = service.server.server_state.connections
            held = protocol.transport.get_extra_info("socket")
            assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_few_files_are_enough(fake: FakeVerifier) -> None:
    """Where the system lets a process open few files, connections keep within them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, hard))
    try:
        with running(fake) as service:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            with contextlib.ExitStack() as held:
                for connection in service.begin(200, HALF):
                    held.enter_context(connection)
                assert service.call("GET", "/healthz").status == 200
                assert len(service.server.server_state.connections) <= 120 - 64
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_headers_have_a_deadline_and_drops_do_not_move_it(fake: FakeVerifier) -> None:
    with running(fake, Settings(header_timeout=0.5)) as service:
        (silent,) = service.begin(1, b"")
        (slow,) = service.begin(1, HALF)
        answer = b""
        slow.settimeout(0.1)
        for _ in range(300):
            with contextlib.suppress(TimeoutError):
                slow.sendall(b"X-A: b\r\n")
                answer = slow.recv(1000)
                break
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
        assert silent.recv(1000) == b""
        assert service.counted('candor_requests_total{status="408"}') == 1
        assert service.counted('candor_connections_closed_total{reason="deadline"}') == 2
        silent.close()
        slow.close()


def test_a_body_that_nobody_wants_has_the_same_deadline() -> None:
    """Each drop of it would begin uvicorn's own waiting anew."""
    with running(FakeVerifier(), Settings(token="sesame", header_timeout=0.5)) as service:
        (slow,) = service.begin(1, b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{")
        assert slow.recv(1000).startswith(b"HTTP/1.1 401")
        closed = False
        for _ in range(300):
            try:
                slow.sendall(b" ")
            except OSError:
                closed = True
                break
            time.sleep(0.1)
        assert closed
        slow.close()


def test_a_connection_may_be_used_for_longer_than_the_deadline(fake: FakeVerifier) -> None:
    with running(fake, Settings(header_timeout=0.5)) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        fake.seconds = 0.4
        for _ in range(4):
            connection.request("POST", "/verify", BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
        connection.close()


def test_a_complete_request_is_not_given_up_for_another(fake: FakeVerifier) -> None:
    bounds = Settings(max_connections=1, max_queue=6, max_batch=1, header_timeout=60)
    with running(fake, bounds) as service, ThreadPoolExecutor(6) as pool, contextlib.ExitStack() as held:
        fake.gate.clear()
        replies = [pool.submit(service.verify, "x") for _ in range(6)]
        wait_until(lambda: service.call("GET", "/healthz").json["waiting"] == 5)
        for connection in service.begin(40, HALF):
            held.enter_context(connection)
        fake.gate.set()
        assert {reply.result().status for reply in replies} == {200}
