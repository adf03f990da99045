"""What moves events in one process: its relay, and the consumers of its generations."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import structlog

from core.events.bell import Bell
from core.events.broadcast import Broadcaster
from core.events.consumer import Consumer
from core.events.counts import Counts
from core.events.failpoints import arm
from core.events.groups import EventPlan, register
from core.events.handling import handlings
from core.events.leases import AllBuckets, BucketLeases, Leases
from core.events.relay import Relay
from core.steps import leave_behind

if TYPE_CHECKING:
    from core.context import Context
    from core.db.engine import Database
    from core.events.kafka.work import KafkaWork
    from core.settings import EventsSettings, KafkaSettings

log = structlog.get_logger("tessera.events")

LEAVE_SECONDS = 5.0
"""How long a handler under way may go on when its consumer ends; then it is rolled back."""


CANCEL_SECONDS = 3.0
"""How long what was cancelled may take to end."""
Role = Literal["all", "api", "worker", "none"]
"""What a process does: ``none`` is a command, to which nothing is delivered at all."""


class Work(Protocol):
    """What runs beside the requests of a process, or of a generation."""

    async def run(self) -> None:
        """Work until `leave`, or until cancelled, which rolls back what is under way."""
        ...

    def leave(self) -> None:
        """Begin nothing more."""
        ...


class EventRuntime:
    """Process-wide. Before `start`, and in a process that does not deliver, events only lie."""

    def __init__(
        self, database: Database, *, settings: EventsSettings, kafka: KafkaSettings, bell: Bell
    ) -> None:
        """Where `kafka` names a broker, the relay sends to it, and consumers take from it too."""
        self._database = database
        self._settings = settings
        self._bell = bell
        self.role: Role = "all"
        self.counts = Counts()
        self._tasks: list[asyncio.Task[None]] = []
        self._relay: Work | None = None
        self._outside: set[tuple[str, int]] = set()
        # Of all groups together, so that slow handlers leave half of the pool to requests.
        self._places = asyncio.Semaphore(max(1, database.at_once // 2))
        self._kafka = (
            _kafka(database, settings=settings, kafka=kafka, bell=bell, counts=self.counts)
            if kafka.bootstrap_servers
            else None
        )
        leased = BucketLeases(database, seconds=settings.lease_seconds)
        self.leases: Leases = leased if database.dialect == "postgresql" else AllBuckets()

    @property
    def delivering(self) -> bool:
        """Whether this process relays, and works for groups."""
        return self.role in ("all", "worker")

    def start(self) -> None:
        """Begin to relay; core's tables must be there."""
        if self.role == "none":
            return
        arm(os.environ)
        if self._database.dialect == "postgresql":
            from core.events.signals import Signals  # its driver; on SQLite nobody pays for it

            self._begin("signals", Signals(self._database.url, self._bell).run())
        if not self.delivering:
            return
        self._relay = self._kafka.relay(self.leases) if self._kafka else self._embedded_relay()
        self._begin("relay", self._relay.run())
        if isinstance(self.leases, BucketLeases):
            self._begin("leases", self.leases.run())

    def _embedded_relay(self) -> Relay:
        return Relay(
            self._database,
            leases=self.leases,
            bell=self._bell,
            counts=self.counts,
            poll_seconds=self._settings.poll_seconds,
        )

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=f"tessera-{name}"))

    async def stop(self) -> None:
        """End the relay, give the leases back.

        Each ends by itself after the round that it is in, since a statement that is cancelled
        costs its connection; only what hangs (the database is away) is cancelled.
        """
        tasks, self._tasks = {task.get_name(): task for task in self._tasks}, []
        if self._relay is not None:
            self._relay.leave()
            self._bell.ring_here()
            await _ended([tasks.pop("tessera-relay")])
        if "tessera-leases" in tasks and isinstance(self.leases, BucketLeases):
            self.leases.leave()
            await _ended([tasks.pop("tessera-leases")])
        await _ended([*tasks.values()], seconds=0)

    @contextlib.asynccontextmanager
    async def consuming(
        self, plan: EventPlan, contexts: Mapping[str, Context]
    ) -> AsyncIterator[None]:
        """The consumers and listeners of a generation, while it lives. Raises Unavailable."""
        if self.role == "none":
            yield
            return
        if plan.groups:
            async with self._database.write() as session:
                await register(session, plan)
        workers = self._consumers(plan, contexts) if self.delivering else []
        workers += await self._listening(plan, contexts)
        tasks = [asyncio.create_task(it.run(), name="tessera-consumer") for it in workers]
        try:
            yield
        finally:
            for worker in workers:
                worker.leave()
            self._bell.ring_here()
            await _ended(tasks)

    def _consumers(self, plan: EventPlan, contexts: Mapping[str, Context]) -> list[Work]:
        """Those of the database always; what came by a broker and failed is tried again there."""
        handling_of = handlings(
            plan,
            contexts=contexts,
            dialect=self._database.dialect,
            settings=self._settings,
            counts=self.counts,
        )
        found: list[Work] = [
            Consumer(
                handling,
                database=self._database,
                leases=self.leases,
                bell=self._bell,
                settings=self._settings,
                outside=self._outside,
                places=self._places,
            )
            for handling in handling_of.values()
        ]
        if self._kafka is not None:
            taking = self._kafka.consumers(plan, handling_of, places=self._places)
            found += [self._kafka.topic_maker(plan), *taking]
        return found

    async def _listening(self, plan: EventPlan, contexts: Mapping[str, Context]) -> list[Work]:
        if not plan.listeners:
            return []
        broadcaster = Broadcaster(
            plan.listeners,
            catalog=plan.catalog,
            contexts=contexts,
            database=self._database,
            bell=self._bell,
        )
        await broadcaster.begin()
        return [broadcaster]


def _kafka(database: Database, **options: Any) -> KafkaWork:
    """Imported here: a deployment without a broker does not load its client."""
    from core.events.kafka.work import KafkaWork

    return KafkaWork(database, **options)


async def _ended(tasks: Sequence[asyncio.Task[None]], *, seconds: float = LEAVE_SECONDS) -> None:
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    if late:
        _, stuck = await asyncio.wait(late, timeout=CANCEL_SECONDS)
        for task in stuck:
            log.error("it does not end, and is left behind", task=task.get_name())
            leave_behind(task)
