"""What every test may use."""

from __future__ import annotations

import os
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from allowed_skips import OPTION, AllowedSkips
from filelock import FileLock
from hypothesis import settings
from places import ALLOWED_SKIPS, SHARED_DATA

# How long an example takes is not what is tested, and a busy machine makes any of them slow.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help=f"fail where a test was skipped that {ALLOWED_SKIPS.name} lacks")


def pytest_configure(config: pytest.Config) -> None:
    # Under xdist the workers report to the process that began them, which judges.
    if config.getoption(OPTION) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(AllowedSkips(ALLOWED_SKIPS))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with official files beside the checkout; tests that need it skip where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no official data files at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def sandbox_base_model() -> Path:
    """The folder of the sandbox's base model that comes with candor."""
    from candor.sandbox.model import base_model_folder  # here, so that tests without a model need not load torch

    return base_model_folder()


@pytest.fixture(scope="session")
def tinker_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A SkyRL server on a toy model; skips where SkyRL is not installed."""
    from running_server import RunningServer, why_no_server

    if reason := why_no_server():
        pytest.skip(reason)
    from toy import save_toy_model

    # Tests that score every token of the vocabulary send a request for each, so it has only the signs they write.
    signs = f"\n {string.ascii_letters}{string.digits}.=:[]"
    model = save_toy_model(tmp_path_factory.mktemp("served"), signs=signs)
    with RunningServer(model, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    """A tab of a real browser; skips where there is none."""
    from chromium import executable, new_tab

    binary = executable()
    if binary is None:
        pytest.skip("no Chromium is installed")
    with new_tab(binary) as opened:
        yield opened


@pytest.fixture(scope="session")
def make_httpserver() -> Iterator[Any]:
    """What pytest-httpserver's ``httpserver`` hands out: with a thread for each connection, as clients open several."""
    from pytest_httpserver import HTTPServer

    with HTTPServer(threaded=True) as server:
        yield server


@pytest.fixture(autouse=True)
def subnormal_numbers() -> Iterator[None]:
    """Take back that the local engine rounds the smallest numbers to zero, which other tests' numbers suffer from."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the toy model, to be read: trained once, however many processes test."""
    from toy_run import make_run

    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make_run(tmp_path_factory.mktemp("trained"))
    shared = tmp_path_factory.getbasetemp().parent / "trained"
    with FileLock(f"{shared}.lock"):
        run = shared / "run" if (shared / "made").exists() else make_run(shared)
        (shared / "made").touch()
    return run
