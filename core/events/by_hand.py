"""Events moved by hand, one batch after the other, in a process that moves none by itself."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from core.events.bell import Bell
from core.events.consumer import Consumer
from core.events.counts import Counts
from core.events.failure import reason_of
from core.events.handling import handlings
from core.events.leases import AllBuckets, BucketLeases, Leases
from core.events.relay import KIND, Relay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.context import Context
    from core.db.engine import Database
    from core.errors import Unavailable
    from core.events.due import Due
    from core.events.groups import EventPlan
    from core.settings import EventsSettings


Waiting = tuple[str, int, int]
"""A delivery: its group, its event's number in the outbox, how often it had failed before."""


class ByHand:
    """A relay and a generation's consumers that do one thing when they are told to.

    For tests: what comes when is then the test's to say. With role ``api``, so that nobody else is
    at it.
    """

    def __init__(
        self,
        plan: EventPlan,
        *,
        contexts: Mapping[str, Context],
        database: Database,
        settings: EventsSettings,
    ) -> None:
        self._database = database
        self._leases: Leases = AllBuckets()
        if database.dialect == "postgresql":
            self._leases = BucketLeases(database, seconds=settings.lease_seconds)
        bell = Bell()
        counts = Counts()
        self._relay = Relay(
            database, leases=self._leases, bell=bell, counts=counts, poll_seconds=0.0
        )
        self.waiting: dict[Waiting, str] = {}
        """What waits since its handler met Unavailable, which is no failure, and the reason."""
        handling_of = handlings(
            plan, contexts=contexts, dialect=database.dialect, settings=settings, counts=counts
        )
        self._consumers = [
            Consumer(
                handling,
                database=database,
                leases=self._leases,
                bell=bell,
                settings=settings,
                on_wait=partial(self._note, handling.group),
            )
            for handling in handling_of.values()
        ]

    def _note(self, group: str, due: Due, error: Unavailable) -> None:
        self.waiting[group, due.seq, due.attempts] = reason_of(error)

    async def deliver(self) -> int:
        """Deliver until nothing is due any more, what handlers publish included.

        How many deliveries were made. A message that failed is due again when its wait is over,
        one that waits (see `waiting`) when this is called of another.
        """
        with ExitStack() as stack:
            for kind in (KIND, *(consumer.group for consumer in self._consumers)):
                stack.enter_context(self._leases.wanting(kind))
            if not isinstance(self._leases, BucketLeases):
                return await self._until_nothing_moves()
            await self._leases.keep()
            try:
                return await self._until_nothing_moves()
            finally:
                await self._leases.give_back()

    async def _until_nothing_moves(self) -> int:
        made = 0
        while True:
            relayed = await self._relay.relay()
            delivered = sum([await consumer.round() for consumer in self._consumers])
            made += delivered
            if not relayed and not delivered:
                return made
