"""Training on a real server through a proxy that fails: the same figures as undisturbed, no step lost, none twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy import Fault, Proxy
from running_server import RunningServer, why_no_server
from toy import EXAMPLES, SAMPLED, service_engine, toy_recipe

from candor.engines.tinker import service
from candor.errors import EngineError, Stopped
from candor.files import read_jsonl
from candor.recipe.recipe import Recipe
from candor.training.loop import train

if _reason := why_no_server():
    pytest.skip(_reason, allow_module_level=True)

TIMES = ("seconds_rollout", "seconds_update", "sampler_mismatch")
"""Figures that may differ between two runs of the same."""


@pytest.fixture(scope="module")
def server(tinker_server: RunningServer) -> RunningServer:
    return tinker_server


@pytest.fixture(scope="module")
def toy_folder(tinker_server: RunningServer) -> Path:
    return tinker_server.model


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAUSE_S", 0.05)


@pytest.fixture
def proxy(server: RunningServer) -> Iterator[Proxy]:
    with Proxy(server.port).running() as running:
        yield running


def _recipe(folder: Path, *overrides: str) -> Recipe:
    return toy_recipe(
        folder,
        SAMPLED[0],
        "engine={kind: tinker}",
        "train.steps=3",
        "train.checkpoint_every=2",
        "train.kl_every=2",
        *overrides,
    )


def _train(folder: Path, toy_folder: Path, url: str, *overrides: str, **engine: Any) -> list[dict[str, Any]]:
    target = service_engine(toy_folder, url, **engine)
    try:
        train(_recipe(toy_folder, *overrides), target, EXAMPLES, folder, seed=0)
    finally:
        target.close()
    return _figures(folder)


def _figures(folder: Path) -> list[dict[str, Any]]:
    rows = read_jsonl(folder / "train" / "metrics.jsonl")
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(
    server: RunningServer, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    rows = _train(tmp_path_factory.mktemp("undisturbed"), toy_folder, server.url)
    assert len(rows) == 3
    assert rows[-1]["loss"] != rows[0]["loss"]
    assert any(row["grad_norm"] > 0 for row in rows)
    return rows


def _same(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-6)


FAULTS = {
    "sent again": [
        Fault("429", "forward_backward", skip=1, times=2),
        Fault("429", "asample", skip=10, times=3),
        Fault("503", "asample", skip=20, times=2),
        Fault("drop after", "asample", skip=30, times=2),
        Fault("500", "retrieve_future", skip=20, times=2),
        Fault("drop before", "retrieve_future", skip=40, times=2),
    ],
    "carried out or not": [
        Fault("drop after", "create_model"),
        Fault("drop after", "load_weights"),
        Fault("drop before", "forward_backward", skip=1),
        Fault("drop after", "forward_backward", skip=2),
        Fault("500 after", "optim_step", skip=5),
        Fault("drop after", "optim_step", skip=8),
        Fault("drop after", "save_weights_for_sampler", skip=3),
        Fault("drop after", "save_weights", skip=2),
    ],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_faults_change_nothing(
    faults: list[Fault], proxy: Proxy, toy_folder: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    proxy.faults = faults
    rows = _train(tmp_path, toy_folder, proxy.url)
    assert [fault.spoiled for fault in faults] == [fault.times for fault in faults], "every fault should have happened"
    _same(rows, undisturbed)


def test_an_answer_that_comes_too_late_changes_nothing(
    proxy: Proxy, toy_folder: Path, undisturbed: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    from candor.engines.tinker import http

    made = http.patient_client

    def hurried(**arguments: Any) -> httpx.AsyncClient:
        client = made(**arguments)
        client.timeout = httpx.Timeout(proxy.late_s / 2)
        return client

    monkeypatch.setattr(http, "patient_client", hurried)
    late = [Fault("late", "optim_step", skip=2), Fault("late", "asample", skip=12)]
    proxy.faults = late
    rows = _train(tmp_path, toy_folder, proxy.url)
    assert [fault.spoiled for fault in late] == [1, 1]
    _same(rows, undisturbed)


def test_a_server_that_restarts_changes_nothing(
    server: RunningServer, proxy: Proxy, toy_folder: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Neither for a run in the middle of a step, nor for one that ended before and goes on from its folder."""
    ended, going = tmp_path / "ended", tmp_path / "going"
    engine = service_engine(toy_folder, server.url)
    with pytest.raises(Stopped):
        train(_recipe(toy_folder), engine, EXAMPLES, ended, seed=0, should_stop=lambda: True)
    engine.close()
    fault = Fault("drop after", "forward_backward", skip=1, then=server.restart)
    proxy.faults = [fault]
    rows = _train(going, toy_folder, proxy.url)
    assert fault.spoiled == 1
    _same(rows, undisturbed)
    _same(_train(ended, toy_folder, server.url), undisturbed)


def test_what_stays_broken_is_given_up_and_the_key_is_written_nowhere(
    proxy: Proxy,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = "tml-a-key-that-nobody-may-see"
    monkeypatch.setenv("SECRET_OF_A_TEST", key)
    caplog.set_level(logging.DEBUG)
    proxy.faults = [lost := Fault("drop after", "optim_step", skip=1)]
    _train(tmp_path / "run", toy_folder, proxy.url, "train.steps=1", key_variable="SECRET_OF_A_TEST")
    assert lost.spoiled == 1
    proxy.faults = [Fault("500", "asample", times=10_000)]
    with pytest.raises(EngineError, match="status 500, for 1 s") as failed:
        _train(tmp_path / "failed", toy_folder, proxy.url, key_variable="SECRET_OF_A_TEST", patience_s=1.0)
    engine = service_engine(toy_folder, proxy.url, key_variable="SECRET_OF_A_TEST")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not any(key.encode() in content for content in written)
    assert key not in caplog.text
    assert key not in repr(failed.value) + str(engine.describe()) + repr(vars(engine._service))
