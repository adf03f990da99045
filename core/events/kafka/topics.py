"""Topics: made where they are missing, with the partitions that the settings say.

A topic that is there stays as it is: with more partitions a key would move to another one, and
its events could overtake each other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from core.events.kafka.client import options, topic_of
from core.events.kafka.trouble import AWAY, BrokerTrouble, trouble
from core.events.outage import Outage

if TYPE_CHECKING:
    from core.settings import KafkaSettings

log = structlog.get_logger("tessera.events")


class Topics:
    """Those of one process; each is asked for until it is known to be there."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._known: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    def forget(self) -> None:
        """Look again for all of them: one may have been deleted."""
        self._known.clear()

    async def ensure(self, names: Collection[str]) -> None:
        """Make those that are missing. Raises BrokerTrouble."""
        if self._known.issuperset(names):
            return
        async with self._one_at_a_time:
            missing = sorted(set(names) - self._known)
            try:
                async with asyncio.timeout(self._settings.send_seconds):
                    await self._make(missing)
            except AWAY as error:
                raise trouble(error, doing=f"making the topics {', '.join(missing)}") from error
            self._known.update(missing)

    async def _make(self, names: list[str]) -> None:
        admin = AIOKafkaAdminClient(**options(self._settings))
        try:
            await admin.start()
            there = set(await admin.list_topics())
            wanted = [self._new(name) for name in names if name not in there]
            if wanted:
                _refuse_failed(await admin.create_topics(wanted))
                log.info("topics were made", topics=[it.name for it in wanted])
        finally:
            await admin.close()

    def _new(self, name: str) -> NewTopic:
        copies = self._settings.replication_factor
        return NewTopic(
            name,
            num_partitions=self._settings.partitions,
            replication_factor=copies,
            # aiokafka takes the broker's own number only together with a list of replicas.
            replica_assignments={} if copies == -1 else None,
        )


class TopicMaker:
    """Makes the topics of a generation's publishers when it begins, however long that takes."""

    def __init__(
        self, topics: Topics, modules: Collection[str], *, kafka: KafkaSettings, poll_seconds: float
    ) -> None:
        self._topics = topics
        self._names = [topic_of(kafka, module) for module in modules]
        self._poll_seconds = poll_seconds
        self._outage = Outage("the making of topics")
        self._left = asyncio.Event()

    def leave(self) -> None:
        """Try no more."""
        self._left.set()

    async def run(self) -> None:
        """Work until they are there, or until `leave` or a cancellation."""
        while not self._left.is_set():
            try:
                await self._topics.ensure(self._names)
            except BrokerTrouble as error:
                self._outage.met(error)
            else:
                self._outage.over()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._left.wait()


def _refuse_failed(response: object) -> None:
    for name, code, *_ in response.topic_errors:  # type: ignore[attr-defined]  # no types
        kind = for_code(code)
        if kind not in (NoError, TopicAlreadyExistsError):
            raise kind(name)
