"""What every request passes first, without a server around it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from candor.serve.guard import Guard, json_response
from candor.serve.metrics import Metrics
from candor.serve.settings import Settings

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
    disconnects: bool = False,
) -> tuple[int, Event, App]:
    """Status, headers and text of the answer, and the application behind the guard."""
    app = App()
    guard = Guard(
        app,  # type: ignore[arg-type]
        settings=settings or Settings(max_body=10),
        protected=frozenset({"/verify"}),
        metrics=metrics or Metrics(),
    )
    events = [{"type": "http.request", "body": part, "more_body": n < len(parts) - 1} for n, part in enumerate(parts)]
    if disconnects:
        events = [{**event, "more_body": True} for event in events] + [{"type": "http.disconnect"}]
    sent: list[Event] = []

    async def receive() -> Any:
        if not events and stalls:
            await asyncio.sleep(60)
        return events.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    asyncio.run(guard({"type": "http", "path": path, "headers": encoded}, receive, send))
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


def test_a_client_that_hangs_up_leaves_what_it_sent() -> None:
    _, _, app = call(b"abc", disconnects=True)
    assert app.body == b"abc"


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
    guard = Guard(app, settings=Settings(token="t"), protected=frozenset({"/"}), metrics=Metrics())  # type: ignore[arg-type]
    asyncio.run(guard({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert app.scopes == [{"type": "lifespan"}]


def test_a_problem_can_name_anything_in_ascii() -> None:
    response = json_response(422, "\ud800 ✓", {"Retry-After": "1"})
    assert response.status_code == 422
    assert response.headers["retry-after"] == "1"
    assert bytes(response.body).isascii()
    assert json.loads(response.body)["detail"] == "\ud800 ✓"
