"""From a recipe's name of a model to an engine: whose base model an adapter is put on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from candor.engines import load
from candor.engines.load import SANDBOX, base_model_of, load_engine, noted_base, sandbox_model
from candor.errors import DataError, ModelError
from candor.files import write_json
from candor.progress import Reporter
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.run_folder import RunFolder

QUIET = Reporter(quiet=True)


def adapter(folder: Path, base: Path) -> Path:
    write_json(folder / "adapter_config.json", {"base_model_name_or_path": str(base)})
    return folder


def makes(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Reporter]:
    """Let this version of candor make its sandbox model in a folder; returns who was told of it."""
    told: list[Reporter] = []

    def made(reporter: Reporter) -> Path:
        told.append(reporter)
        return folder

    monkeypatch.setattr(load, "sandbox_model", made)
    return told


def test_any_model_but_the_sandboxs_is_called_by_its_name(tmp_path: Path) -> None:
    assert base_model_of(tmp_path / "no adapter", "org/model", QUIET) == "org/model"


def test_an_adapter_of_the_sandbox_goes_on_the_folder_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = makes(monkeypatch, tmp_path / "newer")
    base = tmp_path / "base-0123"
    base.mkdir()
    assert base_model_of(adapter(tmp_path / "a", base), SANDBOX, QUIET) == str(base)
    assert told == []


def test_a_model_that_moved_is_the_same_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makes(monkeypatch, tmp_path / "here" / "base-0123")
    found = base_model_of(adapter(tmp_path / "a", tmp_path / "gone" / "base-0123"), SANDBOX, QUIET)
    assert found == str(tmp_path / "here" / "base-0123")


def test_an_adapter_is_never_put_on_another_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makes(monkeypatch, tmp_path / "base-4567")
    with pytest.raises(ModelError, match=r"base-0123, which is not there any more, .* makes base-4567; run the exp"):
        base_model_of(adapter(tmp_path / "a", tmp_path / "gone" / "base-0123"), SANDBOX, QUIET)


@pytest.mark.parametrize("fresh", [True, False])
def test_the_sandbox_is_loaded_from_its_folder_and_keeps_its_name(
    fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makes(monkeypatch, tmp_path / "base")
    given: list[Any] = []
    monkeypatch.setattr(load.LocalEngine, "from_config", lambda *values, **names: given.append((values, names)))
    config = EngineConfig()
    load_engine(ModelConfig(name=SANDBOX), config, seed=3, adapter=fresh, reporter=QUIET)
    ((model, engine), names) = given[0]
    assert model.name == str(tmp_path / "base")
    assert engine is config
    assert names == {"seed": 3, "adapter": fresh, "warm_start": None, "name": SANDBOX}
    load_engine(ModelConfig(name="org/model"), config, seed=3, adapter=fresh, reporter=QUIET)
    assert given[1][0][0].name == "org/model"


def test_a_bar_is_shown_only_while_the_model_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from candor.sandbox import model as sandbox

    console = Console(record=True, force_terminal=True, width=100)
    asked: list[Path | None] = []

    def made(cache_dir: Path | None, on_step: Any) -> Path:
        asked.append(cache_dir)
        if cache_dir is not None:
            for step in (1, 2, 5):
                on_step(step, 5, 0.1)
        return tmp_path

    monkeypatch.setattr(sandbox, "base_model_folder", made)
    assert sandbox_model(Reporter(console)) == tmp_path
    assert console.export_text() == ""
    assert sandbox_model(Reporter(console), tmp_path / "cache") == tmp_path
    shown = console.export_text()
    assert "making the sandbox's base model (once)" in shown
    assert "5/5" in shown
    assert asked == [None, tmp_path / "cache"]


@pytest.mark.parametrize("text", ["", "[]", "null", '{"base": 3}', "{" * 100_000])
def test_a_note_of_the_base_model_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    run = RunFolder(tmp_path)
    assert noted_base(run) is None
    run.engine.write_text(text)
    with pytest.raises(DataError, match=r"engine\.json"):
        noted_base(run)
    run.engine.write_text('{"base": "x@y"}')
    assert noted_base(run) == "x@y"
