"""The relay: gives every recorded event to each group that wants it.

Without a broker the groups' deliveries lie in the same database, so that one transaction makes
them and marks the events published: there is no moment at which one is done and not the other. It
reads by state, never by ``seq > last``: the transaction with the lower number may commit last.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import bindparam, exists, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import Unavailable, text_of
from core.events.failpoints import failpoint
from core.events.pending import RELAYABLE, relayable_in
from core.events.tables import deliveries, group_types, inbox, outbox

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.ext.asyncio import AsyncConnection

    from core.db.engine import Database
    from core.events.bell import Bell
    from core.events.counts import Counts
    from core.events.leases import Leases

log = structlog.get_logger("tessera.events")

KIND = "relay"
"""What its leases are called."""
BATCH = 500
"""Events in one transaction."""
GATHER_SECONDS = 0.02
"""After a pass, so that a busy shop's events go together: a pass costs as much as an order."""
PASS_SECONDS = 15.0
"""How long one transaction may take before it is given up and tried again."""

_o = outbox.c
_PENDING = select(_o.seq).where(*RELAYABLE).order_by(_o.seq).limit(BATCH)
_PUBLISHED = (
    update(outbox)
    .where(_o.seq.in_(bindparam("seqs", expanding=True)))
    .values(state="published", published_at=bindparam("now"))
)
# Held until the transaction ends: nobody can take a bucket over in between. Should this process be
# stopped (SIGSTOP) just then, the server ends its transaction for it.
_MINE = text("""
    SELECT bucket, epoch, set_config('idle_in_transaction_session_timeout', :patience, true)
    FROM core_leases WHERE kind = 'relay' AND owner = :owner AND lease_until > now() FOR SHARE
""")


class Relay:
    """One a process."""

    def __init__(
        self,
        database: Database,
        *,
        leases: Leases,
        bell: Bell,
        counts: Counts,
        poll_seconds: float,
    ) -> None:
        self._database = database
        self._counts = counts
        self._leases = leases
        self._bell = bell
        self._poll_seconds = poll_seconds
        self._leaving = False
        dialect = postgresql if database.dialect == "postgresql" else sqlite
        # A broker may have given it already, and been taken out before that it was sent was noted.
        given = exists().where(
            inbox.c.group_name == group_types.c.group_name, inbox.c.event_id == _o.id
        )
        columns = [_o.seq, _o.aggregate_type, _o.aggregate_id, _o.aggregate_version, _o.bucket]
        wanted = (
            select(
                group_types.c.group_name,
                *columns,
                literal("pending"),
                literal(0),
                bindparam("now", type_=deliveries.c.available_at.type),
            )
            .join_from(outbox, group_types, group_types.c.type == _o.type)
            .where(_o.seq.in_(bindparam("seqs", expanding=True)), ~given)
        )
        names = ["group_name", *(it.name for it in columns), "state", "attempts", "available_at"]
        self._deliver = (
            dialect.insert(deliveries).from_select(names, wanted).on_conflict_do_nothing()
        )

    def leave(self) -> None:
        """Begin nothing more."""
        self._leaving = True

    async def run(self) -> None:
        """Work until `leave`, or until cancelled, which rolls back what is under way."""
        with self._leases.wanting(KIND), self._bell.listening("recorded") as ear:
            while not self._leaving:
                if await self._try_to_relay():
                    await asyncio.sleep(GATHER_SECONDS)
                else:
                    await ear.wait(seconds=self._poll_seconds)

    async def _try_to_relay(self) -> bool:
        """Whether there may be more; trouble is told and tried again, for ever."""
        try:
            async with asyncio.timeout(PASS_SECONDS):
                return await self.relay() > 0
        except (Unavailable, TimeoutError) as error:
            reason = text_of(error, for_operators=True) or "too slow"
            log.warning("the relay waits for the database", reason=reason)
        except Exception:
            log.exception("the relay failed, and tries again")
        return False

    async def relay(self) -> int:
        """Publish what is pending in this process's buckets, one batch; how many events it was."""
        held = self._leases.held(KIND)
        if not held or not await self._is_any(held):
            return 0
        async with self._database.writer.begin() as connection:
            count = await self._publish(connection, await self._still_mine(connection))
        if count:
            failpoint("mark.after")
            self._counts.add("published", KIND, count)
            self._bell.ring("due")
        return count

    async def _is_any(self, buckets: Collection[int]) -> bool:
        """Asked without a transaction: on SQLite one would keep writers waiting for nothing."""
        async with self._database.reader.connect() as connection:
            found = await connection.execute(_PENDING.limit(1), relayable_in(buckets))
            return found.first() is not None

    async def _still_mine(self, connection: AsyncConnection) -> list[int]:
        held = self._leases.held(KIND)
        if self._database.dialect == "sqlite":
            return list(held)
        patience = {"owner": self._leases.owner, "patience": f"{PASS_SECONDS:.0f}s"}
        locked = await connection.execute(_MINE, patience)
        return [bucket for bucket, epoch, _ in locked if held.get(bucket) == epoch]

    async def _publish(self, connection: AsyncConnection, buckets: Collection[int]) -> int:
        found = await connection.execute(_PENDING, relayable_in(buckets))
        seqs = list(found.scalars())
        if seqs:
            values = {"seqs": seqs, "now": datetime.now(UTC)}
            failpoint("send.before")
            await connection.execute(self._deliver, values)
            failpoint("send.after")
            await connection.execute(_PUBLISHED, values)
            failpoint("mark.before")
        return len(seqs)
