"""A served model under load: rate and response times by number of clients, and what overload does.

Each client keeps one connection and asks its next claim as soon as it has an answer, so the rate at many clients is the
highest that the service keeps up. Every answer is compared with the verdict that the model gives alone; an answer that
is missing or belongs to another claim ends the benchmark.

    python benchmarks/serve.py runs/demo/candor-seed0 --json serve.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from candor.data.examples import read_examples
from candor.verifier import Verifier

CLIENTS = (1, 8, 32, 128)
OVERLOAD = 400
CLAIMS = 200


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
    p50, p99 = np.percentile(good, [50, 99]) * 1e3
    statuses = dict(Counter(status for status, _ in log))
    return {"clients": clients, "rate": len(good) / wall, "p50_ms": p50, "p99_ms": p99, "statuses": statuses}


def main() -> None:
    """Start a service, load it, stop it under load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run folder with test examples")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each number of clients")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    examples = read_examples(args.run / "data" / "test.jsonl")[:CLAIMS]
    claims = [(example.claim, list(example.evidence)) for example in examples]
    verdicts = Verifier.load(args.run).verify_batch(claims)
    expected = [verdict.as_json()["label_probs"] for verdict in verdicts]
    requests = []
    for claim, evidence in claims:
        body = json.dumps({"claim": claim, "evidence": evidence}).encode()
        head = (
            f"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    command = [sys.executable, "-m", "candor.cli", "serve", str(args.run), "--port", "0", "--quiet"]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    port = int(service.stdout.readline().strip().rstrip("/").rsplit(":", 1)[1])
    rows = []
    try:
        asyncio.run(load(port, 8, 1.0, requests, expected))  # warm
        for clients in (*CLIENTS, OVERLOAD):
            row = asyncio.run(load(port, clients, args.seconds, requests, expected))
            rows.append(row)
            print(
                f"{clients:4d} clients  {row['rate']:7.1f} verdicts/s  p50 {row['p50_ms']:7.1f} ms  "
                f"p99 {row['p99_ms']:7.1f} ms  {row['statuses']}",
                flush=True,
            )
    finally:
        service.terminate()
        print(f"stopped with exit code {service.wait()}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
