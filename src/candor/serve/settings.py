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
        timeout: seconds after which a claim that is still waiting is answered with 504.
        max_body: bytes of a request.
        shutdown_seconds: how long requests in flight may take to end once the service is asked to stop.
    """

    token: str | None = None
    max_batch: int = 32
    max_queue: int = 256
    timeout: float = 30.0
    max_body: int = 256 * 1024
    shutdown_seconds: float = 30.0
