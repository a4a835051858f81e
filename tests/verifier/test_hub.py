"""Uploading, against a hub that runs in the test: what is sent is the folder, and what goes wrong is told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from candor.cli.main import app
from candor.errors import PushError, RunError
from candor.verifier.export import export_run
from candor.verifier.hub import push_folder


class Hub(ThreadingHTTPServer):
    """Takes what the hub's client sends in the protocol of the public hub, small files only."""

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers["Authorization"])
        if self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._answer({"url": f"{self.server.url}/me/mine", "name": "me/mine"})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self._answer(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
            )
        elif "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.server.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self._answer({"commitUrl": f"{self.server.url}/me/mine/commit/abc", "commitOid": "abc", "success": True})
        else:
            self._answer({"errors": [], "warnings": []})

    def do_GET(self) -> None:
        self._answer({"id": "me/mine", "siblings": []})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("NO_PROXY", "*")
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


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
    hub.shutdown()
    hub.server_close()
    with pytest.raises(PushError, match=r"the hub did not take me/mine: .*; log in with"):
        push_folder(folder, "me/mine", endpoint=hub.url)
