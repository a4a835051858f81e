"""Thousands of steps on a simulated Tinker service that fails: whether one is lost or taken twice, memory, time.

    python benchmarks/service.py                  # 10,000 steps; needs the Tinker SDK, see make test-tinker
    python benchmarks/service.py --steps 200      # some seconds

Everything between candor's steps and the network is the real thing: the engine's service and transport, and the SDK. In
the place of the network stands a service in this process. It works in clock cycles of ten seconds, as the hosted
service's documentation says of it (tinker-docs.thinkingmachines.ai, "clock cycles"), samples in two to six, and time
runs a thousand times faster. One request in a hundred is answered with a 5xx, one in a thousand is cut off, each as
often before it was carried out as after; and the service is restarted, whereupon it knows nothing but what was saved.

The weights of its adapter are a hash over the steps taken on them, in their order, so that one that is missing, taken
twice or out of place is seen at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tinker import types

from candor.engines.tinker import http, sdk, service
from candor.engines.tinker.losses import Reduction, datum
from candor.engines.tinker.service import Connection, Service, Step

CYCLE_S = 10.0
SAMPLE_S = (2.0, 6.0)
SERVER_ERRORS = 0.01
RESETS = 0.001
SAVED_EVERY = 20
KEPT = 100
"""States that the service keeps; far more than a run goes back."""
SAMPLES = 16
IN_FLIGHT = 8
REQUESTS = 40
"""Of a step, about; restarts fall among them."""
TRAINING = (
    "create_model",
    "forward_backward",
    "optim_step",
    "save_weights",
    "save_weights_for_sampler",
    "load_weights",
)


@dataclass(frozen=True)
class Weights:
    """What has been trained, in which order."""

    steps: int = 0
    digest: str = ""

    def trained(self, on: list[int]) -> Weights:
        """With one more step, on rows of these numbers."""
        return Weights(self.steps + 1, hashlib.sha256(f"{self.digest} {on}".encode()).hexdigest())


@dataclass
class Adapter:
    """Weights, and the rows whose gradient waits for a step."""

    weights: Weights = field(default_factory=Weights)
    waiting: list[int] = field(default_factory=list)


class SimulatedService(httpx.AsyncBaseTransport):
    """Answers the SDK's requests in the place of a network."""

    def __init__(self, *, speed: float, seed: int, restarts: frozenset[int]) -> None:
        self._speed, self._random, self._restarts = speed, random.Random(seed), restarts
        self._saved: dict[str, Weights] = {}
        self._names = 0
        self.counts: Counter[str] = Counter()
        self.most_in_flight = 0
        self._forget()

    def _forget(self) -> None:
        """Start with nothing but what was saved."""
        self._sessions: set[str] = set()
        self._adapters: dict[str, Adapter] = {}
        self._futures: dict[str, tuple[float, dict[str, Any]]] = {}
        self._sampling: set[str] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request out, or fail before or behind that."""
        name = request.url.path.rstrip("/").rsplit("/", 1)[-1]
        body = json.loads(await request.aread() or b"{}")
        self.counts["requests"] += 1
        if self.counts["requests"] in self._restarts:
            self.counts["restarts"] += 1
            self._forget()
        drawn = self._random.random()
        fault = "5xx" if drawn < SERVER_ERRORS else "reset" if drawn < SERVER_ERRORS + RESETS else None
        before = self._random.random() < 0.5
        if fault:
            self.counts[fault] += 1
        if fault and before:
            return self._spoil(fault, request)
        status, answer = await self._answer(name, body)
        if fault:
            self._sampling.discard(answer.get("request_id", ""))  # nobody waits for what nobody knows of
            return self._spoil(fault, request)
        return httpx.Response(status, json=answer, request=request)

    @staticmethod
    def _spoil(fault: str, request: httpx.Request) -> httpx.Response:
        if fault == "reset":
            raise httpx.ReadError("connection reset", request=request)
        return httpx.Response(503, json={"detail": "simulated"}, request=request)

    async def _answer(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if name == "retrieve_future":
            return await self._result(body["request_id"])
        if name == "get_server_capabilities":
            return 200, {"supported_models": [{"model_name": "simulated"}]}
        if name == "create_session":
            # There is one client, and what it has left is of no use to anybody.
            self._forget()
            self._sessions.add(session := self._named("session"))
            return 200, {"session_id": session}
        if name == "create_sampling_session":
            if body["session_id"] not in self._sessions:
                return 404, {"detail": "no such session"}
            return 200, {"sampling_session_id": self._named("sampling")}
        if name == "asample" or name in TRAINING:
            return self._begun(name, body)
        return 200, {}

    def _named(self, kind: str) -> str:
        self._names += 1
        return f"{kind}-{self._names}"

    def _begun(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Work that takes its time; the answer says by which name to ask for it."""
        now = time.monotonic() * self._speed
        if name == "asample":
            if not self._sessions:
                return 404, {"detail": "no such session"}
            ready, result = now + self._random.uniform(*SAMPLE_S), self._sampled(body)
        else:
            adapter = self._adapters.get(body.get("model_id", ""))
            if adapter is None and (name != "create_model" or body["session_id"] not in self._sessions):
                return 404, {"detail": "no such model"}
            # What waits when a cycle begins is worked on in it.
            ready, result = (now // CYCLE_S + 1) * CYCLE_S, self._worked(name, body, adapter)
        self._futures[future := self._named("future")] = ready, result
        if name == "asample":
            self._sampling.add(future)
            self.most_in_flight = max(self.most_in_flight, len(self._sampling))
        return 200, {"request_id": future, "model_id": body.get("model_id")}

    def _worked(self, name: str, body: dict[str, Any], adapter: Adapter | None) -> dict[str, Any]:
        if adapter is None:
            self._adapters[model := self._named("model")] = Adapter()
            return {"model_id": model, "type": "create_model"}
        if name == "forward_backward":
            rows = body["forward_backward_input"]["data"]
            targets = [row["loss_fn_inputs"]["target_tokens"]["data"] for row in rows]
            adapter.waiting += [int(tokens[-1]) for tokens in targets]
            outputs = [{"logprobs": {"data": [-1.0] * len(t), "dtype": "float32", "shape": [len(t)]}} for t in targets]
            return {"loss_fn_output_type": "ArrayRecord", "loss_fn_outputs": outputs, "metrics": {}}
        if name == "optim_step":
            if body["adam_params"]["learning_rate"]:
                adapter.weights = adapter.weights.trained(adapter.waiting)
                self.counts["steps"] += 1
            adapter.waiting = []
            return {"metrics": {"unclipped_grad_norm": 1.0}}
        if name == "save_weights":
            self._saved[body["path"]] = adapter.weights
            if len(self._saved) > KEPT:
                del self._saved[next(iter(self._saved))]
            return {"path": body["path"], "type": "save_weights"}
        if name == "load_weights":
            adapter.weights = self._saved[body["path"]]  # which a run that goes on names while it is kept
            return {"path": body["path"], "type": "load_weights"}
        return {"path": f"tinker://{body.get('path')}", "type": "save_weights_for_sampler"}

    @staticmethod
    def _sampled(body: dict[str, Any]) -> dict[str, Any]:
        sequence = {"stop_reason": "stop", "tokens": [7, 8], "logprobs": [-0.5, -0.5]}
        return {"sequences": [sequence] * body.get("num_samples", 1), "type": "sample"}

    async def _result(self, future: str) -> tuple[int, dict[str, Any]]:
        if future not in self._futures:
            return 404, {"detail": "no such request"}
        ready, result = self._futures[future]
        await asyncio.sleep(max(0.0, ready / self._speed - time.monotonic()))
        self._sampling.discard(future)
        return 200, result

    def weights(self, state: str) -> Weights:
        """What was saved under a name."""
        return self._saved[state]


def resident_mb() -> float:
    """Memory of this process just now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def main() -> None:
    """Train, and compare what was trained with what should have been."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--speed", type=float, default=1000.0, help="how much faster time runs")
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.disable(logging.ERROR)
    some = random.Random(args.seed + 1)
    restarts = frozenset(some.randrange(args.steps * REQUESTS) for _ in range(args.restarts))
    simulated = SimulatedService(speed=args.speed, seed=args.seed, restarts=restarts)
    http.httpx.AsyncHTTPTransport = lambda **_: simulated  # type: ignore[attr-defined]
    service.PAUSE_S /= args.speed  # type: ignore[misc]
    http.FIRST_WAIT_S /= args.speed  # type: ignore[misc]
    http.LONGEST_WAIT_S /= args.speed  # type: ignore[misc]
    connection = Connection(base_url=None, key="tml-simulated", patience_s=600.0, in_flight=IN_FLIGHT)
    client = Service(connection, model="simulated", rank=8, seed=0, any_token=5, reduction=Reduction.SUM)
    adam = types.AdamParams(learning_rate=1e-3)
    request = {
        "prompt": types.ModelInput.from_ints([5, 6]),
        "num_samples": 1,
        "sampling_params": types.SamplingParams(max_tokens=2),
    }
    expected, memory, started = Weights(), [], time.monotonic()
    for number in range(1, args.steps + 1):
        answers = client.sample([request] * SAMPLES)
        assert len(answers) == SAMPLES
        client.step(Step([datum((5,), (number,), np.zeros(1), np.ones(1))], adam))
        expected = expected.trained([number])
        if number % SAVED_EVERY == 0:
            client.save()
        if number % max(1, args.steps // 10) == 0:
            memory.append(resident_mb())
            print(f"{number:6d} steps, {time.monotonic() - started:5.0f} s, {memory[-1]:.0f} MB", flush=True)
    state = client.save()
    found = simulated.weights(state)
    client.close()
    same = found == expected
    print(f"SDK {sdk.sdk_version()}; {dict(simulated.counts)}")
    print(f"at most {simulated.most_in_flight} samples in flight, {IN_FLIGHT} were asked for")
    how = "each once and in order" if same else "NOT those that were asked for"
    print(f"{found.steps} steps in the saved weights, {how}")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
