"""Names of models: which the hub is asked for, and which commit they stand for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from candor.engines import hub
from candor.engines.hub import check_name, commit_of, is_local
from candor.engines.load import pinned
from candor.engines.pretrained import load_model, load_tokenizer
from candor.errors import ModelError
from candor.files import write_json
from candor.recipe.engine import ModelConfig
from candor.run_folder import RunFolder
from candor.verifier import Verifier

COMMIT = "0123456789abcdef" * 2 + "01234567"
LOST = [
    "runs/mine",
    "models/x",
    "./x",
    "../x",
    "/x/y",
    "a/b/c",
    "x/",
    "~/x",
    "out/x",
    "a\\b",
    "x.gguf",
    "",
    ".",
    "data/a",
]


class FakeApi:
    """Answers as the hub does, or not at all."""

    def __init__(self, sha: Any = COMMIT) -> None:
        self.sha = sha
        self.asked: list[tuple[str, str | None]] = []

    def model_info(self, name: str, *, revision: str | None, timeout: float) -> Any:
        self.asked.append((name, revision))
        if isinstance(self.sha, Exception):
            raise self.sha
        return SimpleNamespace(sha=self.sha)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """A hub that must not be asked."""
    api = FakeApi(AssertionError("the hub was asked"))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
    for name in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"):
        monkeypatch.setattr(f"transformers.{name}.from_pretrained", api.model_info)
    return api


@pytest.mark.parametrize("name", LOST)
def test_a_path_that_leads_nowhere_is_never_asked_of_the_hub(
    name: str, nobody: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_local(name)
    if name not in ("", "."):  # which is the folder where we are
        for use in (check_name, load_tokenizer, Verifier.load, lambda n: load_model(ModelConfig(name=n), "cpu")):  # type: ignore[arg-type]
            with pytest.raises(ModelError, match="no such folder"):
                use(name)
    assert commit_of(name) is None
    assert nobody.asked == []


def test_a_path_object_is_never_a_name_on_the_hub(nobody: FakeApi) -> None:
    with pytest.raises(ModelError, match="owner/name: no such folder"):
        Verifier.load(Path("owner/name"))
    assert nobody.asked == []


@pytest.mark.parametrize("name", ["gpt2", "Qwen/Qwen3-0.6B", "owner/a.b_c-d"])
def test_a_name_stands_for_a_commit(name: str) -> None:
    api = FakeApi()
    check_name(name)
    assert commit_of(name, "v1", api=api) == COMMIT
    assert commit_of(name, api=api) == COMMIT
    assert api.asked == [(name, "v1"), (name, None)]
    assert commit_of(name, "f" * 40, api=api) == "f" * 40  # which nobody need be asked for
    assert len(api.asked) == 2


def test_a_folder_of_that_name_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    api = FakeApi()
    assert commit_of("gpt2", api=api) is None
    assert api.asked == []


@pytest.mark.parametrize("sha", [OSError("no network"), None, "main", 3])
def test_without_an_answer_the_kept_copy_decides(sha: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"owner/name": f"/cache/snapshots/{COMMIT}/config.json"}
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, *_, **__: kept.get(name))
    assert commit_of("owner/name", api=FakeApi(sha)) == (COMMIT if isinstance(sha, Exception) else None)
    assert commit_of("owner/other", api=FakeApi(sha)) is None


def test_a_run_goes_on_with_the_commit_that_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
    run, model = RunFolder(tmp_path), ModelConfig(name="owner/name", revision="main")
    assert pinned(run, model).revision == COMMIT
    write_json(run.engine, {"base": f"owner/name@{COMMIT}"})
    api.sha = "f" * 40  # the branch has moved
    assert pinned(run, model).revision == COMMIT
    assert pinned(run, model.model_copy(update={"name": "owner/other"})).revision == "f" * 40
    write_json(run.engine, {"base": "owner/name@None"})
    assert pinned(run, model).revision == "f" * 40
    api.sha = OSError("no network")
    assert pinned(run, model).revision == "main"
    assert pinned(run, ModelConfig(name="sandbox")).revision is None


def test_a_hub_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert hub.hub_trouble() == "ConnectError"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub.hub_trouble() == "HF_HUB_OFFLINE is set"


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    asked = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "hub_trouble", lambda: asked.append("hub") or "ConnectError")
    with hub.asked_once("owner/name"):
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    with hub.asked_once(str(tmp_path)):
        assert not constants.HF_HUB_OFFLINE
    assert asked == ["hub"]
    monkeypatch.setattr(hub, "hub_trouble", lambda: None)
    with hub.asked_once("owner/name"):
        assert not constants.HF_HUB_OFFLINE
