"""The application's routes and what its documentation says; under load and abuse it is tested in test_service.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from running import FakeVerifier, Running, running

import candor
from candor.serve.app import OPEN, PAGE_HEADERS
from candor.serve.settings import Settings


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(FakeVerifier(), Settings(token="secret")) as one:
        yield one


def test_what_asks_for_the_token_and_what_does_not(service: Running) -> None:
    assert {"/", "/page.css", "/page.js", "/healthz"} == OPEN
    for path in OPEN:
        assert service.call("GET", path).status == 200, path
    assert service.verify("abc").status == 401
    for path in ("/metrics", "/openapi.json"):
        assert service.call("GET", path).status == 401, path
    allowed = {"Authorization": "Bearer secret"}
    assert service.verify("abc", **allowed).json["confidence"] == 0.03
    assert b'candor_verdicts_total{accepted="none",label="NA"}' in service.call("GET", "/metrics", **allowed).body


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")]
)
def test_the_page_and_its_parts_may_load_nothing_from_elsewhere(service: Running, path: str, kind: str) -> None:
    answer = service.call("GET", path)
    assert answer.headers["content-type"].startswith(kind)
    for name, value in PAGE_HEADERS.items():
        assert answer.headers[name.lower()] == value
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_every_way_to_fail_is_documented(service: Running) -> None:
    described = service.call("GET", "/openapi.json", Authorization="Bearer secret").json
    assert described["info"]["version"] == candor.__version__
    verify = described["paths"]["/verify"]["post"]
    assert set(verify["responses"]) == {"200", "400", "401", "408", "413", "421", "422", "429", "500", "504"}
    assert verify["security"] == [{"HTTPBearer": []}]
    assert set(described["paths"]) == {"/verify", "/healthz", "/metrics"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "JSON decode error"),
        (b'{"claim": "a", "evidence": [1]}', 422, "evidence.0: Input should be a valid string"),
        (b'{"claim": "unusable", "evidence": []}', 422, "this claim cannot be used"),
        (b'{"claim": "break", "evidence": []}', 500, "something broke in the service; its log says what"),
    ],
)
def test_problems_have_one_form_and_give_nothing_away(service: Running, body: bytes, status: int, words: str) -> None:
    answer = service.call("POST", "/verify", body, Authorization="Bearer secret")
    assert answer.status == status
    assert words in answer.json["detail"]
    assert set(answer.json) == {"detail"}
    assert b"secret words" not in answer.body
