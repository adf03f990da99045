"""Handling: how one group's handlers are given an event, whichever way it came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from core.events.catalog import EventCatalog, Undecodable
from core.events.counts import Counts
from core.events.failpoints import failpoint
from core.events.subscription import Delivery
from core.tracing import handling, sane

if TYPE_CHECKING:
    from core.context import Context
    from core.db.session import WritableSession
    from core.events.event import Event
    from core.events.groups import GroupPlan


class Handling:
    """The subscriptions of one module, ready to be called."""

    def __init__(
        self,
        plan: GroupPlan,
        *,
        catalog: EventCatalog,
        context: Context,
        handler_seconds: float,
        counts: Counts,
    ) -> None:
        """A handler that has not returned after `handler_seconds` has failed."""
        self.group = plan.name
        self.counts = counts
        self._plan = plan
        self._catalog = catalog
        self._context = context
        self._limit = handler_seconds

    def readable(self, event_type: str, payload: str) -> Event:
        """The event of a payload, lifted to a version that is subscribed to. Raises Undecodable."""
        decoded = self._catalog.decode(event_type, payload)
        event = self._catalog.lift(decoded, self._plan.subscriptions)
        if event is None:
            raise Undecodable(f"{self.group} has no handler for {event_type} any more")
        return event

    def delivery(
        self, event_id: UUID, *, attempt: int, recorded_at: datetime, traceparent: str | None
    ) -> Delivery:
        """What the handlers are told besides the event."""
        return Delivery(
            event_id, self.group, attempt, recorded_at, self._context, sane(traceparent)
        )

    def goes_outside(self, event: Event) -> bool:
        """Whether `outside` has anything to do for it."""
        return any(not it.transaction for it in self._plan.subscriptions[event.event_type])

    async def outside(self, event: Event, delivery: Delivery) -> None:
        """Call the handlers that work without a transaction; they may be called again."""
        for subscription in self._plan.subscriptions[event.event_type]:
            if not subscription.transaction:
                handler: Any = subscription.handler
                await self._limited(handler, handler(event, delivery), delivery)

    async def inside(self, session: WritableSession, event: Event, delivery: Delivery) -> None:
        """Call the handlers that work in the transaction of the session."""
        failpoint("effect.before")
        for subscription in self._plan.subscriptions[event.event_type]:
            if subscription.transaction:
                handler: Any = subscription.handler
                await self._limited(handler, handler(session, event, delivery), delivery)
        failpoint("effect.after")

    async def _limited(self, handler: Any, call: Awaitable[None], delivery: Delivery) -> None:
        timer = asyncio.timeout(self._limit)
        try:
            async with timer:
                with handling(delivery.traceparent):
                    await call
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # somebody ends this consumer
            raise RuntimeError("it was cancelled by what it waited for") from error
        except TimeoutError:
            if not timer.expired():
                raise
            name = getattr(handler, "__qualname__", repr(handler))
            raise TimeoutError(f"{name} did not return within {self._limit:g} s") from None
