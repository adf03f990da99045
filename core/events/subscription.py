"""Subscriptions: what a module does when something happened elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload
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
    traceparent: str | None = None

    @property
    def effect_id(self) -> str:
        """The same at every attempt: what leaves the house carries it, so receivers can tell."""
        return f"{self.event_id}.{self.group}"


Handler = Callable[["WritableSession", EventT, Delivery], Awaitable[None]]
OutsideHandler = Callable[[EventT, Delivery], Awaitable[None]]
Reset = Callable[["WritableSession"], Awaitable[None]]
_OUTSIDE = ("event", "delivery")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One line of a module's `subscriptions()`; made by `on`."""

    event: type[Event]
    handler: Handler[Any] | OutsideHandler[Any]
    transaction: bool = True

    @property
    def given(self) -> tuple[str, ...]:
        """What its handler is called with."""
        return ("session", *_OUTSIDE) if self.transaction else _OUTSIDE


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One line of a module's `subscriptions()`; made by `broadcast`."""

    event: type[Event]
    handler: OutsideHandler[Any]

    @property
    def given(self) -> tuple[str, ...]:
        """What its handler is called with."""
        return _OUTSIDE


@dataclass(frozen=True, slots=True)
class Replayable:
    """Says that the group may have all its events again; made by `on_replay`."""

    reset: Reset


@overload
def on(
    event: type[EventT], handler: Handler[EventT], *, transaction: Literal[True] = True
) -> Subscription: ...


@overload
def on(
    event: type[EventT], handler: OutsideHandler[EventT], *, transaction: Literal[False]
) -> Subscription: ...


def on(event: type[EventT], handler: Any, *, transaction: bool = True) -> Subscription:
    """Call ``await handler(session, event, delivery)`` once for every event of that type.

    The session is one transaction: what the handler writes and that it was delivered are
    committed together. A handler that raises is tried again; after the last try the delivery is a
    dead letter, and later events of the same aggregate wait for it.

    ``transaction=False`` is for what leaves the house (a mail, a webhook) and may take its time:
    ``await handler(event, delivery)`` runs while no transaction is open, and that it was delivered
    is noted after it has returned. A process that dies in between does it again (at least once), so
    send `Delivery.effect_id` along.
    """
    return Subscription(event, handler, transaction)


def broadcast(event: type[EventT], handler: OutsideHandler[EventT]) -> Broadcast:
    """Call ``await handler(event, delivery)`` in every process, within a second of the commit.

    For what each process keeps for itself: a local cache, open sockets. There is no inbox and no
    second try: a process that is down or cut off misses it, one that swaps generations may be told
    twice, order is that of the numbers of the events as far as they are seen together.
    """
    return Broadcast(event, handler)


def on_replay(reset: Reset) -> Replayable:
    """Allow `events replay` for this module: ``await reset(session)`` empties its projection.

    Without it a replay is refused: not everything can be done twice, a mail for one.
    """
    return Replayable(reset)
