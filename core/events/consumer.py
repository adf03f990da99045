"""A consumer: gives one group its deliveries, each exactly once, those of an aggregate in order.

The delivery's row is deleted in the transaction of the effect, as its first statement: whoever
else has the same row in hand waits there and then finds it gone. So neither a lease that went in
the middle, nor two generations of one process side by side, can double an effect. A group's inbox
is what is no longer there.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from sqlalchemy import and_, bindparam, delete, exists, func, or_, select, text, update

from core.errors import Unavailable
from core.events.tables import deliveries, outbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.db.session import WritableSession
    from core.events.bell import Bell
    from core.events.handling import Handling
    from core.events.leases import Leases
    from core.settings import EventsSettings

log = structlog.get_logger("tessera.events")

BATCH = 200
"""Deliveries that are read at once."""
LONGEST_BACKOFF = 3600.0
LONGEST_REASON = 2_000
"""Characters of an error that are kept."""

_d, _o = deliveries.c, outbox.c
_earlier = deliveries.alias("earlier")
_blocked = exists().where(
    _earlier.c.group_name == _d.group_name,
    _earlier.c.aggregate_type == _d.aggregate_type,
    _earlier.c.aggregate_id == _d.aggregate_id,
    _earlier.c.aggregate_version < _d.aggregate_version,
    or_(
        _earlier.c.state == "dead",
        and_(_earlier.c.state == "pending", _earlier.c.available_at > bindparam("now")),
    ),
)
_DUE = (
    select(
        _d.seq,
        _d.bucket,
        _d.attempts,
        _d.aggregate_type,
        _d.aggregate_id,
        _d.aggregate_version,
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
        _d.available_at <= bindparam("now"),
        _d.bucket.in_(bindparam("buckets", expanding=True)),
        ~_blocked,
    )
    .order_by(_d.seq)
    .limit(BATCH)
)
_THIS = (
    _d.group_name == bindparam("group"),
    _d.seq == bindparam("this"),
    _d.state == "pending",
    _d.attempts == bindparam("tried"),
)
_TAKE = delete(deliveries).where(*_THIS)
_PATIENCE = func.set_config("idle_in_transaction_session_timeout", bindparam("patience"), True)
_TAKE_LEASED = _TAKE.where(
    text("""EXISTS (SELECT 1 FROM core_leases WHERE kind = :group AND bucket = :leased
    AND owner = :owner AND epoch = :epoch AND lease_until > now())""")
).returning(_PATIENCE)
_FAILED = update(deliveries).where(*_THIS)
_STILL_THERE = select(_d.seq).where(*_THIS)


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that may be made now."""

    seq: int
    bucket: int
    attempts: int
    aggregate_type: str
    aggregate_id: str
    aggregate_version: int
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
    def key(self) -> tuple[str, str]:
        """What order is kept within."""
        return self.aggregate_type, self.aggregate_id


class Consumer:
    """Serves the subscriptions of one module while its generation lives."""

    def __init__(
        self,
        handling: Handling,
        *,
        database: Database,
        leases: Leases,
        bell: Bell,
        settings: EventsSettings,
    ) -> None:
        self.group = handling.group
        self._handling = handling
        self._database = database
        self._leases = leases
        self._bell = bell
        self._settings = settings
        at_once = settings.concurrency if database.dialect == "postgresql" else 1
        self._slots = asyncio.Semaphore(at_once)
        self._again_at = 0.0
        self._leaving = False

    def leave(self) -> None:
        """Begin nothing more."""
        self._leaving = True

    async def run(self) -> None:
        """Work until `leave` or a cancellation, which rolls back what is under way."""
        with self._leases.wanting(self.group), self._bell.listening() as ear:
            while not self._leaving:
                if not await self._try_a_round():
                    await ear.wait(seconds=self._rest())

    def _rest(self) -> float:
        """Until the next look, in seconds: sooner when something is to be tried again."""
        poll = self._settings.poll_seconds
        until = self._again_at - time.monotonic()
        return min(poll, max(until, 0.01)) if self._again_at else poll

    async def _try_a_round(self) -> bool:
        """Whether anything was delivered; trouble is told and tried again, for ever."""
        try:
            return await self.round() > 0
        except Unavailable as error:
            log.warning("a consumer waits", group=self.group, reason=str(error))
        except Exception:
            log.exception("a consumer failed, and tries again", group=self.group)
        return False

    async def round(self) -> int:
        """Deliver what is due, a batch; how many deliveries were made."""
        if self._again_at <= time.monotonic():
            self._again_at = 0.0
        held = self._leases.held(self.group)
        by_key: dict[tuple[str, str], list[Due]] = {}
        for due in await self._due(held):
            by_key.setdefault(due.key, []).append(due)
        made = await asyncio.gather(*(self._in_order(it, held) for it in by_key.values()))
        return sum(made)

    async def _due(self, held: Mapping[int, int]) -> list[Due]:
        if not held:
            return []
        values = {"group": self.group, "now": datetime.now(UTC), "buckets": list(held)}
        async with self._database.reader.connect() as connection:
            return [Due(*tuple(row)) for row in await connection.execute(_DUE, values)]

    async def _in_order(self, dues: list[Due], held: Mapping[int, int]) -> int:
        """One aggregate's deliveries, as far as they succeed; how many those were."""
        dues.sort(key=lambda due: due.aggregate_version)
        for made, due in enumerate(dues):
            async with self._slots:
                if self._leaving or not await self._made(due, held[due.bucket]):
                    return made
        return len(dues)

    async def _made(self, due: Due, epoch: int) -> bool:
        """Whether this call delivered it; later ones of its aggregate wait when it did not."""
        try:
            try:
                return await self._deliver(due, epoch)
            except Unavailable:
                raise
            except (Exception, SystemExit) as error:  # a handler may raise anything
                await self._failed(due, error)
        except Unavailable as error:  # no fault of the message: it may wait for ever
            log.warning("a delivery waits", group=self.group, reason=str(error))
            self._look_again(self._settings.poll_seconds)
        return False

    async def _deliver(self, due: Due, epoch: int) -> bool:
        handling = self._handling
        event = handling.readable(due.event_type, due.payload)
        delivery = handling.delivery(
            due.event_id,
            attempt=due.attempts + 1,
            recorded_at=due.recorded_at,
            traceparent=due.traceparent,
        )
        if handling.goes_outside(event):
            if not await self._is_still_there(due):
                return False
            await handling.outside(event, delivery)
        async with self._database.write() as session:
            if not await self._take(session, due, epoch):
                return False
            await handling.inside(session, event, delivery)
        return True

    async def _is_still_there(self, due: Due) -> bool:
        """Asked just before what cannot be taken back: the batch may have been read a while ago."""
        if due.bucket not in self._leases.held(self.group):
            return False
        this = {"group": self.group, "this": due.seq, "tried": due.attempts}
        async with self._database.reader.connect() as connection:
            return (await connection.execute(_STILL_THERE, this)).first() is not None

    async def _take(self, session: WritableSession, due: Due, epoch: int) -> bool:
        """Delete the row; False when it is no longer there as it was read, or no longer ours."""
        this: dict[str, Any] = {"group": self.group, "this": due.seq, "tried": due.attempts}
        if self._database.dialect == "sqlite":
            return bool((await session.exec(_TAKE, params=this)).rowcount)
        patience = f"{self._settings.handler_seconds + 5:.0f}s"
        leased = {"leased": due.bucket, "owner": self._leases.owner, "epoch": epoch}
        taken = await session.exec(_TAKE_LEASED, params={**this, **leased, "patience": patience})
        return taken.first() is not None

    async def _failed(self, due: Due, error: BaseException) -> None:
        """Count a failure of the message itself; the last one makes it a dead letter."""
        tries, reason = due.attempts + 1, _reason(error)
        dead = tries >= self._settings.tries
        wait = min(self._settings.backoff_seconds * 2**due.attempts, LONGEST_BACKOFF)
        changed = _FAILED.values(
            attempts=tries,
            last_error=reason,
            state="dead" if dead else "pending",
            available_at=datetime.now(UTC) + timedelta(seconds=wait),
        )
        this = {"group": self.group, "this": due.seq, "tried": due.attempts}
        async with self._database.writer.begin() as connection:
            await connection.execute(changed, this)
        self._look_again(wait)
        told = log.error if dead else log.warning
        told(
            "a message is dead" if dead else "a message failed, and will be tried again",
            group=self.group,
            event=due.event_type,
            aggregate=due.aggregate_id,
            seq=due.seq,
            attempt=tries,
            reason=reason,
        )

    def _look_again(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        self._again_at = min(self._again_at, at) if self._again_at else at


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST_REASON].replace("\x00", "")
