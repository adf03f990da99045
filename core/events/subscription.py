"""Subscriptions: what a module does when something happened elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from core.events.event import Event

if TYPE_CHECKING:
    from core.context import Context
    from core.db.session import WritableSession

EventT = TypeVar("EventT", bound=Event)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a handler knows besides the event: which delivery this is, and its module's context."""

    event_id: UUID
    group: str
    attempt: int
    recorded_at: datetime
    context: Context

    @property
    def effect_id(self) -> str:
        """The same at every attempt: what leaves the house carries it, so receivers can tell."""
        return f"{self.event_id}.{self.group}"


Handler = Callable[["WritableSession", EventT, Delivery], Awaitable[None]]
Reset = Callable[["WritableSession"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One line of a module's `subscriptions()`; made by `on`."""

    event: type[Event]
    handler: Handler[Any]


@dataclass(frozen=True, slots=True)
class Replayable:
    """Says that the group may have all its events again; made by `on_replay`."""

    reset: Reset


def on(event: type[EventT], handler: Handler[EventT]) -> Subscription:
    """Call ``await handler(session, event, delivery)`` once for every event of that type.

    The session is one transaction: what the handler writes and that it was delivered are
    committed together. A handler that raises is tried again; after the last try the delivery is a
    dead letter, and later events of the same aggregate wait for it.
    """
    return Subscription(event, handler)


def on_replay(reset: Reset) -> Replayable:
    """Allow `events replay` for this module: ``await reset(session)`` empties its projection.

    Without it a replay is refused: not everything can be done twice, a mail for one.
    """
    return Replayable(reset)
