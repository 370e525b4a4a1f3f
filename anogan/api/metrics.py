"""What Prometheus is told: counts and times, nothing of any photo."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "anogan_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "anogan_request_seconds", "Time to answer.", ("method", "route"), buckets=SECONDS, registry=self.registry
        )
        self.screenings = Counter("anogan_screenings", "Photos accepted.", ("decision",), registry=self.registry)
        self.batch = Histogram(
            "anogan_batch_images", "Images judged together.", buckets=(1, 2, 4, 8, 16, 32), registry=self.registry
        )
        self.inside = Gauge("anogan_requests_inside", "Screenings being worked on.", registry=self.registry)
        self.undelivered = Counter(
            "anogan_undelivered", "Times that the review queue could not be reached.", registry=self.registry
        )
