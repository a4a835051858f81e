"""What passes the guard: nothing that is not allowed by name, nothing uncounted, nobody who has hung up."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from running import FakeVerifier, Running, running, wait_until

from candor.serve.app import OPEN, create_app
from candor.serve.guard import Guard, is_allowed, json_response
from candor.serve.metrics import Metrics
from candor.serve.server import allowed_hosts
from candor.serve.settings import Settings

BODY = json.dumps({"claim": "x", "evidence": []}).encode()


@pytest.fixture
def fake() -> FakeVerifier:
    return FakeVerifier()


@pytest.fixture(scope="module")
def locked() -> Iterator[tuple[Running, FakeVerifier]]:
    verifier = FakeVerifier()
    with running(verifier, Settings(token="sesame")) as one:
        yield one, verifier


def raw(service: Running, method: str, target: str, headers: str = "", host: str | None = None) -> tuple[int, bytes]:
    """Status and body of a request whose target is sent sign by sign."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{service.port}'}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n{headers}\r\n".encode()
            + BODY
        )
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return answer.status, answer.read()


# -------------------------------------------------------------------------------------------------------- token

SUFFIXES = [
    *("", "/", "//", "%0A", "%0a", "%0D", "%0D%0A", "%00", "%20", "%09", "%2F", "%5C", "."),
    *("/.", "/..", "/../verify", "..;/", ";a=b", "?", "?token=sesame", "%3Fx", "%23x", "%E2%80%A8", "%C2%85", "%0Ax"),
    *("/%0A", ".json", "~", "%2e", ":", "%EF%BB%BF"),
]  # fmt: skip
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW")
ROUTES = sorted({route.path for route in create_app(FakeVerifier()).routes})  # type: ignore[attr-defined,arg-type]


@pytest.mark.parametrize("route", [*ROUTES, "/nothing", "*"])
def test_without_the_token_only_what_is_open_answers(route: str, locked: tuple[Running, FakeVerifier]) -> None:
    service, fake = locked
    paths = [route + suffix for suffix in SUFFIXES]
    if route != "*":
        paths += [
            "/" + route,
            "/." + route,
            "/healthz/.." + route,
            route.upper(),
            "/%2e" + route,
            f"http://127.0.0.1{route}",
        ]
    refused = 0
    before = service.counted("candor_requests_total", Authorization="Bearer sesame")
    for path in paths:
        status, body = raw(service, "POST", path)
        assert status in (400, 401), (path, status)
        refused += status == 401
        assert b"candor_" not in body
    for method in METHODS:
        status, body = raw(service, method, route)
        may = route in OPEN and method == "GET"
        assert (status == 200) == may, (method, route, status)
        if not may:
            assert status in (400, 401)
            refused += status == 401
    assert service.counted("candor_requests_total", Authorization="Bearer sesame") == before + refused
    assert fake.batches == []


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override: GET", "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz"]
)
@pytest.mark.parametrize("path", ["/verify", "/metrics", "/openapi.json", "/docs"])
def test_no_header_stands_for_a_method_or_a_path(header: str, path: str, locked: tuple[Running, FakeVerifier]) -> None:
    service, fake = locked
    for method in ("GET", "POST", "DELETE"):
        assert raw(service, method, path, f"{header}\r\n")[0] == 401
    for authorization in (
        "Bearer",
        "Bearer ",
        "sesame",
        "Bearer sesame2",
        "Bearer sesam",
        "Basic sesame",
        "Bearer SESAME",
    ):
        assert raw(service, "POST", path, f"Authorization: {authorization}\r\n")[0] == 401
    assert fake.batches == []


def test_a_path_is_taken_sign_by_sign(fake: FakeVerifier) -> None:
    with running(fake) as service:
        for suffix in ("%0A", "/", "%0D", "%20"):
            assert raw(service, "POST", f"/verify{suffix}")[0] == 404
            assert raw(service, "GET", f"/metrics{suffix}")[0] == 404
        assert fake.batches == []
        assert service.counted('candor_requests_total{status="404"}') == 8
        assert raw(service, "POST", "/verify")[0] == 200


# -------------------------------------------------------------------------------------------------------- hosts


def test_on_loopback_only_its_own_names_are_answered(fake: FakeVerifier) -> None:
    with running(fake, Settings(hosts=("localhost", "127.0.0.1", "[::1]"))) as service:
        for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST", f"localhost:{service.port}"):
            assert raw(service, "POST", "/verify", host=host)[0] == 200
        judged = len(fake.batches)
        for host in (
            "evil.example",
            f"evil.example:{service.port}",
            "localhost.evil.example",
            "evil@localhost",
            "127.0.0.2",
        ):
            for path in ("/verify", "/metrics", "/", "/healthz"):
                assert raw(service, "GET", path, host=host)[0] == 421
        assert len(fake.batches) == judged
        assert (
            raw(service, "GET", "/healthz", f"X-Forwarded-Host: localhost:{service.port}\r\n", host="evil.example")[0]
            == 421
        )
        assert service.counted('candor_requests_total{status="421"}') == 21


def test_hosts_are_chosen_by_the_address() -> None:
    own = allowed_hosts("127.0.0.1", 8000)
    assert own is not None
    assert all(is_allowed(host, own) for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LocalHost:8000"))
    wrong = (
        "",
        "localhost",
        "localhost:8001",
        "evil:8000",
        "localhost:8000:8000",
        "localhost:8000@evil",
        "[::1",
        "::1:8000",
    )
    assert not any(is_allowed(host, own) for host in wrong)
    assert is_allowed("localhost", allowed_hosts("::1", 80) or ())
    assert is_allowed("127.0.0.5:1", allowed_hosts("127.0.0.5", 1) or ())
    assert allowed_hosts("0.0.0.0", 8000) is None
    named = allowed_hosts("0.0.0.0", 8000, ["candor.example"])
    assert named is not None
    assert is_allowed("candor.example", named)
    assert is_allowed("candor.example:8443", named)
    assert not is_allowed("evil.example", named)


# ----------------------------------------------------------------------------------------------------- hang-ups


def test_claims_of_clients_that_hang_up_leave_the_queue(fake: FakeVerifier) -> None:
    with running(fake, Settings(max_batch=1, max_queue=10)) as service, ThreadPoolExecutor(1) as pool:
        fake.gate.clear()
        first = pool.submit(service.verify, "first")
        wait_until(lambda: fake.batches == [1])
        head = (
            f"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        impatient = service.begin(10, head.encode() + BODY)
        wait_until(lambda: service.call("GET", "/healthz").json["waiting"] == 10)
        assert service.verify("one too many").status == 429
        for connection in impatient:
            connection.close()
        wait_until(lambda: service.call("GET", "/healthz").json["waiting"] == 0)
        fake.gate.set()
        assert first.result().status == 200
        assert service.verify("after").status == 200
        assert fake.batches == [1, 1]
        assert service.counted('candor_requests_total{status="499"}') == 10


def test_half_a_body_is_not_judged(fake: FakeVerifier) -> None:
    with running(fake) as service:
        head = "POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        (connection,) = service.begin(1, head.encode() + BODY)
        wait_until(lambda: service.server.server_state.tasks)
        connection.close()
        wait_until(lambda: service.counted('candor_requests_total{status="499"}') == 1)
        assert fake.batches == []


Event = dict[str, Any]


class App:
    """Remembers what reaches it."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.scopes: list[Event] = []

    async def __call__(self, scope: Event, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            self.body = (await receive())["body"]
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})


def call(
    *parts: bytes,
    path: str = "/verify",
    headers: dict[str, str] | None = None,
    settings: Settings | None = None,
    metrics: Metrics | None = None,
    stalls: bool = False,
) -> tuple[int, Event, App]:
    """Status, headers and text of the answer, and the application behind the guard."""
    app = App()
    guard = Guard(
        app,  # type: ignore[arg-type]
        settings=settings or Settings(max_body=10),
        open_paths={"/healthz"},
        paths={"/verify", "/healthz"},
        metrics=metrics or Metrics(),
    )
    events = [{"type": "http.request", "body": part, "more_body": n < len(parts) - 1} for n, part in enumerate(parts)]
    sent: list[Event] = []

    async def receive() -> Any:
        if not events and stalls:
            await asyncio.sleep(60)
        return events.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    method = "GET" if path == "/healthz" else "POST"
    scope = {"type": "http", "method": method, "path": path, "headers": encoded}
    asyncio.run(guard(scope, receive, send))
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], named | {"body": sent[1]["body"]}, app


def test_a_body_arrives_whole_and_once() -> None:
    status, _, app = call(b"abc", b"", b"def")
    assert status == 200
    assert app.body == b"abcdef"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer  s3cret ", 200),
        ("Bearer s3cre", 401),
        ("Bearer s3crets", 401),
        ("Basic s3cret", 401),
        ("s3cret", 401),
        ("", 401),
    ],
)
def test_the_token_is_asked_for_where_there_is_one(authorization: str, status: int) -> None:
    settings = Settings(token="s3cret", max_body=10)
    found, headers, app = call(b"a", headers={"Authorization": authorization}, settings=settings)
    assert found == status
    assert (app.body is None) == (status == 401)
    if status == 401:
        assert headers["www-authenticate"] == "Bearer"
        assert json.loads(headers["body"]) == {"detail": "a bearer token is needed"}
    assert call(b"a", path="/healthz", settings=settings)[0] == 200


@pytest.mark.parametrize(
    ("parts", "headers", "status"),
    [
        ((b"x" * 10,), {}, 200),
        ((b"x" * 11,), {}, 413),
        # A length that is told is believed before anything is read; one that lies is found out.
        ((b"x",), {"Content-Length": "11"}, 413),
        ((b"x" * 6, b"x" * 6), {"Content-Length": "5"}, 413),
        ((b"x",), {"Content-Length": "-1"}, 200),
    ],
)
def test_a_body_has_its_bound(parts: tuple[bytes, ...], headers: dict[str, str], status: int) -> None:
    found, answer, app = call(*parts, headers=headers)
    assert found == status
    if status == 413:
        assert app.body is None
        assert answer["connection"] == "close"
        assert b"at most 10 bytes" in answer["body"]


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    status, answer, app = call(stalls=True, settings=Settings(timeout=0.02))
    assert (status, answer["connection"], app.body) == (408, "close", None)


def test_only_questions_are_counted_by_their_status() -> None:
    metrics = Metrics()
    call(b"a", metrics=metrics)
    call(b"x" * 11, metrics=metrics)
    call(b"a", path="/healthz", metrics=metrics)
    text = metrics.text().decode()
    assert 'candor_requests_total{status="200"} 1.0' in text
    assert 'candor_requests_total{status="413"} 1.0' in text
    assert "candor_request_seconds_count 2.0" in text


def test_what_is_no_request_passes() -> None:
    app = App()
    guard = Guard(app, settings=Settings(token="t"), open_paths=(), paths=(), metrics=Metrics())  # type: ignore[arg-type]
    asyncio.run(guard({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert app.scopes == [{"type": "lifespan"}]


def test_a_problem_can_name_anything_in_ascii() -> None:
    response = json_response(422, "\ud800 ✓", {"Retry-After": "1"})
    assert response.status_code == 422
    assert response.headers["retry-after"] == "1"
    assert bytes(response.body).isascii()
    assert json.loads(response.body)["detail"] == "\ud800 ✓"
