"""Running the application until it is asked to stop, and then until the last request has its answer."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import signal
import socket
from collections.abc import Sequence
from typing import Any

import typer
import uvicorn

from candor.progress import Reporter
from candor.serve.app import create_app
from candor.serve.connections import BoundedProtocol, Door
from candor.serve.metrics import Metrics
from candor.serve.settings import Settings
from candor.verifier import Verifier


def make_server(verifier: Verifier, settings: Settings, *, log_level: str = "warning") -> uvicorn.Server:
    """The application in a server that keeps connections within their bounds.

    Args:
        verifier: the model.
        settings: bounds, token and hosts.
        log_level: of uvicorn's own log.
    """
    metrics = Metrics()
    protocol: Any = functools.partial(BoundedProtocol, door=Door(settings, metrics))
    config = uvicorn.Config(
        create_app(verifier, settings, metrics),
        http=protocol,
        ws="none",
        log_level=log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
    )
    return uvicorn.Server(config)


def serve(
    verifier: Verifier,
    settings: Settings,
    *,
    host: str,
    port: int,
    reporter: Reporter,
    allow_hosts: Sequence[str] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; then take no more requests, answer those in flight, and return.

    Args:
        verifier: the model.
        settings: bounds and token; its hosts are chosen here.
        host: address or name to listen on.
        port: 0 takes a free one.
        reporter: told of what a person should know.
        allow_hosts: further names, with or without port, by which clients may call the service. Without any, an
            address that others reach may be called by every name, and one of this machine alone by its own.

    Raises:
        OSError: the address is taken or is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=1024) as listening:
        bound = listening.getsockname()[1]
        hosts = allowed_hosts(host, bound, allow_hosts)
        server = make_server(verifier, dataclasses.replace(settings, hosts=hosts))
        if not is_loopback(host) and settings.token is None:
            reporter.warn(f"everyone who reaches {host} can use the model; set a token with CANDOR_TOKEN")
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        typer.echo(f"http://{shown}:{bound}/")
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            # uvicorn raises the signal again once it has stopped; being asked to stop is no failure.
            signal.signal(number, lambda *_: None)
        try:
            server.run(sockets=[listening])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def allowed_hosts(host: str, port: int, allow_hosts: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Names by which clients may call a service that listens on ``host`` and ``port``; ``None``: any.

    >>> allowed_hosts("127.0.0.1", 8000)
    ('localhost:8000', '127.0.0.1:8000', '[::1]:8000')
    >>> allowed_hosts("0.0.0.0", 8000), allowed_hosts("0.0.0.0", 8000, ["candor.example"])[-1]
    (None, 'candor.example')
    """
    if not is_loopback(host) and not allow_hosts:
        return None
    own = [f"[{host}]" if ":" in host else host] if is_loopback(host) else []
    names = dict.fromkeys(["localhost", "127.0.0.1", "[::1]", *own])
    return (*(f"{name}:{port}" for name in names), *allow_hosts)


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
