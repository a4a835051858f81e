"""Running the application until it is asked to stop, and then until the last request has its answer."""

from __future__ import annotations

import ipaddress
import signal
import socket

import typer
import uvicorn

from candor.progress import Reporter
from candor.serve.app import create_app
from candor.serve.settings import Settings
from candor.verifier import Verifier


def serve(verifier: Verifier, settings: Settings, *, host: str, port: int, reporter: Reporter) -> None:
    """Serve until SIGINT or SIGTERM; then take no more requests, answer those in flight, and return.

    Args:
        verifier: the model.
        settings: bounds and token.
        host: address or name to listen on.
        port: 0 takes a free one.
        reporter: told of what a person should know.

    Raises:
        OSError: the address is taken or is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=1024) as listening:
        config = uvicorn.Config(
            create_app(verifier, settings),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=round(settings.shutdown_seconds),
        )
        server = uvicorn.Server(config)
        if not is_loopback(host) and settings.token is None:
            reporter.warn(f"everyone who reaches {host} can use the model; set a token with CANDOR_TOKEN")
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        typer.echo(f"http://{shown}:{listening.getsockname()[1]}/")
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            # uvicorn raises the signal again once it has stopped; being asked to stop is no failure.
            signal.signal(number, lambda *_: None)
        try:
            server.run(sockets=[listening])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
