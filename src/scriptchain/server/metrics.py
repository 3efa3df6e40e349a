"""What Prometheus reads: requests by route and status, how long they take, how full batches and the queue are."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .._version import __version__
from .model import Model

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """`routes` are the paths that are told apart; all others are one."""

    def __init__(self, routes: frozenset[str]):
        self._registry, self._routes = CollectorRegistry(), routes
        self._requests = Counter(
            "scriptchain_requests", "Requests answered.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "scriptchain_request_seconds", "From the headers to the answer.", ["route"], buckets=SECONDS,
            registry=self._registry,
        )  # fmt: skip
        batches = Histogram(
            "scriptchain_batch_texts", "Texts answered together.", buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )  # fmt: skip
        self._info = Gauge(
            "scriptchain_model_info", "The model that answers.", ["model", "version"], registry=self._registry
        )
        self._waiting = Gauge("scriptchain_waiting_texts", "Texts that are not answered yet.", registry=self._registry)
        abandoned = Counter(
            "scriptchain_abandoned", "Requests whose client left or whose time was up.", registry=self._registry
        )
        self.batch, self.left = batches.observe, abandoned.inc
        # Finding them by their names takes longer than counting.
        self._series = cache(
            lambda route, status: (self._requests.labels(route, str(status)), self._seconds.labels(route))
        )

    def observe(self, path: str, status: int, seconds: float) -> None:
        route = path if path in self._routes else "other"
        count, duration = self._series(route, status)
        count.inc()
        duration.observe(seconds)

    def serves(self, model: Model) -> None:
        self._info.clear()
        self._info.labels(model.id, __version__).set(1)

    def text(self, waiting: int) -> bytes:
        self._waiting.set(waiting)
        return generate_latest(self._registry)
