"""What a service counts, in the Prometheus text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters and histograms of one application, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "candor_requests",
            "Requests to /verify, and refused requests to any path, by status; 499: the client hung up.",
            ["status"],
            registry=self._registry,
        )
        self.closed = Counter(
            "candor_connections_closed",
            "Connections closed before a request was there: too late (deadline), or to make room (limit).",
            ["reason"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "candor_request_seconds",
            "From a request's arrival to the end of its answer.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.batch = Histogram(
            "candor_batch_size", "Claims in one forward pass.", buckets=BATCH_SIZES, registry=self._registry
        )
        self.waiting = Gauge("candor_waiting", "Claims that wait for the model.", registry=self._registry)
        self.verdicts = Counter(
            "candor_verdicts",
            "Verdicts by label, and by whether they passed the abstention threshold.",
            ["label", "accepted"],
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
