"""What moves events in one process: its relay, and the consumers of its generations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from core.events.bell import Bell
from core.events.consumer import Consumer
from core.events.groups import EventPlan, register
from core.events.leases import AllBuckets, BucketLeases, Leases
from core.events.relay import Relay
from core.events.signals import Signals

if TYPE_CHECKING:
    from core.context import Context
    from core.db.engine import Database
    from core.settings import EventsSettings

log = structlog.get_logger("tessera.events")

LEAVE_SECONDS = 5.0
"""How long a handler under way may go on when its consumer ends; then it is rolled back."""


class EventRuntime:
    """Process-wide. Before `start` and in a process that does not deliver, events only lie."""

    def __init__(self, database: Database, *, settings: EventsSettings, bell: Bell) -> None:
        self._database = database
        self._settings = settings
        self._bell = bell
        self.delivering = True
        self._tasks: list[asyncio.Task[None]] = []
        self._relay: Relay | None = None
        leased = BucketLeases(database, seconds=settings.lease_seconds)
        self.leases: Leases = leased if database.dialect == "postgresql" else AllBuckets()

    def start(self) -> None:
        """Begin to relay; core's tables must be there."""
        if not self.delivering:
            return
        self._relay = Relay(
            self._database,
            leases=self.leases,
            bell=self._bell,
            poll_seconds=self._settings.poll_seconds,
        )
        self._begin("relay", self._relay.run())
        if isinstance(self.leases, BucketLeases):
            self._begin("leases", self.leases.run())
            self._begin("signals", Signals(self._database.url, self._bell).run())

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=f"tessera-{name}"))

    async def stop(self) -> None:
        """End the relay, give the leases back."""
        tasks, self._tasks = self._tasks, []
        if self._relay is not None:
            self._relay.leave()
            self._bell.ring(only_here=True)
            await asyncio.wait(tasks[:1], timeout=LEAVE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def consuming(
        self, plan: EventPlan, contexts: Mapping[str, Context]
    ) -> AsyncIterator[None]:
        """The consumers of a generation, for as long as it lives. Raises Unavailable."""
        if not self.delivering or not plan.groups:
            yield
            return
        async with self._database.write() as session:
            await register(session, plan)
        consumers = [
            Consumer(
                group.name,
                group.handlers,
                catalog=plan.catalog,
                context=contexts[group.name],
                database=self._database,
                leases=self.leases,
                bell=self._bell,
                settings=self._settings,
            )
            for group in plan.groups
        ]
        tasks = [asyncio.create_task(it.run(), name=f"tessera-{it.group}") for it in consumers]
        try:
            yield
        finally:
            for consumer in consumers:
                consumer.leave()
            self._bell.ring(only_here=True)
            await _ended(tasks)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    _, late = await asyncio.wait(tasks, timeout=LEAVE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
