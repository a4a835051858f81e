"""How much a service takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds of a service.

    Attributes:
        token: what clients must send as a bearer token; ``None``: no token is asked for.
        max_batch: most claims in one forward pass.
        max_queue: claims that may wait for the model; what comes on top is refused with 429.
        timeout: seconds after which a claim that is still waiting is answered with 504; one that would wait longer, by
            what the last passes took, is refused with 429 at once.
        max_body: bytes of a request's body.
        header_timeout: seconds until a connection's next request has to be there with all of its headers.
        max_connections: open at a time, within what the system lets the process open and never fewer than can be
            answered; a new one then takes the place of the one that has waited longest for its request.
        hosts: names by which clients may call the service in the ``Host`` header, with a port or, for any port,
            without; ``None``: any. Behind an address that only this machine reaches, names keep other pages in a
            browser from the service.
        shutdown_seconds: how long requests in flight may take to end once the service is asked to stop.
    """

    token: str | None = None
    max_batch: int = 32
    max_queue: int = 256
    timeout: float = 30.0
    max_body: int = 256 * 1024
    header_timeout: float = 10.0
    max_connections: int = 1024
    hosts: tuple[str, ...] | None = None
    shutdown_seconds: float = 30.0
