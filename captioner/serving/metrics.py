"""The server's metrics for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # folder in which several processes share their metrics; see prometheus-client
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one application, or of all worker processes together."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self.requests = Counter(
            "captioner_requests", "Requests by route and status.", ["route", "status"], registry=own
        )
        self.seconds = Histogram(
            "captioner_request_seconds", "Seconds to the response.", ["route"], buckets=_SECONDS, registry=own
        )
        self.pictures = Counter("captioner_pictures", "Captioned pictures.", registry=own)
        self.batches = Histogram("captioner_batch_pictures", "Pictures in a batch.", buckets=_SIZES, registry=own)
        self.batch_seconds = Histogram(
            "captioner_batch_seconds", "Seconds that the model takes for a batch.", buckets=_SECONDS, registry=own
        )
        self.queued = Gauge(
            "captioner_queued_pictures",
            "Accepted pictures that wait for the model.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self.ready = Gauge(
            "captioner_ready", "1 when the model is compiled.", registry=own, multiprocess_mode="livemin"
        )
        if os.environ.get(FOLDER):
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry)
        else:
            ProcessCollector(registry=own)
            self._registry = own

    def text(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self._registry)


def forget_process(pid: int) -> None:
    """Remove an ended worker process from the metrics of living processes, such as captioner_ready."""
    mark_process_dead(pid, os.environ[FOLDER])
