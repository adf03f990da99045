"""``/metrics``: what this process has served, for Prometheus.

Requests are counted by module, version, route, method and status; a path that no route matched is
counted under no route, so that strangers cannot make the number of series grow. With several
workers each counts its own: scrape them by process, or sum over scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from core.request import RequestInfo

if TYPE_CHECKING:
    from core.generation import Generation

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency buckets, in seconds."""

Place = tuple[str, str, str, str]


class Metrics:
    """The counters of one process. They outlive generations, so that a swap resets nothing."""

    def __init__(self, current: Callable[[], Generation]) -> None:
        """`current` gives the generation whose modules, pool and requests are told of."""
        self.registry = CollectorRegistry()
        labels = ("version", "module", "route", "method")
        self._requests = Counter(
            "tessera_requests",
            "Requests answered.",
            (*labels, "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tessera_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            labels,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.registry.register(_Present(current))
        # `labels()` looks its child up under a lock; a dictionary of our own halves the price.
        self._counters: dict[tuple[Place, int], Counter] = {}
        self._histograms: dict[Place, Histogram] = {}

    def observe(self, info: RequestInfo, seconds: float) -> None:
        """Count one request that took so many seconds."""
        place = (info.version or "", info.module or "", info.route or "", info.method)
        if info.route is None:
            place = (info.version or "", info.module or "", "", "")
        key = (place, info.status)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._requests.labels(*place, info.status)
        counter.inc()
        histogram = self._histograms.get(place)
        if histogram is None:
            histogram = self._histograms[place] = self._seconds.labels(*place)
        histogram.observe(seconds)

    async def page(self, _request: Request) -> Response:
        """The page that Prometheus reads."""
        return Response(
            generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


class _Present(Collector):
    """What is read off at the moment of the scrape, and costs nothing before."""

    def __init__(self, current: Callable[[], Generation]) -> None:
        self._current = current

    def describe(self) -> Iterator[Metric]:
        return iter(())  # else the registry would ask before there is a generation

    def collect(self) -> Iterator[Metric]:
        generation = self._current()
        yield GaugeMetricFamily(
            "tessera_requests_in_flight",
            "Requests under way in the current generation.",
            value=generation.in_flight,
        )
        states = GaugeMetricFamily(
            "tessera_module_state",
            "1 for the state that a module is in.",
            labels=("module", "state"),
        )
        for module in generation.registry:
            states.add_metric((module.id, module.state), 1)
        yield states
        connections = GaugeMetricFamily(
            "tessera_database_connections",
            "Connections of this process to the database.",
            labels=("use",),
        )
        for use, count in generation.world.resources.database.connections().items():
            connections.add_metric((use,), count)
        yield connections
