"""The service under good and bad use: nothing lost, nothing mixed up, nothing told that should not be."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import FakeVerifier, Running, running, wait_until
from toy_run import CLAIMS
from typer.testing import CliRunner

from candor.cli.main import app
from candor.errors import CandorError
from candor.serve.settings import Settings
from candor.verifier import Verifier


@pytest.fixture
def fake() -> FakeVerifier:
    return FakeVerifier()


@pytest.fixture
def service(fake: FakeVerifier) -> Iterator[Running]:
    with running(fake, Settings(max_batch=8, max_queue=16, timeout=20, max_body=20_000)) as one:
        yield one


def test_it_answers_as_the_verifier_does(trained_run: Path) -> None:
    verifier = Verifier.load(trained_run, device="cpu", risk=0.999)
    expected = [verdict.as_json() for verdict in verifier.verify_batch(CLAIMS)]
    with running(verifier) as one, ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda claim: one.verify(*claim), CLAIMS))
        assert one.call("GET", "/healthz").json == {"status": "ok", "model": "toy (seed 0)", "waiting": 0}
    for reply, verdict in zip(replies, expected, strict=True):
        assert reply.status == 200
        assert reply.json["label_probs"] == pytest.approx(verdict["label_probs"], abs=1e-5)
        assert {k: v for k, v in reply.json.items() if k not in ("label_probs", "valid_mass")} == {
            k: v for k, v in verdict.items() if k not in ("label_probs", "valid_mass")
        }


def test_requests_that_arrive_together_share_a_pass(service: Running, fake: FakeVerifier) -> None:
    fake.gate.clear()
    with ThreadPoolExecutor(12) as pool:
        replies = [pool.submit(service.verify, "c" * (index + 1)) for index in range(12)]
        wait_until(lambda: service.call("GET", "/healthz").json["waiting"] >= 12 - fake.batches[0])
        fake.gate.set()
        assert [reply.result().json["confidence"] for reply in replies] == [(i + 1) / 100 for i in range(12)]
    assert sum(fake.batches) == 12
    assert max(fake.batches) == 8
    assert len(fake.batches) <= 4


def test_under_overload_every_request_has_an_answer_and_its_own(service: Running, fake: FakeVerifier) -> None:
    fake.seconds = 0.02

    def ask(index: int) -> tuple[int, int, float | None]:
        reply = service.verify("c" * (index % 100 + 1))
        assert reply.status == 200 or int(reply.headers["retry-after"]) >= 1  # as long as the machine needs
        return index, reply.status, reply.json.get("confidence")

    with ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(ask, range(400)))
    assert [index for index, _, _ in answers] == list(range(400))
    assert {status for _, status, _ in answers} == {200, 429}
    for index, status, confidence in answers:
        if status == 200:
            assert confidence == (index % 100 + 1) / 100
    assert sum(fake.batches) == sum(status == 200 for _, status, _ in answers)


def test_a_full_queue_refuses_and_recovers(service: Running, fake: FakeVerifier) -> None:
    fake.gate.clear()
    with ThreadPoolExecutor(17) as pool:
        first = pool.submit(service.verify, "first")
        wait_until(lambda: fake.batches == [1])
        others = [pool.submit(service.verify, "x") for _ in range(16)]
        wait_until(lambda: service.call("GET", "/healthz").json["waiting"] == 16)
        refused = service.verify("one too many")
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        fake.gate.set()
        assert {reply.result().status for reply in [first, *others]} == {200}
    assert service.verify("again").status == 200


def test_a_request_that_waits_too_long_is_told_and_not_asked(fake: FakeVerifier) -> None:
    with running(fake, Settings(timeout=0.3)) as one, ThreadPoolExecutor(3) as pool:
        fake.gate.clear()
        replies = [pool.submit(one.verify, "x") for _ in range(3)]
        assert {reply.result().status for reply in replies} == {504}
        fake.gate.set()
        assert one.verify("after").status == 200
    assert sum(fake.batches) <= 1 + 2 + 1


def test_one_bad_claim_spoils_no_other(service: Running, fake: FakeVerifier) -> None:
    fake.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(service.verify, "first")
        wait_until(lambda: fake.batches == [1])
        bad, good = pool.submit(service.verify, "unusable"), pool.submit(service.verify, "good")
        wait_until(lambda: service.call("GET", "/healthz").json["waiting"] == 2)
        fake.gate.set()
        assert first.result().status == good.result().status == 200
        assert bad.result().status == 422
        assert bad.result().json == {"detail": "this claim cannot be used"}


def test_what_breaks_inside_is_not_told(service: Running) -> None:
    reply = service.verify("break")
    assert reply.status == 500
    assert reply.json == {"detail": "something broke in the service; its log says what"}
    assert service.verify("fine").status == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, ""),
        (b"{", 400, "JSON"),
        (b"[" * 9_000, 400, ""),
        (b"\xff\xfe\x00", 400, ""),
        (b'{"claim": NaN, "evidence": []}', 422, "claim"),
        (b'{"claim": "\\ud800", "evidence": []}', 422, "claim"),
        (b'{"claim": "x"}', 422, "evidence"),
        (b'{"claim": "x", "evidence": "y"}', 422, "evidence"),
        (b'{"claim": "x", "evidence": [], "\\udfff": 1}', 422, ""),
        (b'{"claim": "  ", "evidence": []}', 422, "claim"),
        (json.dumps({"claim": "x" * 4_001, "evidence": []}).encode(), 422, "claim"),
        (json.dumps({"claim": "x", "evidence": ["y"] * 65}).encode(), 422, "evidence"),
        (b'{"claim": "x", "evidence": [], "padding": "' + b" " * 20_000 + b'"}', 413, "20000 bytes"),
    ],
)
def test_bad_requests_are_explained(service: Running, body: bytes, status: int, words: str) -> None:
    reply = service.call("POST", "/verify", body)
    assert reply.status == status, reply.body
    assert words in reply.json["detail"]
    assert "Traceback" not in reply.body.decode()
    assert len(reply.body) < 1_000


def test_a_body_without_length_is_bounded_too(service: Running) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(b"POST /verify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            connection.sendall(b"1388\r\n" + b" " * 5_000 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for(fake: FakeVerifier) -> None:
    with (
        running(fake, Settings(timeout=0.3)) as one,
        socket.create_connection(("127.0.0.1", one.port), timeout=20) as connection,
    ):
        connection.sendall(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_with_a_token_nothing_is_judged_without_it(fake: FakeVerifier) -> None:
    with running(fake, Settings(token="sesame")) as one:
        for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic sesame"}):
            reply = one.verify("x", **sent)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert one.call("GET", "/metrics", **sent).status == 401
        assert fake.batches == []
        assert one.verify("x", Authorization="Bearer sesame").status == 200
        assert one.call("GET", "/healthz").status == 200
        assert b'id="token"' in one.call("GET", "/").body


def test_metrics_count_what_happened(service: Running) -> None:
    for claim in ("a", "b", "unusable"):
        service.verify(claim)
    reply = service.call("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = reply.body.decode().splitlines()
    assert 'candor_requests_total{status="200"} 2.0' in lines
    assert 'candor_requests_total{status="422"} 1.0' in lines
    assert 'candor_verdicts_total{accepted="none",label="NA"} 2.0' in lines
    assert "candor_batch_size_count 3.0" in lines
    assert "candor_waiting 0.0" in lines


def test_stopping_answers_what_is_in_flight(fake: FakeVerifier) -> None:
    with running(fake) as one, ThreadPoolExecutor(5) as pool:
        fake.gate.clear()
        replies = [pool.submit(one.verify, "c" * (index + 1)) for index in range(5)]
        wait_until(lambda: fake.batches and one.call("GET", "/healthz").json["waiting"] == 5 - fake.batches[0])
        one.server.should_exit = True
        threading.Timer(0.3, fake.gate.set).start()
        assert sorted(reply.result().json["confidence"] for reply in replies) == [0.01, 0.02, 0.03, 0.04, 0.05]
        one.thread.join(20)
        assert not one.thread.is_alive()


@pytest.mark.slow
def test_the_command_serves_and_stops_when_asked(trained_run: Path) -> None:
    command = [sys.executable, "-m", "candor.cli", "serve", str(trained_run), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    body = json.dumps({"claim": "x = 3", "evidence": ["x is 3"]}).encode()
    request = urllib.request.Request(f"{address}verify", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["label"] in ("PASS", "FAIL", "NA")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("candor.serve.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["serve", "runs/none"])
    assert isinstance(result.exception, CandorError)
    assert "pip install -e '.[serve]'" in str(result.exception)
