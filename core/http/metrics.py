"""``/metrics``: what this process has served, for Prometheus.

Requests are counted by module, version, route, method and status; a path that no route matched, or
a method that its route does not have, is counted under no route and no method, so that strangers
cannot make the number of series grow. With several
workers each counts its own: scrape them by process, or sum over scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from core.http.metrics_events import EventMetrics
from core.request import RequestInfo

if TYPE_CHECKING:
    from core.events.backlog import Backlog
    from core.generation import Generation

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency buckets, in seconds."""

PLACE = ("version", "module", "route", "method")
Place = tuple[str, str, str, str]


class _Cell:
    """What was seen of one place and status. Written by the loop's thread alone, so without locks:
    prometheus_client's own counters take a mutex three times a request, six times the price."""

    __slots__ = ("buckets", "count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(SECONDS) + 1)

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(SECONDS, seconds)] += 1


class Metrics:
    """The counters of one process. They outlive generations, so that a swap resets nothing."""

    def __init__(self, current: Callable[[], Generation]) -> None:
        """`current` gives the generation whose modules, pool and requests are told of."""
        self._current = current
        self._cells: dict[tuple[Place, int], _Cell] = {}
        self._backlogs: list[Backlog] = []
        self.registry = CollectorRegistry()
        self.registry.register(_Served(self._cells))
        self.registry.register(_Present(current))
        self.registry.register(EventMetrics(current, self._backlogs))

    def observe(self, info: RequestInfo, seconds: float) -> None:
        """Count one request that took so many seconds."""
        route = info.route
        place = (info.version or "", info.module or "", route or "", info.method if route else "")
        cell = self._cells.get((place, info.status))
        if cell is None:
            cell = self._cells[place, info.status] = _Cell()
        cell.add(seconds)

    async def page(self, _request: Request) -> Response:
        """The page that Prometheus reads."""
        try:
            self._backlogs[:] = await self._current().world.resources.lookout.look()
        except Exception:  # the database is away: better no figures than old ones
            self._backlogs.clear()
        return Response(
            generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


class _Served(Collector):
    """The cells, in the form that Prometheus knows."""

    def __init__(self, cells: Mapping[tuple[Place, int], _Cell]) -> None:
        self._cells = cells

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "tessera_requests", "Requests answered.", labels=(*PLACE, "status")
        )
        by_place: dict[Place, list[_Cell]] = {}
        for (place, status), cell in list(self._cells.items()):
            requests.add_metric((*place, str(status)), cell.count)
            by_place.setdefault(place, []).append(cell)
        yield requests
        seconds = HistogramMetricFamily(
            "tessera_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            labels=PLACE,
        )
        for place, cells in by_place.items():
            below = accumulate(map(sum, zip(*(cell.buckets for cell in cells), strict=True)))
            bounds = (*map(str, SECONDS), "+Inf")
            seconds.add_metric(
                place, list(zip(bounds, below, strict=True)), sum(cell.seconds for cell in cells)
            )
        yield seconds


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
