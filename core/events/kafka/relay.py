"""The relay to Kafka: keeps its streams going, whatever becomes of the broker and the database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from core.errors import Unavailable
from core.events.kafka.stream import Stream
from core.events.kafka.trouble import BrokerTrouble
from core.events.outage import Outage
from core.events.relay import KIND

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.events.bell import Bell
    from core.events.counts import Counts
    from core.events.kafka.topics import Topics
    from core.events.leases import Leases
    from core.settings import EventsSettings, KafkaSettings

log = structlog.get_logger("tessera.events")

STREAMS = 3
"""While one waits for acknowledgements others read, and mark what has arrived."""
FEW = 50
PAUSE_SECONDS = 0.01
"""After a batch of so few, for more to come together: each look costs a query."""
GRACE_SECONDS = 1.5
"""How long a round under way may go on when the relay is to end: the broker may be away."""


class KafkaRelay:
    """One a process, where a broker is configured; does what `core.events.relay.Relay` does."""

    def __init__(
        self,
        *,
        database: Database,
        leases: Leases,
        bell: Bell,
        topics: Topics,
        settings: EventsSettings,
        kafka: KafkaSettings,
        counts: Counts,
    ) -> None:
        self._leases = leases
        self._bell = bell
        self._topics = topics
        self._poll_seconds = settings.poll_seconds
        self._streams = [
            Stream(
                share=(number, STREAMS),
                database=database,
                leases=leases,
                topics=topics,
                settings=settings,
                kafka=kafka,
                counts=counts,
            )
            for number in range(STREAMS)
        ]
        self._outage = Outage("the relay")
        self._without_database = Outage("the relay")
        self._leaving = False
        self._tasks: list[asyncio.Task[None]] = []

    def leave(self) -> None:
        """Begin nothing more; what is under way is ended a moment later."""
        self._leaving = True
        for stream in self._streams:
            stream.leave()
        for task in self._tasks:
            asyncio.get_running_loop().call_later(GRACE_SECONDS, task.cancel)

    async def run(self) -> None:
        """Work until `leave` or a cancellation; what was sent and not yet marked is sent again."""
        with self._leases.wanting(KIND):
            self._tasks = [asyncio.create_task(self._keep(it)) for it in self._streams]
            try:
                await asyncio.wait(self._tasks)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, stream: Stream) -> None:
        try:
            with self._bell.listening("recorded") as ear:
                while not self._leaving:
                    sent = await self._try(stream)
                    if not sent:
                        await ear.wait(seconds=stream.rest())
                    if sent < FEW:
                        await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await stream.close()

    async def _try(self, stream: Stream) -> int:
        """How many events arrived; trouble is told and tried again, for ever."""
        try:
            sent = await stream.relay()
        except Unavailable as error:
            self._without_database.met(error)
        except BrokerTrouble as error:
            self._outage.met(error)
            self._topics.forget()
            await self._pause()
        except Exception:
            log.exception("the relay failed, and tries again")
        else:
            self._without_database.over()
            if sent:  # a stream that had nothing to send knows nothing of the broker
                self._outage.over()
            return sent
        return 0

    async def _pause(self) -> None:
        """New events ring the bell all the time: they must not make it knock at a closed door."""
        if not self._leaving:
            await asyncio.sleep(self._poll_seconds)
