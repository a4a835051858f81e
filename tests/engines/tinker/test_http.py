"""What is sent again, and what is not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from running_server import why_no_server

if _reason := why_no_server(("httpx",)):
    pytest.skip(_reason, allow_module_level=True)

import httpx

from candor.engines.tinker import http
from candor.engines.tinker.http import LOST, PatientTransport

Answer = httpx.Response | Exception


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleep not at all, but note for how long it would have been; the clock goes on by as much."""
    slept: list[float] = []
    monkeypatch.setattr(http.time, "monotonic", lambda: sum(slept))

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(http.asyncio, "sleep", sleep)
    return slept


def _ask(path: str, answers: list[Answer], patience_s: float = 100.0) -> tuple[httpx.Response, int]:
    """The final answer to a request whose attempts are answered one after the other, and how many there were."""
    asked = iter(answers)
    count = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        found = next(asked)
        if isinstance(found, Exception):
            raise found
        return found

    async def send() -> httpx.Response:
        transport = PatientTransport(httpx.MockTransport(answer), patience_s=patience_s)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.post(f"http://service/api/v1/{path}", json={})

    return asyncio.run(send()), count


def _ok() -> httpx.Response:
    return httpx.Response(200, json={"request_id": "1"})


HARMLESS: list[Callable[[], Answer]] = [
    lambda: httpx.Response(500),
    lambda: httpx.Response(503),
    lambda: httpx.ReadError("broken"),
    lambda: httpx.ReadTimeout("late"),
    lambda: httpx.RemoteProtocolError("closed"),
]


@pytest.mark.parametrize("failure", HARMLESS)
def test_a_question_is_asked_again(failure: Callable[[], Answer]) -> None:
    response, count = _ask("retrieve_future", [failure(), failure(), _ok()])
    assert response.json() == {"request_id": "1"}
    assert count == 3


@pytest.mark.parametrize("failure", HARMLESS)
@pytest.mark.parametrize("path", ["forward_backward", "optim_step", "save_weights_for_sampler", "create_model"])
def test_what_changes_the_adapter_is_sent_once(path: str, failure: Callable[[], Answer]) -> None:
    response, count = _ask(path, [failure(), _ok()])
    assert (response.status_code, count) == (LOST, 1)


@pytest.mark.parametrize("failure", [lambda: httpx.Response(429), lambda: httpx.ConnectError("nobody there")])
def test_what_cannot_have_been_carried_out_is_sent_again(failure: Callable[[], Answer]) -> None:
    response, count = _ask("optim_step", [failure(), failure(), failure(), _ok()])
    assert (response.status_code, count) == (200, 4)


@pytest.mark.parametrize("status", [200, 400, 401, 404, 408, 422])
def test_all_other_answers_are_the_sdks_to_judge(status: int) -> None:
    response, count = _ask("forward_backward", [httpx.Response(status)])
    assert (response.status_code, count) == (status, 1)


def test_waiting_grows_and_ends(no_waiting: list[float]) -> None:
    response, count = _ask("asample", [httpx.Response(500) for _ in range(99)], patience_s=60.0)
    assert response.status_code == LOST
    assert "status 500, for 60 s" in response.json()["detail"]
    assert count < 20
    assert no_waiting[0] < 0.5 < no_waiting[3] < no_waiting[5]
    assert sum(no_waiting) <= 60.0
    assert max(no_waiting) <= 1.25 * http.LONGEST_WAIT_S


def test_a_service_that_says_how_long_is_given_the_time(no_waiting: list[float]) -> None:
    _ask("asample", [httpx.Response(429, headers={"retry-after": "7"}), _ok()])
    assert no_waiting == [7.0]
    _ask("asample", [httpx.Response(429, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), _ok()])
    assert no_waiting[1] < 1.0, "a date is not waited for, the usual time is"


@contextlib.contextmanager
def _server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server's address, and the path and key of each request that it was sent."""
    seen: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.path, self.headers.get("X-API-Key")))
            answer(self)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def _say(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": "0", **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_redirect_takes_the_key_to_another_origin(status: int, host: str) -> None:
    async def ask(url: str) -> httpx.Response:
        async with http.patient_client(patience_s=5.0, in_flight=1) as client:
            return await client.post(url, json={}, headers={"X-API-Key": "secret"})

    with _server(lambda handler: _say(handler, 200)) as (elsewhere, stolen):
        elsewhere = elsewhere.replace("127.0.0.1", host)
        with _server(lambda handler: _say(handler, status, Location=f"{elsewhere}/api")) as (service, seen):
            response = asyncio.run(ask(f"{service}/api/v1/optim_step"))
    assert response.status_code == LOST
    assert f"sent it on to {elsewhere}" in response.json()["detail"]
    assert "secret" not in response.text
    assert (len(seen), stolen) == (1, [])


def test_a_redirect_on_the_same_origin_is_followed() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        _say(handler, 200) if handler.path.endswith("/") else _say(handler, 307, Location=f"{handler.path}/")

    async def ask(url: str) -> httpx.Response:
        async with http.patient_client(patience_s=5.0, in_flight=1) as client:
            return await client.post(url, json={}, headers={"X-API-Key": "secret"})

    with _server(answer) as (service, seen):
        assert asyncio.run(ask(f"{service}/api/v1/asample")).status_code == 200
    assert seen == [("/api/v1/asample", "secret"), ("/api/v1/asample/", "secret")]
