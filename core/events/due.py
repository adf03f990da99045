"""Deliveries that may be made now: how they are read, taken, and put off."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, exists, func, or_, select, text, update

from core.events.tables import BUCKETS, deliveries, outbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.db.session import WritableSession
    from core.events.leases import Held

BATCH = 200
"""Deliveries that are read at once."""

_d, _o = deliveries.c, outbox.c
_earlier = deliveries.alias("earlier")
BLOCKED = exists().where(
    _earlier.c.group_name == _d.group_name,
    _earlier.c.aggregate_type == _d.aggregate_type,
    _earlier.c.aggregate_id == _d.aggregate_id,
    _earlier.c.aggregate_version < _d.aggregate_version,
    _earlier.c.attempts > 0,  # so are both below: the partial index of the few that have failed
    or_(
        _earlier.c.state == "dead",
        and_(_earlier.c.state == "pending", _earlier.c.available_at > bindparam("now")),
    ),
)
"""Behind a dead letter of its aggregate, or one that is to be tried again later."""
DUE = (
    select(
        _d.seq,
        _d.bucket,
        _d.attempts,
        _d.aggregate_type,
        _d.aggregate_id,
        _d.aggregate_version,
        _d.available_at,
        _o.id,
        _o.type,
        _o.payload,
        _o.headers,
        _o.created_at,
    )
    .join_from(deliveries, outbox, _o.seq == _d.seq)
    .where(
        _d.group_name == bindparam("group"),
        _d.state == "pending",
        _d.seq > bindparam("after"),
        or_(_d.attempts == 0, _d.available_at <= bindparam("now")),  # see RELAYABLE
        _d.bucket.in_(bindparam("buckets", expanding=True)),
        ~BLOCKED,
    )
    .order_by(_d.seq)
    .limit(BATCH)
)
_THESE = (
    _d.group_name == bindparam("group"),
    _d.seq.in_(bindparam("these", expanding=True)),
    _d.state == "pending",
    _d.attempts == bindparam("tried"),
    # A replay puts a row of the same number there: it is for a call that begins after it.
    _d.available_at.between(bindparam("first"), bindparam("last")),
)
_TAKE = delete(deliveries).where(*_THESE).returning(_d.seq)
_PATIENCE = func.set_config("idle_in_transaction_session_timeout", bindparam("patience"), True)
_TAKE_LEASED = (
    delete(deliveries)
    .where(
        *_THESE,
        text("""EXISTS (SELECT 1 FROM core_leases AS mine
        WHERE mine.kind = :group AND mine.bucket = core_deliveries.bucket
        AND mine.owner = :owner AND mine.lease_until > now()
        AND mine.epoch = (CAST(:epochs AS bigint[]))[mine.bucket + 1])"""),
    )
    .returning(_d.seq, _PATIENCE)
)
_THIS = update(deliveries).where(*_THESE)
_STILL_THERE = select(_d.seq).where(*_THESE)


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that may be made now."""

    seq: int
    bucket: int
    attempts: int
    aggregate_type: str
    aggregate_id: str
    aggregate_version: int
    available_at: datetime
    event_id: UUID
    event_type: str
    payload: str
    headers: str
    recorded_at: datetime

    @property
    def traceparent(self) -> str | None:
        """The trace under which it was recorded."""
        found: str | None = json.loads(self.headers).get("traceparent")
        return found

    @property
    def named(self) -> dict[str, Any]:
        """What a line of the log calls it."""
        return {"type": self.event_type, "aggregate": self.aggregate_id, "seq": self.seq}

    @property
    def key(self) -> tuple[str, str]:
        """What order is kept within."""
        return self.aggregate_type, self.aggregate_id


class Shelf:
    """The deliveries of one group; `owner` is this process, as the leases know it."""

    def __init__(self, group: str, database: Database, *, owner: str, patience: float) -> None:
        """A transaction that does nothing for `patience` seconds is ended by PostgreSQL."""
        self._group = group
        self._database = database
        self._owner = owner
        self._patience = f"{patience:.0f}s"

    async def due(self, held: Held, *, after: int = -1) -> list[Due]:
        """What may be delivered now in these buckets, in the order of recording; a batch."""
        if not held:
            return []
        values = {"group": self._group, "now": datetime.now(UTC), "buckets": list(held)}
        values["after"] = after
        async with self._database.reader.connect() as connection:
            return [Due(*tuple(row)) for row in await connection.execute(DUE, values)]

    async def take(self, session: WritableSession, dues: Sequence[Due], held: Held) -> bool:
        """Delete their rows, all of which have failed equally often.

        False when one is no longer there as it was read, or no longer ours: then the transaction
        is to be rolled back.
        """
        values = self._these(dues)
        if self._database.dialect == "sqlite":
            taken = await session.exec(_TAKE, params=values)
        else:
            epochs = [held.get(bucket, 0) for bucket in range(BUCKETS)]
            mine = {"owner": self._owner, "epochs": epochs, "patience": self._patience}
            taken = await session.exec(_TAKE_LEASED, params={**values, **mine})
        return len(taken.all()) == len(dues)

    async def is_there(self, due: Due) -> bool:
        """Whether it still waits as it was read."""
        async with self._database.reader.connect() as connection:
            return (await connection.execute(_STILL_THERE, self._these([due]))).first() is not None

    async def note(self, due: Due, values: Mapping[str, Any]) -> None:
        """Note that it was tried in vain: `values` of its row are others now."""
        async with self._database.writer.begin() as connection:
            await connection.execute(_THIS.values(values), self._these([due]))

    def _these(self, dues: Sequence[Due]) -> Mapping[str, Any]:
        moments = [due.available_at for due in dues]
        return {
            "group": self._group,
            "these": [due.seq for due in dues],
            "tried": dues[0].attempts,
            "first": min(moments),
            "last": max(moments),
        }
