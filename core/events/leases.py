"""Who works on which bucket: leases on PostgreSQL, everything on SQLite.

A bucket is a sixteenth of all aggregates. For the relay, and for each group, it has one owner at a
time, so that what concerns one aggregate is done in its order by one process. A lease that is not
renewed ends by itself (by the clock of the database, the only one that all share) and is another's
with the next epoch; whoever held it writes nothing under the old one any more.
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from sqlalchemy import text

from core.errors import Unavailable, text_of
from core.events.failpoints import failpoint
from core.events.tables import BUCKETS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from core.db.engine import Database

log = structlog.get_logger("tessera.events")
Held = Mapping[int, int]
"""Epoch by bucket."""

_PATIENCE = text("SELECT set_config('idle_in_transaction_session_timeout', :patience, true)")
_SEEN = text("""
    INSERT INTO core_members (kind, owner, seen_until)
    SELECT kind, :owner, now() + make_interval(secs => :seconds)
    FROM unnest(CAST(:kinds AS varchar[])) AS kind
    ON CONFLICT (kind, owner) DO UPDATE SET seen_until = excluded.seen_until
""")
_RENEW = text("""
    UPDATE core_leases SET lease_until = now() + make_interval(secs => :seconds)
    WHERE owner = :owner AND kind = ANY(CAST(:kinds AS varchar[])) AND lease_until > now()
    RETURNING kind, bucket, epoch
""")
_MEMBERS = text("SELECT kind, count(*) FROM core_members WHERE seen_until > now() GROUP BY kind")
# A process that was stopped in a transaction holds its rows until the server ends that: whoever
# waited for them would miss the renewal of its own leases.
_CLAIM = text(f"""
    WITH ended AS (
        SELECT bucket FROM core_leases WHERE kind = :kind AND lease_until <= now()
        ORDER BY random() LIMIT :many FOR UPDATE SKIP LOCKED
    ), fresh AS (
        SELECT every.bucket FROM generate_series(0, {BUCKETS - 1}) AS every (bucket)
        WHERE NOT EXISTS (
            SELECT FROM core_leases AS held
            WHERE held.kind = :kind AND held.bucket = every.bucket
        )
        ORDER BY random() LIMIT :many
    ), free AS (
        SELECT bucket FROM ended UNION ALL SELECT bucket FROM fresh LIMIT :many
    )
    INSERT INTO core_leases (kind, bucket, owner, epoch, lease_until)
    SELECT :kind, bucket, :owner, 1, now() + make_interval(secs => :seconds)
    FROM free
    ORDER BY bucket
    ON CONFLICT (kind, bucket) DO UPDATE
    SET owner = excluded.owner, epoch = core_leases.epoch + 1, lease_until = excluded.lease_until
    WHERE core_leases.lease_until <= now()
    RETURNING bucket, epoch
""")  # noqa: S608 - BUCKETS is a constant
_RELEASE = text("""
    UPDATE core_leases SET lease_until = now()
    WHERE owner = :owner AND kind = :kind AND bucket = ANY(CAST(:buckets AS smallint[]))
""")
_RELEASE_ALL = text("UPDATE core_leases SET lease_until = now() WHERE owner = :owner")
_LEAVE = text("DELETE FROM core_members WHERE owner = :owner OR seen_until < now()")


class Leases(Protocol):
    """What the relay and the consumers ask."""

    owner: str

    def held(self, kind: str) -> Held:
        """The buckets that are this process's just now."""
        ...

    def wanting(self, kind: str) -> Any:
        """A context manager: while its block runs, this process asks for buckets of that kind."""
        ...

    def using(self, kind: str, bucket: int) -> Any:
        """A context manager: while its block runs, the bucket is not given away to others."""
        ...


class AllBuckets:
    """On SQLite: one writer, so everything is everybody's and each step is checked as it is made.

    Two processes on one file may both try; what one has done the other finds done.
    """

    owner = ""

    def held(self, kind: str) -> Held:
        return dict.fromkeys(range(BUCKETS), 0)

    @contextmanager
    def wanting(self, kind: str) -> Iterator[None]:
        yield

    @contextmanager
    def using(self, kind: str, bucket: int) -> Iterator[None]:
        yield


class BucketLeases:
    """The leases of one process on PostgreSQL; `run` keeps them."""

    def __init__(self, database: Database, *, seconds: float) -> None:
        """`seconds` is how long a lease lives without being renewed."""
        self.owner = f"{socket.gethostname()[:32]}.{os.getpid()}.{secrets.token_hex(4)}"
        self._database = database
        self._seconds = seconds
        self._wanted: Counter[str] = Counter()
        self._used: Counter[tuple[str, int]] = Counter()
        self._held: dict[str, dict[int, int]] = {}
        self._good_until = 0.0
        self._changed = asyncio.Event()
        self._leaving = False

    def held(self, kind: str) -> Held:
        if time.monotonic() >= self._good_until or not self._wanted[kind]:
            return {}
        return self._held.get(kind, {})

    @contextmanager
    def wanting(self, kind: str) -> Iterator[None]:
        self._wanted[kind] += 1
        self._changed.set()
        try:
            yield
        finally:
            self._wanted[kind] -= 1
            self._changed.set()

    @contextmanager
    def using(self, kind: str, bucket: int) -> Iterator[None]:
        self._used[kind, bucket] += 1
        try:
            yield
        finally:
            self._used[kind, bucket] -= 1

    def leave(self) -> None:
        """Renew nothing more; `run` gives back what is held, and ends."""
        self._leaving = True
        self._changed.set()

    async def run(self) -> None:
        """Renew and claim until `leave`, or until cancelled; then give all of it back at once."""
        try:
            while not self._leaving:
                self._changed.clear()
                await self._try_to_keep()
                await self._rest()
        finally:
            await self.give_back()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds / 3):
                await self._changed.wait()

    async def _try_to_keep(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self.keep()
        except (Unavailable, TimeoutError) as error:
            reason = text_of(error, for_operators=True) or "too slow"
            log.warning("leases cannot be renewed just now", reason=reason)
        except Exception:
            log.exception("renewing the leases failed")

    async def keep(self) -> None:
        """Renew what is held, then take or give so that every process has its share."""
        began = time.monotonic()
        kinds = [kind for kind, count in self._wanted.items() if count]
        failpoint("claim.before")
        async with self._database.writer.begin() as connection:
            self._held = await self._kept(connection, kinds)
            failpoint("claim.inside")
        failpoint("claim.after")
        self._good_until = began + self._seconds * 0.9

    async def _kept(
        self, connection: AsyncConnection, kinds: list[str]
    ) -> dict[str, dict[int, int]]:
        mine = {"owner": self.owner, "kinds": kinds, "seconds": self._seconds}
        # A process that is stopped in here must not keep its rows: others pass by what is locked.
        await connection.execute(_PATIENCE, {"patience": f"{self._seconds * 1000:.0f}ms"})
        await connection.execute(_SEEN, mine)
        held: dict[str, dict[int, int]] = {kind: {} for kind in kinds}
        for kind, bucket, epoch in await connection.execute(_RENEW, mine):
            held[kind][bucket] = epoch
        members = {row[0]: row[1] for row in await connection.execute(_MEMBERS)}
        for kind, buckets in held.items():
            await self._level(connection, kind, buckets, math.ceil(BUCKETS / members[kind]))
        return held

    async def _level(
        self, connection: AsyncConnection, kind: str, buckets: dict[int, int], share: int
    ) -> None:
        """Give away what is more than the share, or claim what is free up to it.

        What a handler outside of transactions is at work on is kept until it is done: whoever had
        it next would call that handler again.
        """
        if len(buckets) > share:
            spare = [bucket for bucket in sorted(buckets) if not self._used[kind, bucket]]
            surplus = spare[-(len(buckets) - share) :]
            await connection.execute(
                _RELEASE, {"owner": self.owner, "kind": kind, "buckets": surplus}
            )
            for bucket in surplus:
                del buckets[bucket]
        elif len(buckets) < share:
            wish = {"owner": self.owner, "kind": kind, "seconds": self._seconds}
            claimed = await connection.execute(_CLAIM, {**wish, "many": share - len(buckets)})
            buckets.update((bucket, epoch) for bucket, epoch in claimed)

    async def give_back(self) -> None:
        self._held, self._good_until = {}, 0.0
        try:
            async with asyncio.timeout(2), self._database.writer.begin() as connection:
                await connection.execute(_RELEASE_ALL, {"owner": self.owner})
                await connection.execute(_LEAVE, {"owner": self.owner})
        except (Unavailable, TimeoutError) as error:
            reason = text_of(error, for_operators=True) or "too slow"
            log.warning("leases were not given back, they end by themselves", reason=reason)
