"""Every implementation of the engine seam, on the same tiny models.

Another implementation joins by a name here and a branch in ``make_engine`` that yields it; it needs a model that
answers in form often enough, as :func:`toy.save_toy_model` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running_server import RunningServer
from toy import save_toy_model, service_engine, toy_engine, trained_state

from candor.engines.base import Engine, Sampling
from candor.files import read_json

IMPLEMENTATIONS = ("plain-llama", "plain-qwen3", "plain-qwen3_5", "tree-llama", "tree-qwen3", "tinker-llama")

MakeEngine = Callable[[], Engine]


@pytest.fixture(scope="session")
def toy_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_toy_model(tmp_path_factory.mktemp(family), family) for family in ("llama", "qwen3", "qwen3_5")}


@pytest.fixture(scope="session")
def served_adapter(tinker_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an adapter that matters is noted to be on the server."""
    return trained_state(tinker_server.model, tinker_server.url, tmp_path_factory.mktemp("served") / "adapter")


@pytest.fixture(scope="session")
def idle_services(tinker_server: RunningServer) -> Iterator[list[Any]]:
    """Engines on the server that no test uses at the moment: a new one costs the server seconds, a reset one little."""
    engines: list[Any] = []
    yield engines
    for engine in engines:
        engine.close()


def _has_moved(engine: Any, state: Path) -> bool:
    """Whether an engine on a service is elsewhere than where a state was saved."""
    service = engine._service
    return bool(service._since) or service._state != read_json(state / "service.json")["state"]


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_engine(
    implementation: str, toy_folders: dict[str, Path], request: pytest.FixtureRequest
) -> Iterator[MakeEngine]:
    """Makes engines that are equal at first, each with weights of its own."""
    path, family = implementation.split("-")
    if path != "tinker":
        yield lambda: toy_engine(toy_folders[family], path=path)
        return
    server: RunningServer = request.getfixturevalue("tinker_server")
    state: Path = request.getfixturevalue("served_adapter")
    idle: list[Any] = request.getfixturevalue("idle_services")
    taken: list[Any] = []

    def make() -> Engine:
        engine = idle.pop() if idle else service_engine(server.model, server.url, adapter=state)
        taken.append(engine)
        if _has_moved(engine, state):
            engine.load(state)
        return taken[-1]

    yield make
    idle.extend(taken)


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    return make_engine()


@pytest.fixture
def temperatures(implementation: str) -> tuple[float, ...]:
    """At which an implementation samples and scores; others it refuses."""
    return (1.0,) if implementation.startswith("tinker") else (1.0, 0.5)


@pytest.fixture
def sampling(temperatures: tuple[float, ...]) -> Sampling:
    return Sampling(temperature=0.7 if len(temperatures) > 1 else 1.0, max_new_tokens=10, seed=3)
