"""The inbox of a group: what it was given, written in the transaction of the effect.

A second arrival of an event finds its row there: committed, and it is passed by; not yet, and the
database lets it wait until it is known. So neither a rebalance in the middle nor two processes with
the same partition can double an effect.

What cannot be handled at once becomes a delivery row, as without a broker: from there the embedded
consumer of the group tries again, and gives up, and later events of the aggregate follow behind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from sqlalchemy import bindparam, func, insert, or_, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import Unavailable
from core.events.clock import now_by
from core.events.failure import counted
from core.events.kafka.cloudevents import STRAY
from core.events.kafka.intake import CLOCKS_DIFFER, EVER
from core.events.recording import bucket_of
from core.events.tables import deliveries, group_types, inbox, outbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.db.session import WritableSession
    from core.events.kafka.intake import Incoming
    from core.settings import EventsSettings

log = structlog.get_logger("tessera.events")

Key = tuple[str, str]
_d, _i, _o = deliveries.c, inbox.c, outbox.c
# In the order of the ids: two processes with the same messages wait for each other in one direction
# only. The transaction of a process that was stopped in the middle is ended by the server.
_RECEIVE = text("""
    INSERT INTO core_inbox (group_name, event_id, received_at)
    SELECT :group, id, now() FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING event_id, set_config('idle_in_transaction_session_timeout', :patience, true)
""")
_KNOWN = select(_i.event_id).where(
    _i.group_name == bindparam("group"), _i.event_id.in_(bindparam("ids", expanding=True))
)
_PARKED = (
    select(_d.aggregate_type, _d.aggregate_id)
    .where(
        _d.group_name == bindparam("group"),
        tuple_(_d.aggregate_type, _d.aggregate_id).in_(bindparam("keys", expanding=True)),
    )
    .distinct()
)
_ROW = select(_o.seq).where(
    _o.aggregate_type == bindparam("aggregate_type"),
    _o.aggregate_id == bindparam("aggregate_id"),
    or_(_o.aggregate_version == bindparam("version"), _o.aggregate_version >= STRAY),
    _o.id == bindparam("id"),
)
_LAST_STRAY = select(func.max(_o.aggregate_version)).where(
    _o.aggregate_type == bindparam("aggregate_type"),
    _o.aggregate_id == bindparam("aggregate_id"),
    _o.aggregate_version >= STRAY,
)
OFFSET_BITS, PARTITION_BITS = 48, 12
"""What of a place on a topic goes into a version; below 2**63 there is room for more behind it."""


class Inbox:
    """That of one group."""

    def __init__(self, group: str, database: Database, *, settings: EventsSettings) -> None:
        self._group = group
        self._database = database
        self._settings = settings
        self._dialect: Any = postgresql if database.dialect == "postgresql" else sqlite
        self._patience = f"{settings.handler_seconds + 5:.0f}s"
        self._ahead: set[tuple[str, datetime]] = set()

    async def registered(self) -> dict[str, datetime]:
        """For which types the group is registered, and since when. Raises Unavailable.

        A moment that is yet to come was told by a wrong clock, and would have the group pass by all
        that happens until then: for it stands `EVER`, and that is told in the log.
        """
        wanted = select(group_types.c.type, group_types.c.since, now_by(self._database.dialect))
        wanted = wanted.where(group_types.c.group_name == self._group)
        found = {}
        async with self._database.reader.connect() as connection:
            for event_type, since, now in await connection.execute(wanted):
                ahead = since > now + CLOCKS_DIFFER
                found[event_type] = EVER if ahead else since
                if ahead:
                    self._tell_ahead(event_type, since)
        return found

    def _tell_ahead(self, event_type: str, since: datetime) -> None:
        if (event_type, since) in self._ahead:
            return
        self._ahead.add((event_type, since))
        log.warning(
            "a clock was wrong: a group is registered as of a moment that is yet to come; "
            "it is given all that lies on the topic",
            group=self._group,
            type=event_type,
            since=since.isoformat(),
        )

    async def receive(self, session: WritableSession, ids: Sequence[UUID]) -> set[UUID]:
        """Note that these events were given, and tell which had not been before."""
        if self._database.dialect == "postgresql":
            values = {"group": self._group, "ids": list(ids), "patience": self._patience}
            new = await session.exec(_RECEIVE, params=values)  # type: ignore[call-overload]
            return {row[0] for row in new}
        values = {"group": self._group, "ids": list(ids)}
        known = set((await session.exec(_KNOWN, params=values)).scalars())  # type: ignore[call-overload]
        fresh = set(ids) - known
        now = datetime.now(UTC)
        rows = [{"group_name": self._group, "event_id": it, "received_at": now} for it in fresh]
        if rows:
            await session.exec(insert(inbox), params=rows)
        return fresh

    async def parked(self, session: WritableSession, keys: Sequence[Key]) -> set[Key]:
        """Those aggregates of which something is still to be delivered to the group."""
        values = {"group": self._group, "keys": list(keys)}
        found = await session.exec(_PARKED, params=values)  # type: ignore[call-overload]
        return {(kind, which) for kind, which in found}

    async def park(
        self, session: WritableSession, message: Incoming, error: BaseException | None = None
    ) -> None:
        """Leave a message to the embedded consumer: behind others, or as having failed once.

        One that nobody can read just now (`Unavailable`) has not failed.
        """
        now = datetime.now(UTC)
        counts: Mapping[str, Any] = {"attempts": 0, "state": "pending", "available_at": now}
        if error is not None and not isinstance(error, Unavailable):
            counts = counted(error, attempts=0, settings=self._settings)
        row = {
            "group_name": self._group,
            "seq": await self._seq(session, message),
            "aggregate_type": message.aggregate_type,
            "aggregate_id": message.aggregate_id,
            "aggregate_version": message.version,
            "bucket": bucket_of(*message.key),
            **counts,
        }
        added = self._dialect.insert(deliveries).values(row).on_conflict_do_nothing()
        await session.exec(added)

    async def keep(self, session: WritableSession, message: Incoming) -> None:
        """Keep what others put on a topic, for a replay: it lies in no outbox."""
        await self._seq(session, message)

    async def _seq(self, session: WritableSession, message: Incoming) -> int:
        """The number of the event in the outbox; where it is not (any more), it is put there.

        Its row then has a made-up version: its own is free for those who publish here.
        """
        this = {
            "aggregate_type": message.aggregate_type,
            "aggregate_id": message.aggregate_id,
            "version": message.version,
            "id": message.event_id,
        }
        for _ in range(3):  # another process may be faster, with this event or its version
            found = (await session.exec(_ROW, params=this)).scalar()  # type: ignore[call-overload]
            if found is None:
                version = await self._stand_in(session, message)
                found = await self._added(session, message, version)
            if found is not None:
                number: int = found
                return number
        raise RuntimeError(f"no place in the outbox for the event {message.event_id}")

    async def _stand_in(self, session: WritableSession, message: Incoming) -> int:
        """A version that nothing else of the aggregate has: behind all that were made up before.

        Made from the place on the topic, so that two partitions seldom want the same.
        """
        this = {"aggregate_type": message.aggregate_type, "aggregate_id": message.aggregate_id}
        last = (await session.exec(_LAST_STRAY, params=this)).scalar()  # type: ignore[call-overload]
        return max(stray(message.partition, message.offset), (last or STRAY) + 1)

    async def _added(self, session: WritableSession, message: Incoming, version: int) -> int | None:
        row = {
            "id": message.event_id,
            "type": message.type,
            "aggregate_type": message.aggregate_type,
            "aggregate_id": message.aggregate_id,
            "aggregate_version": version,
            "bucket": bucket_of(*message.key),
            "payload": message.payload,
            "headers": json.dumps({"traceparent": message.traceparent}),
            "state": "published",
            "attempts": 0,
            "created_at": message.recorded_at,
            "available_at": message.recorded_at,
            "published_at": datetime.now(UTC),
        }
        added = self._dialect.insert(outbox).values(row).on_conflict_do_nothing()
        number: int | None = (await session.exec(added.returning(_o.seq))).scalar()
        return number


def stray(partition: int, offset: int) -> int:
    """A made-up version from a place on a topic; on one partition they grow."""
    high, low = partition % (1 << PARTITION_BITS), offset % (1 << OFFSET_BITS)
    version: int = STRAY + (high << OFFSET_BITS) + low
    return version
