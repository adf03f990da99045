"""Events as CloudEvents 1.0 in the binary mode of its Kafka binding: attributes are headers.

``ce_sequence`` is the extension "sequence": the event's version within its aggregate;
``ce_aggregatetype`` is ours: by it who does not know the type keeps its place in the order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from core.errors import TesseraError
from core.events.event import module_of

Headers = Sequence[tuple[str, bytes | None]]
SPEC_VERSION = "1.0"
LATEST_MS = 253_402_300_799_000
"""The end of the year 9999."""
LONGEST_AGGREGATE = 64
STRAY = 2**62
"""Versions from here on are made up, for what comes without one: behind all that were counted."""


class NoEnvelope(TesseraError):
    """A message is no CloudEvent of ours; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of an event besides its data."""

    event_id: UUID
    type: str
    subject: str
    """The aggregate's id."""
    sequence: int
    """The aggregate's version."""
    recorded_at: datetime
    traceparent: str | None = None
    aggregate_type: str | None = None
    is_ours: bool = False
    """Whether it says that it comes from a module's own outbox."""

    @property
    def module(self) -> str:
        """Who published it."""
        return module_of(self.type)


def source_of(event_type: str) -> str:
    """What an event of that type gives as its source."""
    return f"/tessera/{module_of(event_type)}"


def encode(row: Any) -> list[tuple[str, bytes]]:
    """The headers of an outbox row: id, type, aggregate, version, time and trace."""
    moment = row.created_at.isoformat().replace("+00:00", "Z")
    headers = [
        *_constant(row.type, row.aggregate_type),
        ("ce_id", str(row.id).encode()),
        ("ce_time", moment.encode()),
        ("ce_subject", row.aggregate_id.encode()),
        ("ce_sequence", str(row.aggregate_version).encode()),
    ]
    trace = json.loads(row.headers).get("traceparent")
    if trace:
        headers.append(("traceparent", trace.encode()))
    return headers


@lru_cache(maxsize=1_000)
def _constant(event_type: str, aggregate_type: str) -> tuple[tuple[str, bytes], ...]:
    """The same for all events of a type."""
    return (
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_source", source_of(event_type).encode()),
        ("ce_type", event_type.encode()),
        ("ce_aggregatetype", aggregate_type.encode()),
        ("content-type", b"application/json"),
    )


def decode(headers: Headers, *, offset: int, timestamp: int) -> Envelope:
    """The envelope in a message's headers. Raises NoEnvelope.

    A stranger's CloudEvent may lack time and sequence, and its id may be any text: the message's
    `timestamp` (milliseconds) and `offset` stand in, and an id is made of the text and the source.
    """
    found = {name.lower(): value for name, value in headers}
    version = _text(found, "ce_specversion")
    if not version.startswith("1."):
        raise NoEnvelope(f"ce_specversion is {version!r}")
    text, source, event_type = (_text(found, name) for name in ("ce_id", "ce_source", "ce_type"))
    return Envelope(
        event_id=_id(text, source),
        type=event_type,
        subject=_text(found, "ce_subject"),
        sequence=_sequence(found, offset),
        recorded_at=_time(found, timestamp),
        traceparent=(found.get("traceparent") or b"").decode("latin-1") or None,
        aggregate_type=_aggregate_type(found, event_type),
        is_ours=source == source_of(event_type) and "ce_sequence" in found,
    )


def _aggregate_type(found: dict[str, bytes | None], event_type: str) -> str | None:
    """What the publisher says; None where it says nothing, or what is not a module's own."""
    said = (found.get("ce_aggregatetype") or b"").decode("ascii", "replace")
    mine = said.startswith(f"{module_of(event_type)}.")
    return said if mine and said.isprintable() and len(said) <= LONGEST_AGGREGATE else None


def _text(found: dict[str, bytes | None], name: str) -> str:
    value = found.get(name)
    if not value:
        raise NoEnvelope(f"no header {name}")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NoEnvelope(f"the header {name} is not UTF-8") from None


def _id(text: str, source: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"{source} {text}")


def _sequence(found: dict[str, bytes | None], offset: int) -> int:
    if "ce_sequence" not in found:
        return STRAY + offset
    text = _text(found, "ce_sequence")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < STRAY):
        raise NoEnvelope("the header ce_sequence is no number")
    return int(text)


def _time(found: dict[str, bytes | None], timestamp: int) -> datetime:
    if "ce_time" not in found:
        return moment_of(timestamp)
    try:
        moment = datetime.fromisoformat(_text(found, "ce_time"))
        if moment.tzinfo is None:
            raise NoEnvelope("the header ce_time has no offset")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise NoEnvelope("the header ce_time is no time") from None


def moment_of(timestamp: int) -> datetime:
    """A message's own time, from milliseconds; whoever sends may write anything there."""
    return datetime.fromtimestamp(min(max(timestamp, 0), LATEST_MS) / 1000, UTC)
