"""Marking events as published: one statement, and only under leases that are still one's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, func, select, tuple_, update

from core.events.relay import KIND
from core.events.tables import leases, outbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.events.leases import Held

_o, _l = outbox.c, leases.c
_published = update(outbox).where(_o.state == "pending")
_published = _published.values(state="published", published_at=bindparam("now"))
_ON_SQLITE = _published.where(_o.seq.in_(bindparam("seqs", expanding=True)))
# Whoever would take a bucket over waits until the statement is through.
_mine = (
    select(_l.bucket)
    .where(
        _l.kind == KIND,
        _l.owner == bindparam("owner"),
        _l.lease_until > func.now(),
        tuple_(_l.bucket, _l.epoch).in_(bindparam("held", expanding=True)),
    )
    .with_for_update(read=True)
    .cte("mine")
)
_ON_POSTGRESQL = _published.where(
    _o.seq == any_(bindparam("seqs", type_=ARRAY(BigInteger))), _o.bucket == _mine.c.bucket
)


async def mark_published(database: Database, seqs: Sequence[int], held: Held, *, owner: str) -> int:
    """Those events are on their way to all; how many could be marked.

    What could not, because its lease is another's by now, is sent once more by whoever has it. So
    are all when this raises Unavailable.
    """
    values = {"seqs": sorted(seqs), "now": datetime.now(UTC)}
    if database.dialect == "sqlite":
        async with database.writer.begin() as connection:
            return (await connection.execute(_ON_SQLITE, values)).rowcount
    leased = {"held": sorted(held.items()), "owner": owner}
    async with database.reader.connect() as connection:  # in autocommit: one round trip
        return (await connection.execute(_ON_POSTGRESQL, {**values, **leased})).rowcount
