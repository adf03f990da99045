"""The series about events: what waits, in all; and what this process has done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.events.backlog import RELAY, Backlog
from core.events.counts import Counts, What

if TYPE_CHECKING:
    from core.generation import Generation

COUNTED: tuple[tuple[What, str], ...] = (
    ("delivered", "Deliveries that this process has made."),
    ("failed", "Tries of this process that failed."),
    ("dead", "Messages that this process has given up."),
)


class EventMetrics(Collector):
    """Gauges from the last look at the database (`backlogs`), counters from this process."""

    def __init__(self, current: Callable[[], Generation], backlogs: Sequence[Backlog]) -> None:
        self._current = current
        self._backlogs = backlogs

    def describe(self) -> Iterator[Metric]:
        return iter(())  # else the registry would ask before there is a generation

    def collect(self) -> Iterator[Metric]:
        yield from _gauges(self._backlogs)
        yield from _counters(self._current().world.resources.events.counts)


def _gauges(backlogs: Sequence[Backlog]) -> Iterator[Metric]:
    """The same in every process: they are the database's, and the broker's."""
    relay = [it for it in backlogs if it.name == RELAY]
    groups = [it for it in backlogs if it.name != RELAY]
    for it in relay:
        yield GaugeMetricFamily(
            "tessera_outbox_pending", "Events that are recorded, not published.", it.waiting
        )
        yield GaugeMetricFamily(
            "tessera_outbox_oldest_seconds", "Age of the oldest of those.", it.age()
        )
        yield GaugeMetricFamily(
            "tessera_outbox_dead", "Events that a broker would not take.", it.dead
        )
    if backlogs:  # the relay's too, and alone where nobody subscribes
        yield _by_group(
            "tessera_events_overdue_seconds",
            "For how long the oldest waits that waits for nothing but to be delivered.",
            [(it.name, it.overdue()) for it in backlogs],
        )
    if groups:
        yield _by_group(
            "tessera_events_waiting",
            "Deliveries that a group is to be given, dead letters aside.",
            [(it.name, it.waiting) for it in groups],
        )
        yield _by_group(
            "tessera_events_oldest_seconds",
            "Since when the event of the oldest of those is recorded.",
            [(it.name, it.age()) for it in groups],
        )
        yield _by_group(
            "tessera_events_dead_letters",
            "Deliveries given up.",
            [(it.name, it.dead) for it in groups],
        )
    lag = [(it.name, it.lag) for it in groups if it.lag is not None]
    if lag:
        yield _by_group("tessera_events_lag", "Messages on its topics yet to be given.", lag)


def _by_group(name: str, text: str, values: Sequence[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("group",))
    for group, value in values:
        family.add_metric((group,), value)
    return family


def _counters(counts: Counts) -> Iterator[Metric]:
    published = CounterMetricFamily(
        "tessera_events_published", "Events that this process has relayed."
    )
    published.add_metric((), sum(count for _, count in counts.of("published")))
    yield published
    for what, text in COUNTED:
        family = CounterMetricFamily(f"tessera_events_{what}", text, labels=("group",))
        for group, count in counts.of(what):
            family.add_metric((group,), count)
        yield family
