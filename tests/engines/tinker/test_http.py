"""What is sent again, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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
