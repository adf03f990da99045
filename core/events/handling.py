"""Handling: how one group's handlers are given an event, whichever way it came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from core.db.trouble import refuse_lost_transaction
from core.errors import text_of
from core.events.catalog import EventCatalog, Undecodable
from core.events.counts import Counts
from core.events.failpoints import failpoint
from core.events.limited import limited
from core.events.subscription import Delivery
from core.tracing import sane

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from core.context import Context
    from core.db.session import WritableSession
    from core.events.event import Event
    from core.events.groups import EventPlan, GroupPlan
    from core.events.subscription import Subscription
    from core.settings import EventsSettings

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
                await self._call(subscription, event, delivery, seconds=self._limit)

    async def inside(self, session: WritableSession, event: Event, delivery: Delivery) -> None:
        """Call the handlers that work in the transaction of the session.

        Raises what would else be found out by whoever has the session next: that a row cannot be
        written, or that the transaction is lost with an error which a handler swallowed.
        """
        failpoint("effect.before")
        for subscription in self._plan.subscriptions[event.event_type]:
            if subscription.transaction:
                given = session, event, delivery
                await self._call(subscription, *given, seconds=self._inside_limit)
        await session.run_sync(_settle)
        failpoint("effect.after")

    async def _call(self, subscription: Subscription, *given: Any, seconds: float) -> None:
        await limited(
            subscription.handler,
            *given,
            module=self.group,
            traceparent=given[-1].traceparent,
            seconds=seconds,
        )


def handlings(
    plan: EventPlan,
    *,
    contexts: Mapping[str, Context],
    dialect: str,
    settings: EventsSettings,
    counts: Counts,
) -> dict[str, Handling]:
    """Those of each group, with the limits that hold on a database: for whoever delivers."""
    return {
        group.name: Handling(
            group,
            catalog=plan.catalog,
            context=contexts[group.name],
            handler_seconds=settings.handler_seconds,
            counts=counts,
            transaction_seconds=SQLITE_SECONDS if dialect == "sqlite" else math.inf,
        )
        for group in plan.groups
    }


def _settle(session: Session) -> None:
    session.flush()
    refuse_lost_transaction(session.connection())
