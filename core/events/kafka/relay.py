"""The relay to Kafka: sends what was recorded, in the order of each aggregate, and marks it so.

It sends in waves: the first waiting event of each aggregate, and when all of them are acknowledged
the second of each, and so on. So the first arrival of each event is in its aggregate's order,
however many relays send the same (one that was frozen, and whoever took its lease over), since no
sender sends a later one before it knows that the earlier one is there. What arrives twice is passed
by at the consumer's inbox.

Nothing is sent while a transaction is open, and nothing piles up while the broker is away: a batch
is read when the one before it is through.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import bindparam, select, update

from core.errors import Unavailable
from core.events.failpoints import failpoint
from core.events.failure import counted, reason_of, wait_after
from core.events.kafka import cloudevents
from core.events.kafka.client import topic_of
from core.events.kafka.marks import mark_published
from core.events.kafka.outage import Outage
from core.events.kafka.producer import Interrupted, Message, Producer
from core.events.kafka.trouble import BrokerTrouble
from core.events.pending import RELAYABLE, relayable_in
from core.events.relay import KIND
from core.events.tables import outbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.events.bell import Bell
    from core.events.counts import Counts
    from core.events.kafka.topics import Topics
    from core.events.leases import Held, Leases
    from core.settings import EventsSettings, KafkaSettings

log = structlog.get_logger("tessera.events")

BATCH = 1_000
"""Events that are read, sent and marked at once."""
GRACE_SECONDS = 1.5
"""How long a round under way may go on when the relay is to end: the broker may be away."""

_o = outbox.c
_PENDING = (
    select(
        _o.seq,
        _o.id,
        _o.type,
        _o.aggregate_type,
        _o.aggregate_id,
        _o.aggregate_version,
        _o.bucket,
        _o.payload,
        _o.headers,
        _o.attempts,
        _o.created_at,
    )
    .where(*RELAYABLE)
    .order_by(_o.seq)
    .limit(BATCH)
)
_REFUSED = update(outbox).where(
    _o.seq == bindparam("this"), _o.state == "pending", _o.attempts == bindparam("tried")
)
Row = Any


class KafkaRelay:
    """One a process, where a broker is configured; does what `core.events.relay.Relay` does."""

    def __init__(
        self,
        *,
        database: Database,
        leases: Leases,
        bell: Bell,
        topics: Topics,
        settings: EventsSettings,
        kafka: KafkaSettings,
        counts: Counts,
    ) -> None:
        self._database = database
        self._counts = counts
        self._leases = leases
        self._bell = bell
        self._topics = topics
        self._settings = settings
        self._kafka = kafka
        self._producer = Producer(kafka)
        self._outage = Outage("the relay")
        self._again_at = 0.0
        self._leaving = False
        self._task: asyncio.Task[Any] | None = None

    def leave(self) -> None:
        """Begin nothing more; what is under way is ended a moment later."""
        self._leaving = True
        if self._task is not None:
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._task.cancel)

    async def run(self) -> None:
        """Work until `leave` or a cancellation; what was sent and not yet marked is sent again."""
        self._task = asyncio.current_task()
        try:
            with self._leases.wanting(KIND), self._bell.listening() as ear:
                while not self._leaving:
                    if not await self._try_to_relay():
                        await ear.wait(seconds=self._rest())
        finally:
            self._task = None
            await self._producer.close()

    def _rest(self) -> float:
        poll = self._settings.poll_seconds
        until = self._again_at - time.monotonic()
        return min(poll, max(until, 0.01)) if self._again_at else poll

    async def _try_to_relay(self) -> bool:
        """Whether there may be more; trouble is told and tried again, for ever."""
        try:
            more = await self.relay() > 0
        except (Unavailable, BrokerTrouble) as error:
            self._outage.met(error)
            if isinstance(error, BrokerTrouble):
                self._topics.forget()
                await self._pause()
            return False
        except Exception:
            log.exception("the relay failed, and tries again")
            return False
        self._outage.over()
        return more

    async def _pause(self) -> None:
        """New events ring the bell all the time: they must not make it knock at a closed door."""
        if not self._leaving:
            await asyncio.sleep(self._settings.poll_seconds)

    async def relay(self) -> int:
        """Send what is pending in this process's buckets, one batch; how many events arrived.

        Raises BrokerTrouble or Unavailable; what had arrived by then is marked if that is possible.
        """
        if self._again_at <= time.monotonic():
            self._again_at = 0.0
        held = dict(self._leases.held(KIND))
        rows = await self._pending(held)
        if not rows:
            return 0
        await self._topics.ensure({self._topic(row) for row in rows})
        arrived: list[int] = []
        try:
            await self._send_in_waves(rows, held, arrived)
        finally:
            if arrived:
                failpoint("mark.before")
                await mark_published(self._database, arrived, held, owner=self._leases.owner)
                failpoint("mark.after")
                self._counts.add("published", KIND, len(arrived))
        return len(arrived)

    async def _pending(self, buckets: Collection[int]) -> Sequence[Row]:
        if not buckets:
            return []
        async with self._database.reader.connect() as connection:
            return (await connection.execute(_PENDING, relayable_in(buckets))).all()

    def _topic(self, row: Row) -> str:
        return topic_of(self._kafka, cloudevents.module_of(row.type))

    async def _send_in_waves(self, rows: Sequence[Row], held: Held, arrived: list[int]) -> None:
        waiting: dict[tuple[str, str], deque[Row]] = {}
        for row in rows:
            waiting.setdefault((row.aggregate_type, row.aggregate_id), deque()).append(row)
        while waiting and not self._leaving:
            wave = [it[0] for it in waiting.values() if self._is_mine(it[0], held)]
            refused = await self._send(wave, arrived)
            gone_on = {row.seq for row in wave if row.seq not in refused}
            waiting = {
                key: queue
                for key, queue in waiting.items()
                if queue.popleft().seq in gone_on and queue
            }

    def _is_mine(self, row: Row, held: Held) -> bool:
        """Whether the lease under which it was read is still this process's."""
        return self._leases.held(KIND).get(row.bucket) == held[row.bucket]

    async def _send(self, wave: Sequence[Row], arrived: list[int]) -> Mapping[int, BaseException]:
        """Send one event of each aggregate; gives those that the broker refuses, by number."""
        try:
            failpoint("send.before")
            told = await self._producer.send([self._message(row) for row in wave])
            failpoint("send.after")
        except Interrupted as interrupted:
            arrived.extend(interrupted.acknowledged)
            raise
        arrived.extend(number for number, error in told.items() if error is None)
        refused = {number: error for number, error in told.items() if error is not None}
        for row in wave:
            if row.seq in refused:
                await self._refused(row, refused[row.seq])
        return refused

    def _message(self, row: Row) -> Message:
        return Message(
            number=row.seq,
            topic=self._topic(row),
            key=row.aggregate_id.encode(),
            value=row.payload.encode(),
            headers=cloudevents.encode(row),
        )

    async def _refused(self, row: Row, error: BaseException) -> None:
        """Count a failure of the message itself; the last one makes it a dead letter."""
        changed = counted(error, attempts=row.attempts, settings=self._settings)
        async with self._database.writer.begin() as connection:
            await connection.execute(
                _REFUSED.values(changed), {"this": row.seq, "tried": row.attempts}
            )
        self._look_again(wait_after(row.attempts, self._settings))
        dead = changed["state"] == "dead"
        self._counts.failed(KIND, dead=dead)
        (log.error if dead else log.warning)(
            "an event is dead: Kafka does not take it" if dead else "Kafka did not take an event",
            type=row.type,
            aggregate=row.aggregate_id,
            seq=row.seq,
            attempt=row.attempts + 1,
            reason=reason_of(error),
        )

    def _look_again(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        self._again_at = min(self._again_at, at) if self._again_at else at
