"""Recording: the events of a transaction become rows of the outbox, in one statement before commit.

A service calls `record`; nothing is sent to the database until the transaction is about to be
committed, so a transaction with ten events pays for one statement, and one that fails for none.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.dialects import postgresql, sqlite

from core.events.bell import Bell
from core.events.tables import BUCKETS, outbox, versions
from core.tracing import traceparent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from core.db.session import WritableSession
    from core.db.sync import SyncWritableSession
    from core.events.event import Event

_INSERT = insert(outbox).inline()
KEY_LENGTH = 64
"""Characters of an aggregate's id, as the outbox holds it."""
Key = tuple[str, str]
Recorded = tuple["Event", "int | None", str]
"""An event, its version if it has one of its own, and its payload."""


def record(
    session: WritableSession | SyncWritableSession, event: Event, *, version: int | None = None
) -> None:
    """Publish an event if, and only if, the session's transaction is committed.

    `version` is the aggregate's own after this change, from a row that the transaction has locked
    (by changing it), and grows by at least one with each event. Without one core counts, at one
    statement more; an aggregate has either always a version of its own or never. What is recorded
    inside a savepoint goes with it. Raises ValueError for what cannot be published: a key that is
    None, empty or has more than 64 characters, a version below 0, a number that is NaN or infinite.
    """
    if problem := _problem(event, version):
        raise ValueError(f"{type(event).__name__}: {problem}")
    session.record(event, version=version)


def _problem(event: Event, version: int | None) -> str | None:
    """What is wrong with it; here it is known who did it, and at the commit only that it was."""
    if getattr(event, event.key_field) is None:
        return f"its key {event.key_field} is None, which names no aggregate"
    key, length = event.aggregate_id, len(event.aggregate_id)
    if not 0 < length <= KEY_LENGTH:
        told = f"{key[:20]}… has {length} characters, {KEY_LENGTH} at most" if key else " is empty"
        return f"its key {event.key_field}={told}"
    if version is not None and version < 0:
        return f"its version is {version}, and versions are 0 or more"
    return None


def payload_of(event: Event) -> str:
    """The event as JSON. Raises ValueError for a number that JSON lacks."""
    payload = event.model_dump_json()
    if "null" in payload:  # what such a one becomes; looking for them is slow
        for name, value in event.model_dump().items():
            if _is_no_json(value):
                told = f"{name}={value!r:.100}: JSON has neither NaN nor infinity"
                raise ValueError(f"{type(event).__name__}: {told}")
    return payload


def _is_no_json(value: Any) -> bool:
    """Whether a number in it would be written as null, which is another value or none."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_is_no_json, chain(value.keys(), value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_is_no_json, value))
    return False


OFF = "events.recording is false, which is for measuring: whatever happens is lost to subscribers"
"""Said by whoever is asked how events are, while it holds."""


class Recorder:
    """Writes what a session has recorded; one a process."""

    def __init__(self, *, bell: Bell | None = None, enabled: bool = True) -> None:
        """With `enabled` False nothing is ever written: what recording costs is measured so."""
        self.bell = bell or Bell()
        self.enabled = enabled

    def payload_of(self, event: Event) -> str:
        """What `write` is to be given for it. Raises ValueError."""
        return payload_of(event)

    def write(
        self,
        connection: Connection,
        recorded: Sequence[Recorded],
        *,
        traces: Sequence[str | None] = (),
    ) -> None:
        """Put the events into the outbox, in the connection's transaction.

        `traces` are those under which they were recorded; without one it is the current one.
        """
        counted = _count(connection, [event for event, version, _ in recorded if version is None])
        now = datetime.now(UTC)
        current = traceparent()
        rows = [
            _row(
                event,
                counted[_key(event)].pop(0) if version is None else version,
                payload,
                now,
                trace or current,
            )
            for (event, version, payload), trace in zip_longest(recorded, traces)
        ]
        connection.execute(_INSERT, rows)

    def committed(self) -> None:
        """There is work for the relay."""
        self.bell.ring("recorded")


def bucket_of(aggregate_type: str, aggregate_id: str) -> int:
    """The same on every machine, for ever: a stable hash of the key."""
    return zlib.crc32(f"{aggregate_type}/{aggregate_id}".encode()) % BUCKETS


def _key(event: Event) -> Key:
    return event.aggregate_type, event.aggregate_id


def _row(event: Event, version: int, payload: str, now: datetime, trace: str) -> dict[str, Any]:
    aggregate_type, aggregate_id = _key(event)
    return {
        "id": uuid4(),
        "type": event.event_type,
        "aggregate_type": aggregate_type,
        "aggregate_id": aggregate_id,
        "aggregate_version": version,
        "bucket": bucket_of(aggregate_type, aggregate_id),
        "payload": payload,
        "headers": json.dumps({"traceparent": trace}),
        "state": "pending",
        "attempts": 0,
        "created_at": now,
        "available_at": now,
    }


def _count(connection: Connection, events: Sequence[Event]) -> dict[Key, list[int]]:
    """The next versions of these events' aggregates, whose rows stay locked until the commit.

    In the order of the keys, so that two transactions do not wait for each other.
    """
    if not events:
        return {}
    wanted = Counter(map(_key, events))
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    fresh = dialect.insert(versions)
    raised = versions.c.version + fresh.excluded.version
    statement = fresh.on_conflict_do_update(
        index_elements=[versions.c.aggregate_type, versions.c.aggregate_id],
        set_={"version": raised},
    ).returning(versions.c.aggregate_type, versions.c.aggregate_id, versions.c.version)
    rows = [
        {"aggregate_type": kind, "aggregate_id": which, "version": wanted[kind, which]}
        for kind, which in sorted(wanted)
    ]
    return {
        (kind, which): list(range(last - wanted[kind, which] + 1, last + 1))
        for kind, which, last in connection.execute(statement, rows)
    }
