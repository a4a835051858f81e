"""Every implementation of the engine seam, on the same tiny models.

Another implementation joins by a name here and a branch in ``make_engine`` that yields it; it needs a model that
answers in form often enough, as :func:`toy.save_toy_model` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running_server import RunningServer, why_no_server
from toy import save_toy_model, service_engine, toy_engine, trained_state

from candor.engines.base import Engine, Sampling

IMPLEMENTATIONS = ("plain-llama", "plain-qwen3", "tree-llama", "tree-qwen3", "tinker-llama")

MakeEngine = Callable[[], Engine]


@pytest.fixture(scope="session")
def toy_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_toy_model(tmp_path_factory.mktemp(family), family) for family in ("llama", "qwen3")}


@pytest.fixture(scope="session")
def service(toy_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A running Tinker server, and a saved adapter on it that matters."""
    if reason := why_no_server():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("service")
    with RunningServer(toy_folders["llama"], folder) as server:
        yield server.url, trained_state(toy_folders["llama"], server.url, folder / "adapter")


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
    url, state = request.getfixturevalue("service")
    made: list[Any] = []

    def make() -> Engine:
        made.append(service_engine(toy_folders[family], url, adapter=state))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


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
