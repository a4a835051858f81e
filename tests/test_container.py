"""The container file: linted everywhere, built where docker is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import DOCS, ROOT
from typer.testing import CliRunner

from candor.cli.main import app

DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its words, continued lines as one."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def words_of(name: str) -> list[str]:
    return [words for one, words in instructions() if one == name]


def test_what_it_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for words in words_of("COPY"):
        *sources, _ = words.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored


def test_it_serves_as_nobody_special() -> None:
    (user,) = words_of("USER")
    assert int(user) > 0
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "RUN")
    assert "ADD" not in names
    (base,) = words_of("FROM")
    assert re.fullmatch(r"python:3\.\d+-slim", base)
    assert all("-c constraints.txt" in words for words in words_of("RUN") if "pip install" in words)


def test_its_command_is_one_that_candor_has() -> None:
    (command,), (entry,) = words_of("CMD")[-1:], words_of("ENTRYPOINT")
    assert json.loads(entry) == ["candor"]
    serve, folder, *options = json.loads(command)
    shown = CliRunner().invoke(app, [serve, "--help"], env={"COLUMNS": "200"}).output
    assert all(option in shown for option in options if option.startswith("--"))
    assert f":{folder}" in (DOCS / "serve.md").read_text(encoding="utf-8")


def test_the_linter_finds_nothing() -> None:
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed (extra 'dev')")
    done = subprocess.run([linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_it_builds_where_docker_is() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no docker daemon answers here")
    subprocess.run(["docker", "build", "--quiet", "--tag", "candor-test", str(ROOT)], check=True, timeout=3000)
    said = subprocess.run(
        ["docker", "run", "--rm", "candor-test", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("candor ")
