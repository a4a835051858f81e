"""Uploading, against a hub that runs in the test: what is sent is the folder, and what goes wrong is told."""

from __future__ import annotations

import base64
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from candor.cli.main import app
from candor.errors import PushError, RunError
from candor.verifier.export import export_run
from candor.verifier.hub import push_folder


class Hub:
    """Takes what the hub's client sends in the protocol of the public hub, small files only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.created: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        if request.method == "GET":
            return _answer({"id": "me/mine", "siblings": []})
        self.tokens.add(request.headers.get("Authorization"))
        if request.path == "/api/repos/create":
            self.created = request.get_json(force=True)
            return _answer({"url": f"{self.url}/me/mine", "name": "me/mine"})
        if "/preupload/" in request.path:
            asked = request.get_json(force=True)["files"]
            return _answer(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
            )
        if "/commit/" in request.path:
            for line in request.get_data().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            return _answer({"commitUrl": f"{self.url}/me/mine/commit/abc", "commitOid": "abc", "success": True})
        return _answer({"errors": [], "warnings": []})


def _answer(value: Any) -> Response:
    return Response(json.dumps(value), content_type="application/json")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> Hub:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("NO_PROXY", "*")
    hub = Hub(httpserver.url_for("").rstrip("/"))
    httpserver.expect_request(re.compile(".*")).respond_with_handler(hub.handle)
    return hub


@pytest.fixture(scope="module")
def folder(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(trained_run, tmp_path_factory.mktemp("push") / "mine")


def test_the_whole_folder_arrives(folder: Path, hub: Hub) -> None:
    result = CliRunner().invoke(app, ["push", str(folder), "me/mine", "--endpoint", hub.url])
    assert result.exit_code == 0, f"{result.output}{result.exception}"
    assert result.stdout.strip().startswith(hub.url)
    assert hub.created["visibility"] == "private"
    assert hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.tokens == {"Bearer hf_test"}


def test_a_public_repository_is_asked_for(folder: Path, hub: Hub) -> None:
    push_folder(folder, "me/mine", private=False, endpoint=hub.url)
    assert hub.created["visibility"] == "public"


def test_what_goes_wrong_is_told(folder: Path, tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(RunError, match="make one with candor export"):
        push_folder(tmp_path, "me/mine", endpoint=hub.url)
    with pytest.raises(PushError, match="no name of a repository"):
        push_folder(folder, "not a / name / at all", endpoint=hub.url)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(PushError, match=r"the hub did not take me/mine: .*; log in with"):
        push_folder(folder, "me/mine", endpoint=url)
