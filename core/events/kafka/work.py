"""What a process does with Kafka, put together for `core.events.runtime`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.events.kafka.consumer import KafkaConsumer
from core.events.kafka.relay import KafkaRelay
from core.events.kafka.topics import TopicMaker, Topics

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.events.bell import Bell
    from core.events.counts import Counts
    from core.events.groups import EventPlan
    from core.events.handling import Handling
    from core.events.leases import Leases
    from core.settings import EventsSettings, KafkaSettings


class KafkaWork:
    """One a process; it connects to nothing before one of its parts runs."""

    def __init__(
        self,
        database: Database,
        *,
        settings: EventsSettings,
        kafka: KafkaSettings,
        bell: Bell,
        counts: Counts,
    ) -> None:
        self._kafka = kafka
        self._counts = counts
        self._common: dict[str, Any] = {
            "database": database,
            "settings": settings,
            "kafka": kafka,
            "bell": bell,
            "topics": Topics(kafka, again_seconds=settings.poll_seconds),
        }

    def relay(self, leases: Leases) -> KafkaRelay:
        """What sends."""
        return KafkaRelay(leases=leases, counts=self._counts, **self._common)

    def consumers(
        self, plan: EventPlan, handlings: Mapping[str, Handling], *, places: asyncio.Semaphore
    ) -> list[KafkaConsumer]:
        """What takes, one a group of the plan; `places` are those of all groups together."""
        given = {"catalog": plan.catalog, "places": places, **self._common}
        return [KafkaConsumer(it, handlings[it.name], **given) for it in plan.groups]

    def topic_maker(self, plan: EventPlan) -> TopicMaker:
        """What makes the topics of all that publish."""
        return TopicMaker(
            self._common["topics"],
            plan.catalog.modules(),
            kafka=self._kafka,
            poll_seconds=self._common["settings"].poll_seconds,
        )
