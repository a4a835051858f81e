"""The client and the service, one against the other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from running import FakeVerifier, Running, running
from werkzeug import Request, Response

import candor
from candor.errors import EndpointError, RefusedError
from candor.serve.client import Client, _wait
from candor.serve.settings import Settings


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(FakeVerifier(), Settings(token="secret", max_body=20_000)) as one:
        yield one


def test_claims_are_judged(service: Running) -> None:
    with candor.Client(service.url, token="secret") as client:
        answer = client.verify("four", ["evidence"])
        assert (answer.label, answer.confidence, answer.accepted) == ("NA", 0.04, None)
        assert (answer.label_probs.PASS, answer.label_probs.FAIL, answer.label_probs.NA) == (0.2, 0.3, 0.5)
        assert [one.confidence for one in client.verify_many([("a", []), ("bb", ["c", "d"])])] == [0.01, 0.02]
        assert client.health().model == "fake"


def test_what_is_wrong_with_a_claim_is_said(service: Running) -> None:
    with Client(service.url, token="secret") as client:
        with pytest.raises(RefusedError, match=r"422.*this claim cannot be used"):
            client.verify("unusable")
        with pytest.raises(RefusedError, match="claim"):
            client.verify("")
        with pytest.raises(RefusedError, match=r"give a list of sentences, \[evidence\]"):
            client.verify("a claim", "one sentence")
        with pytest.raises(RefusedError, match="413"):
            client.verify("long", ["x" * 7_000] * 3)
        assert client.verify("after all that").label == "NA"


def test_a_wrong_token_and_a_service_that_is_not_there(service: Running) -> None:
    with Client(service.url) as client, pytest.raises(EndpointError, match=r"401.*give the service's token"):
        client.verify("a claim")
    with Client("http://127.0.0.1:9", retries=0) as client, pytest.raises(EndpointError, match="no answer from"):
        client.health()
    with pytest.raises(EndpointError, match="starts with http"):
        Client("127.0.0.1:8000")
    with pytest.raises(EndpointError, match="timeout is 0"):
        Client(service.url, timeout=0)


ANSWER = {
    "label": "PASS",
    "confidence": 0.9,
    "label_probs": {"PASS": 0.8, "FAIL": 0.1, "NA": 0.1},
    "valid_mass": 1.0,
    "accepted": True,
    "evidence_dropped": 0,
    "evidence_cut": 0,
}


def test_a_busy_service_is_asked_again(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    replies = [Response("", 429, {"Retry-After": "2"}), Response("", 504), Response(json.dumps(ANSWER), 200)]

    def reply(request: Request) -> Response:
        return replies.pop(0)

    httpserver.expect_request("/verify", method="POST").respond_with_handler(reply)
    with Client(httpserver.url_for("")) as client:
        assert client.verify("a claim").accepted is True
        assert slept == [2.0, 1.0]
        replies += [Response('{"detail": "full"}', 429)] * 4
        with pytest.raises(EndpointError, match="429: full"):
            client.verify("a claim")
    assert replies == []


def test_what_is_no_answer_is_none(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/verify").respond_with_json(ANSWER | {"confidence": 7})
    with Client(httpserver.url_for("")) as client, pytest.raises(EndpointError, match=r"not the answer.*confidence"):
        client.verify("a claim")
    httpserver.clear()
    httpserver.expect_request("/verify").respond_with_data("<html>", 500)
    with Client(httpserver.url_for("")) as client, pytest.raises(EndpointError, match="500: it says nothing of why"):
        client.verify("a claim")


def test_waits_are_bounded() -> None:
    assert [_wait("", attempt) for attempt in (0, 1, 2, 9)] == [0.5, 1.0, 2.0, 30.0]
    assert (_wait("7", 0), _wait("9999", 0), _wait("Wed, 21 Oct", 1)) == (7.0, 30.0, 1.0)
