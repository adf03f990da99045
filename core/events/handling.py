"""Handling: how one group's handlers are given an event, whichever way it came."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from core import steps
from core.errors import text_of
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


log = structlog.get_logger("tessera.events")

LINGER_SECONDS = 1.0
"""How long a handler may take to end when its time is over."""
SQLITE_SECONDS = 2.5
"""Longest in a transaction on SQLite, whose other writers give up after 5 s."""


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
        transaction_seconds: float = math.inf,
    ) -> None:
        """A handler that has not returned after `handler_seconds` has failed.

        One that works in a transaction has `transaction_seconds` at most: on SQLite nobody else
        can write meanwhile.
        """
        self.group = plan.name
        self.counts = counts
        self._plan = plan
        self._catalog = catalog
        self._context = context
        self._limit = handler_seconds
        self._inside_limit = min(handler_seconds, transaction_seconds)

    @property
    def longest(self) -> float:
        """Seconds that the handlers of one event may be at work in its transaction, together."""
        every = self._plan.subscriptions.values()
        return self._inside_limit * max(sum(it.transaction for it in those) for those in every)

    def readable(self, event_type: str, payload: str) -> Event:
        """The event of a payload, lifted to a version that is subscribed to.

        Raises Undecodable, or Unavailable while the module is off that could lift it.
        """
        try:
            decoded = self._catalog.decode(event_type, payload)
            event = self._catalog.lift(decoded, self._plan.subscriptions)
        except Exception:
            raise
        except BaseException as error:  # an upcaster's: it counts like any other failure of its
            raise RuntimeError(f"{type(error).__name__}: {text_of(error)}") from error
        if event is None:
            self._catalog.refuse_absent(event_type)
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
                await self._limited(handler, (event, delivery), delivery, seconds=self._limit)

    async def inside(self, session: WritableSession, event: Event, delivery: Delivery) -> None:
        """Call the handlers that work in the transaction of the session."""
        failpoint("effect.before")
        for subscription in self._plan.subscriptions[event.event_type]:
            if subscription.transaction:
                handler: Any = subscription.handler
                given = session, event, delivery
                await self._limited(handler, given, delivery, seconds=self._inside_limit)
        failpoint("effect.after")

    async def _limited(
        self, handler: Any, given: Sequence[Any], delivery: Delivery, *, seconds: float
    ) -> None:
        """Call it in a task of its own, so that it can be left behind when it does not end."""
        name = getattr(handler, "__qualname__", repr(handler))
        with handling(delivery.traceparent):
            task = steps.create_task(
                _called(handler, given),
                module=self.group,
                doing=f"its handler {name}",
                name=f"tessera-{self.group}-handler",
            )
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            await self._give_up(task, name)
            raise
        if not done:
            await self._give_up(task, name)
            raise TimeoutError(f"{name} did not return within {seconds:g} s")
        try:
            task.result()
        except asyncio.CancelledError as error:
            raise RuntimeError(f"{name} was cancelled by what it waited for") from error
        except (Exception, SystemExit):
            raise
        except BaseException as error:  # nobody above expects it, and its message would be lost
            raise RuntimeError(f"{type(error).__name__}: {text_of(error)}") from error

    async def _give_up(self, task: asyncio.Task[None], name: str) -> None:
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=LINGER_SECONDS)
        if done:
            with suppress(BaseException):  # seen: it is over whatever it was
                task.result()
        else:
            steps.leave_behind(task)
            log.error(
                "a handler swallows its cancellation: it is left behind",
                group=self.group,
                handler=name,
            )


async def _called(handler: Any, given: Sequence[Any]) -> None:
    await handler(*given)
