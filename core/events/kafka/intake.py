"""What a message on a topic is to a group: an event for it, no affair of its own, or unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from core.events.catalog import EventCatalog
from core.events.kafka.cloudevents import STRAY, Envelope, NoEnvelope, decode, moment_of
from core.events.kafka.raw import REASON, Garbled

if TYPE_CHECKING:
    from core.events.event import Event
    from core.events.groups import GroupPlan
    from core.events.handling import Handling

EVER = datetime(1, 1, 2, tzinfo=UTC)
CLOCKS_DIFFER = timedelta(seconds=10)
"""What was recorded so long before the group was registered counts as recorded afterwards: the two
were told by the clocks of two machines."""
LONGEST_TYPE, LONGEST_ID = 90, 64
"""What the outbox holds of a type and of an aggregate's name."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that the group is to have, or that nobody can read; `error` says why not."""

    partition: int
    offset: int
    event_id: UUID
    type: str
    aggregate_type: str
    aggregate_id: str
    version: int
    payload: str
    recorded_at: datetime
    traceparent: str | None = None
    event: Event | None = None
    error: BaseException | None = None
    is_ours: bool = True
    """Whether it lies in a module's outbox, or should; what does not is kept for a replay."""

    @property
    def key(self) -> tuple[str, str]:
        """What order is kept within."""
        return self.aggregate_type, self.aggregate_id


class Intake:
    """Reads the messages of one group."""

    def __init__(self, plan: GroupPlan, handling: Handling, catalog: EventCatalog) -> None:
        self._handling = handling
        self._catalog = catalog
        self._known: Mapping[str, datetime] = dict.fromkeys(plan.types, EVER)
        self._wanted = self._known

    def register(self, wanted: Mapping[str, datetime]) -> None:
        """Since when the group is registered for each type; some only newer processes may know."""
        self._wanted = {**self._known, **wanted}

    def is_new(self, record: Any) -> bool:
        """Whether its type is one for which the group was not registered when that was read."""
        kind = dict(record.headers).get("ce_type")
        return kind is not None and kind.decode(errors="replace") not in self._wanted

    def read(self, record: Any) -> Incoming | None:
        """A message of aiokafka; None when the group is not to have it."""
        if isinstance(record, Garbled):
            return _foreign(record, NoEnvelope(REASON))
        try:
            envelope = decode(record.headers, offset=record.offset, timestamp=record.timestamp)
        except NoEnvelope as error:
            return _foreign(record, error)
        since = self._wanted.get(envelope.type)
        # A stranger's event may tell of what was long ago: for it counts when it was put there.
        came = envelope.recorded_at if envelope.is_ours else moment_of(record.timestamp)
        if since is None or came < since - CLOCKS_DIFFER:
            return None
        return self._event(record, envelope)

    def _event(self, record: Any, envelope: Envelope) -> Incoming:
        payload = (record.value or b"").decode(errors="backslashreplace").replace("\x00", "\\x00")
        event: Event | None = None
        error: BaseException | None = None
        try:
            event = self._handling.readable(envelope.type, payload)
        except Exception as problem:  # an upcaster may raise anything
            error = problem
        known = self._catalog.aggregate_type(envelope.type)
        return Incoming(
            partition=record.partition,
            offset=record.offset,
            event_id=envelope.event_id,
            type=envelope.type[:LONGEST_TYPE],
            aggregate_type=known or envelope.aggregate_type or f"{envelope.module[:50]}.unknown",
            aggregate_id=_fitting(envelope.subject, LONGEST_ID),
            version=envelope.sequence,
            payload=payload,
            recorded_at=envelope.recorded_at,
            traceparent=envelope.traceparent,
            event=event,
            error=error,
            is_ours=envelope.is_ours,
        )


def _foreign(record: Any, error: NoEnvelope) -> Incoming:
    """A message of somebody else's, kept where it can be looked at: under its place on the topic.

    Its type is no type, so that it can never be handled; it says what is missing.
    """
    place = f"{record.topic}/{record.partition}/{record.offset}"
    return Incoming(
        partition=record.partition,
        offset=record.offset,
        event_id=uuid5(NAMESPACE_URL, f"kafka:{place}/{record.timestamp}"),
        type=f"({error})"[:LONGEST_TYPE],
        aggregate_type="kafka.foreign",
        aggregate_id=place[-LONGEST_ID:],
        version=STRAY + record.offset,
        payload=(record.value or b"").decode(errors="backslashreplace").replace("\x00", "\\x00"),
        recorded_at=moment_of(record.timestamp),
        error=error,
    )


def _fitting(text: str, longest: int) -> str:
    return text[:longest].replace("\x00", "")
