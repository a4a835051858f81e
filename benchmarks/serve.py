"""A served model under load: rate and response times by number of clients, and what overload does.

Each client keeps one connection and asks its next claim as soon as it has an answer, so the rate at many clients is the
highest that the service keeps up. Every answer is compared with the verdict that the model gives alone; an answer that
is missing or belongs to another claim ends the benchmark.

    python benchmarks/serve.py runs/demo/candor-seed0 --json serve.json

With ``--abuse`` the clients mean harm: requests that are wrong in every way and have no token, headers that come drop
by drop, clients that hang up, and more clients than the service can keep up with. A status of 500 or above, an answer
that the token should have kept back, a ``/healthz`` that does not answer, or a lost or crossed verdict ends it.

    python benchmarks/serve.py runs/demo/candor-seed0 --abuse
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from candor.data.examples import read_examples
from candor.verifier import Verifier

CLIENTS = (1, 8, 32, 128)
OVERLOAD = 400
CLAIMS = 200
SLOW = 300
GONE = 200
TOKEN = "benchmark"
ROUTES = ("/verify", "/metrics", "/healthz", "/", "/docs", "/openapi.json", "/nothing")
SUFFIXES = ("", "", "%0A", "%0D", "/", "//", "/..", "%00", "?x=1", ";a", "%2F", "%E2%80%A8", ".json")
OPEN = {"/", "/healthz", "/?x=1", "/healthz?x=1"}


async def client(port: int, first: int, requests: list[bytes], expected: list[dict], until: float, log: list) -> None:
    """Ask one claim after the other over one connection until the time is up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = first
    while time.perf_counter() < until:
        index = number % len(requests)
        started = time.perf_counter()
        writer.write(requests[index])
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        status = int(head.split(" ", 2)[1])
        log.append((status, time.perf_counter() - started))
        if status == 200 and any(abs(answer["label_probs"][k] - p) > 1e-4 for k, p in expected[index].items()):
            raise SystemExit(f"claim {index} was given another claim's answer")
        number += 1
        if status == 429:
            await asyncio.sleep(0.05)
    writer.close()


async def load(port: int, clients: int, seconds: float, requests: list[bytes], expected: list[dict]) -> dict:
    """Rate, response times and statuses of so many clients."""
    log: list[tuple[int, float]] = []
    started = time.perf_counter()
    until = started + seconds
    await asyncio.gather(*(client(port, 7 * c, requests, expected, until, log) for c in range(clients)))
    wall = time.perf_counter() - started
    good = [took for status, took in log if status == 200]
    statuses = dict(Counter(status for status, _ in log))
    if not good:
        raise SystemExit(f"{clients} clients got no verdict in {wall:.0f} s, but {statuses}")
    p50, p99 = np.percentile(good, [50, 99]) * 1e3
    return {"clients": clients, "rate": len(good) / wall, "p50_ms": p50, "p99_ms": p99, "statuses": statuses}


async def send(port: int, data: bytes, wait: float = 20.0) -> bytes:
    """What a service answers to some bytes, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(1_000_000), wait)
    except OSError:
        return b""  # closed in the middle of what was sent
    finally:
        writer.close()


def status_of(answer: bytes) -> str:
    """The status in an answer, or that there was none."""
    return answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else "none"


def hostile_requests(port: int, seed: int) -> Iterator[bytes]:
    """Requests without end that are wrong in every way: path, method, headers, host, body; none has the token."""
    chance = random.Random(seed)
    junk = [None, True, 1e308, -1, "", "x" * 5_000, "\ud800", [], ["y"] * 99, {"a": {"b": []}}, "\x1b[2J", "<script>"]
    while True:
        path = chance.choice(ROUTES) + chance.choice(SUFFIXES)
        method = chance.choice(["GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE", "get", "BREW"])
        body = json.dumps({key: chance.choice(junk) for key in chance.sample(["claim", "evidence", "x"], 2)}).encode()
        body = chance.choice([body, body[: len(body) // 2], b"[" * 20_000, chance.randbytes(200), b""])
        length = chance.choice([len(body), len(body), len(body), 10**12, -1])
        host = chance.choice([f"127.0.0.1:{port}", f"127.0.0.1:{port}", "evil.example", "x" * 3_000])
        extra = chance.choice(
            ["", "X-HTTP-Method-Override: GET\r\n", "Authorization: Bearer x\r\n", "A" * 70_000 + ": b\r\n"]
        )
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{extra}\r\n"
        )
        yield chance.choice([head.encode() + body, head.encode() + body, chance.randbytes(500) + b"\r\n\r\n"])


async def hostile(port: int, seconds: float) -> dict:
    """Statuses of hostile requests, sixteen at a time; what is answered with 200 has to be open to everyone."""
    statuses: Counter[str] = Counter()
    opened: set[bytes] = set()
    until = time.perf_counter() + seconds

    async def one(seed: int) -> None:
        for data in hostile_requests(port, seed):
            if time.perf_counter() > until:
                return
            try:
                answer = await send(port, data, wait=1.0)
            except TimeoutError:
                answer = b""  # it waits for a body that was announced
            statuses[status_of(answer)] += 1
            if answer.startswith(b"HTTP/1.1 200"):
                opened.add(data.split(b" ", 2)[1])

    await asyncio.gather(*(one(seed) for seed in range(16)))
    broken = sum(count for status, count in statuses.items() if status.startswith("5"))
    return {"statuses": dict(statuses), "broken": broken, "open": sorted(path.decode() for path in opened)}


async def slow_headers(port: int, seconds: float) -> dict:
    """Many connections whose headers come drop by drop, and whether ``/healthz`` answers meanwhile, and how fast."""
    until = time.perf_counter() + seconds
    closed = 0

    async def drip() -> None:
        nonlocal closed
        while time.perf_counter() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"POST /verify HTTP/1.1\r\n")
                while time.perf_counter() < until and not reader.at_eof():
                    writer.write(b"X-A: b\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.5)
                closed += reader.at_eof()
            except OSError:
                closed += 1
            finally:
                writer.close()

    async def healthy() -> list[float]:
        took = []
        while time.perf_counter() < until:
            started = time.perf_counter()
            answer = await send(port, health(port))
            if status_of(answer) != "200":
                raise SystemExit(f"/healthz answered {answer[:200]!r} while headers came slowly")
            took.append(time.perf_counter() - started)
            await asyncio.sleep(0.1)
        return took

    took, *_ = await asyncio.gather(healthy(), *(drip() for _ in range(SLOW)))
    return {"connections": SLOW, "closed": closed, "healthz": len(took), "healthz_worst_ms": max(took) * 1e3}


async def hang_ups(port: int, requests: list[bytes]) -> dict:
    """Seconds until no claim waits any more after so many clients asked and hung up at once."""

    async def one(request: bytes) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await writer.drain()
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one(requests[n % len(requests)]) for n in range(GONE)))
    while b'"waiting":0' not in await send(port, health(port)):
        if time.perf_counter() - started > 60:
            raise SystemExit("claims of clients that hung up still wait after a minute")
        await asyncio.sleep(0.05)
    return {"clients": GONE, "seconds": time.perf_counter() - started}


def health(port: int) -> bytes:
    """A request for ``/healthz``."""
    return f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()


def abuse(port: int, seconds: float, requests: list[bytes], expected: list[dict]) -> dict:
    """All of it, one after the other, each for so long at most; prints what became of it."""
    found: dict[str, dict] = {}
    found["hostile"] = asyncio.run(hostile(port, seconds))
    print("hostile requests  {statuses}, broken: {broken}, open: {open}".format(**found["hostile"]), flush=True)
    if found["hostile"]["broken"] or set(found["hostile"]["open"]) - OPEN:
        raise SystemExit("the service broke, or let somebody in without the token")
    found["slow headers"] = asyncio.run(slow_headers(port, seconds))
    print(
        "slow headers      {connections} at a time, {closed} closed; /healthz {healthz} of {healthz} times, at worst "
        "{healthz_worst_ms:.0f} ms".format(**found["slow headers"]),
        flush=True,
    )
    found["hang-ups"] = asyncio.run(hang_ups(port, requests))
    print(
        "hang-ups          {clients} clients, {seconds:.2f} s until none waits".format(**found["hang-ups"]), flush=True
    )
    found["overload"] = asyncio.run(load(port, OVERLOAD, seconds, requests, expected))
    print(
        "overload          {clients} clients, {rate:.1f} verdicts/s, {statuses}".format(**found["overload"]), flush=True
    )
    return found


def request_of(port: int, claim: str, evidence: list[str]) -> bytes:
    """A claim as it goes over the wire."""
    body = json.dumps({"claim": claim, "evidence": evidence}).encode()
    return (
        f"POST /verify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def main() -> None:
    """Start a service, load it, stop it under load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run folder with test examples")
    parser.add_argument("--seconds", type=float, help="for each number of clients (5), or each kind of abuse (60)")
    parser.add_argument("--abuse", action="store_true", help="hostile requests, slow headers, hang-ups and overload")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    examples = read_examples(args.run / "data" / "test.jsonl")[:CLAIMS]
    claims = [(example.claim, list(example.evidence)) for example in examples]
    verdicts = Verifier.load(args.run).verify_batch(claims)
    expected = [verdict.as_json()["label_probs"] for verdict in verdicts]
    command = [sys.executable, "-m", "candor.cli", "serve", str(args.run), "--port", "0", "--quiet"]
    service = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | {"CANDOR_TOKEN": TOKEN}
    )
    assert service.stdout is not None
    port = int(service.stdout.readline().strip().rstrip("/").rsplit(":", 1)[1])
    requests = [request_of(port, *claim) for claim in claims]
    figures: Any = []
    try:
        asyncio.run(load(port, 8, 1.0, requests, expected))  # warm
        if args.abuse:
            figures = abuse(port, args.seconds or 60.0, requests, expected)
        else:
            for clients in (*CLIENTS, OVERLOAD):
                row = asyncio.run(load(port, clients, args.seconds or 5.0, requests, expected))
                figures.append(row)
                print(
                    f"{clients:4d} clients  {row['rate']:7.1f} verdicts/s  p50 {row['p50_ms']:7.1f} ms  "
                    f"p99 {row['p99_ms']:7.1f} ms  {row['statuses']}",
                    flush=True,
                )
    finally:
        service.terminate()
        print(f"stopped with exit code {service.wait()}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
