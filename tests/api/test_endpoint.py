"""A server asked from Python, in a notebook's event loop too."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from chat_server import ChatServer, serve_chat
from pytest_httpserver import HTTPServer

import candor
from candor.errors import DataError, EndpointError


@pytest.fixture
def server(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    monkeypatch.setenv("NO_PROXY", "*")
    return serve_chat(httpserver)


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    rows = [{"id": str(n), "claim": f"Claim {n}.", "evidence": ["It is."], "label": "NA"} for n in range(6)]
    path = tmp_path / "claims.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_claims_are_answered_once(server: ChatServer, claims: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    answers = candor.ask_endpoint(claims, out, url=f"{server.url}/v1", model="m", key="secret", quiet=True)
    assert [(row.label, row.confidence) for row in answers] == [("NA", 0.4)] * 6
    assert server.keys == {"Bearer secret"}
    asked = len(server.bodies)
    again = candor.ask_endpoint(claims, out, url=f"{server.url}/v1", model="m", quiet=True)
    assert again == answers
    assert len(server.bodies) == asked
    with pytest.raises(DataError, match=r"holds the answers of m at .* not those of other at"):
        candor.ask_endpoint(claims, out, url=f"{server.url}/v1", model="other", quiet=True)
    with pytest.raises(DataError, match=r"holds answers to the prompt 'verdict' .* than 'verdict-short' has"):
        candor.ask_endpoint(claims, out, url=f"{server.url}/v1", model="m", template="verdict-short", quiet=True)
    claims.write_text(claims.read_text().replace("Claim 3.", "Claim 33."), encoding="utf-8")
    with pytest.raises(DataError, match="name another file"):
        candor.ask_endpoint(claims, out, url=f"{server.url}/v1", model="m", quiet=True)


def test_it_works_inside_a_running_event_loop(server: ChatServer, claims: Path, tmp_path: Path) -> None:
    async def cell() -> candor.Predictions:
        return candor.ask_endpoint(claims, tmp_path / "out.jsonl", url=f"{server.url}/v1", model="m", quiet=True)

    assert len(asyncio.run(cell())) == 6


def test_refused_claims_are_an_error_or_wrong_answers(server: ChatServer, claims: Path, tmp_path: Path) -> None:
    server.refuses_words = {"Claim 3."}
    out = tmp_path / "out.jsonl"
    with pytest.raises(EndpointError, match=r"refuses 1 of 6 claims, the first of them '3'.*refused_as_wrong=True"):
        candor.ask_endpoint(claims, out, url=f"{server.url}/v1", model="m", quiet=True)
    assert not out.exists()
    answers = candor.ask_endpoint(claims, out, url=f"{server.url}/v1", model="m", refused_as_wrong=True, quiet=True)
    assert [row.label for row in answers].count(None) == 1
