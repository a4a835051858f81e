"""Where a service listens, and whom it warns; what happens under load is in test_service.py."""

from __future__ import annotations

import socket

import pytest
from rich.console import Console
from running import FakeVerifier

from candor.progress import Reporter
from candor.serve import server
from candor.serve.settings import Settings


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        # A name may be anybody's, whatever it looks like.
        ("localhost.example", False),
        ("", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert server.is_loopback(host) is loopback


def test_an_address_that_is_taken_is_an_error_before_anything_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        server.serve(
            FakeVerifier(),  # type: ignore[arg-type]
            Settings(),
            host="127.0.0.1",
            port=taken.getsockname()[1],
            reporter=Reporter(quiet=True),
        )


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [("127.0.0.1", None, False), ("0.0.0.0", None, True), ("0.0.0.0", "secret", False)],
)
def test_an_open_service_is_warned_of(
    host: str, token: str | None, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda self, sockets: None)
    console = Console(record=True, width=200, quiet=False)
    server.serve(FakeVerifier(), Settings(token=token), host=host, port=0, reporter=Reporter(console))  # type: ignore[arg-type]
    assert ("set a token with CANDOR_TOKEN" in console.export_text()) is warned
    assert f"http://{host}:" in capsys.readouterr().out
