"""Every implementation of the engine seam, on the same tiny models.

Another implementation joins by a name here and a branch in ``make_engine`` that yields it; it needs a model that
answers in form often enough, as :func:`toy.save_toy_model` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toy import save_toy_model, toy_engine

from candor.engines.base import Engine

IMPLEMENTATIONS = ("plain-llama", "plain-qwen3", "tree-llama", "tree-qwen3")

MakeEngine = Callable[[], Engine]


@pytest.fixture(scope="session")
def toy_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_toy_model(tmp_path_factory.mktemp(family), family) for family in ("llama", "qwen3")}


@pytest.fixture(params=IMPLEMENTATIONS)
def make_engine(request: pytest.FixtureRequest, toy_folders: dict[str, Path]) -> MakeEngine:
    """Makes engines that are equal at first, each with weights of its own."""
    path, family = request.param.split("-")
    return lambda: toy_engine(toy_folders[family], path=path)


@pytest.fixture
def engine(make_engine: MakeEngine) -> Iterator[Engine]:
    return make_engine()
