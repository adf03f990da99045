"""Sending what was recorded, in the order of each aggregate, and marking it so.

It sends in waves: the first waiting event of each aggregate, and when all of them are acknowledged
the second of each, and so on. So the first arrival of each event is in its aggregate's order,
however many relays send the same (one that was frozen, and whoever took its lease over), since no
sender sends a later one before it knows that the earlier one is there. What arrives twice is passed
by at the consumer's inbox.

Nothing is sent while a transaction is open, and nothing piles up while the broker is away: a batch
is read when the one before it is through.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select, update

from core.events.event import module_of
from core.events.failpoints import failpoint
from core.events.failure import counted, reason_of, wait_after
from core.events.kafka import cloudevents
from core.events.kafka.client import topic_of
from core.events.kafka.marks import mark_published
from core.events.kafka.producer import Interrupted, Message, Producer
from core.events.kafka.trouble import is_of_a_topic
from core.events.pending import RELAYABLE, relayable_in
from core.events.relay import KIND
from core.events.tables import outbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.events.counts import Counts
    from core.events.kafka.topics import Topics
    from core.events.leases import Held, Leases
    from core.settings import EventsSettings, KafkaSettings

log = structlog.get_logger("tessera.events")

BATCH = 1_000
"""Events that are read, sent and marked at once, at most."""
BATCH_BYTES = 8 * 1024 * 1024
"""Large ones are read in smaller batches: about so much is in memory at once."""
FIRST_BATCH = 100

_o = outbox.c


class Row(NamedTuple):
    """An event that is to be sent. Its fields are columns of the outbox."""

    seq: int
    id: UUID
    type: str
    aggregate_type: str
    aggregate_id: str
    aggregate_version: int
    bucket: int
    payload: str
    headers: str
    attempts: int
    created_at: datetime


_PENDING = (
    select(*(_o[name] for name in Row._fields))
    .where(*RELAYABLE)
    .order_by(_o.seq)
    .limit(bindparam("most"))
)
_REFUSED = update(outbox).where(
    _o.seq == bindparam("this"), _o.state == "pending", _o.attempts == bindparam("tried")
)
Key = tuple[str, str]


class Stream:
    """A share of this process's buckets, with a connection of its own to the broker."""

    def __init__(
        self,
        *,
        share: tuple[int, int],
        database: Database,
        leases: Leases,
        topics: Topics,
        settings: EventsSettings,
        kafka: KafkaSettings,
        counts: Counts,
    ) -> None:
        """`share` is which of how many: ``(0, 2)`` has every second bucket."""
        self._share = share
        self._database = database
        self._leases = leases
        self._topics = topics
        self._settings = settings
        self._kafka = kafka
        self._counts = counts
        self._producer = Producer(kafka)
        self._by_type: dict[str, str] = {}
        self._most = FIRST_BATCH
        self._again_at = 0.0
        self._leaving = False

    def leave(self) -> None:
        """Begin no further wave."""
        self._leaving = True

    async def close(self) -> None:
        """Give the connection back."""
        await self._producer.close()

    def rest(self) -> float:
        """Until the next look, in seconds: sooner when something is to be tried again."""
        poll = self._settings.poll_seconds
        until = self._again_at - time.monotonic()
        return min(poll, max(until, 0.01)) if self._again_at else poll

    async def relay(self) -> int:
        """Send what is pending in these buckets, one batch; how many events arrived.

        Raises BrokerTrouble or Unavailable; what had arrived by then is marked if that is possible.
        """
        if self._again_at <= time.monotonic():
            self._again_at = 0.0
        held = self._held()
        rows = await self._pending(held)
        if not rows:
            return 0
        rows = await self._sendable(rows)
        arrived: list[int] = []
        try:
            await self._send_in_waves(rows, held, arrived)
        finally:
            if arrived:
                failpoint("mark.before")
                owner = self._leases.owner
                marked = await mark_published(self._database, arrived, held, owner=owner)
                failpoint("mark.after")
                self._counts.add("published", KIND, marked)
        return len(arrived)

    def _held(self) -> Held:
        number, of = self._share
        return {b: epoch for b, epoch in self._leases.held(KIND).items() if b % of == number}

    async def _pending(self, buckets: Collection[int]) -> Sequence[Row]:
        if not buckets:
            return []
        pending = _PENDING
        for topic in self._topics.waiting():  # they would fill the batch, and nothing else would go
            pending = pending.where(~_o.type.startswith(f"{self._module(topic)}."))
        async with self._database.reader.connect() as connection:
            values = {**relayable_in(buckets), "most": self._most}
            rows = [Row(*row) for row in await connection.execute(pending, values)]
        self._learn(rows)
        return rows

    async def _sendable(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Those whose topics are there. Raises BrokerTrouble."""
        names = {self._topic(it) for it in {row.type for row in rows}}
        there = await self._topics.ready(names)
        if len(there) == len(names):
            return rows
        self._again_at = time.monotonic()  # at once, for what lies behind the others
        return [row for row in rows if self._topic(row.type) in there]

    def _learn(self, rows: Sequence[Row]) -> None:
        """How many to read at once, by how large these are; at most twice as many as now."""
        size = sum(len(row.payload) for row in rows)
        fitting = len(rows) * BATCH_BYTES // max(size, 1) if rows else BATCH
        self._most = max(1, min(fitting, self._most * 2, BATCH))

    def _topic(self, event_type: str) -> str:
        topic = self._by_type.get(event_type)
        if topic is None:
            topic = topic_of(self._kafka, module_of(event_type))
            self._by_type[event_type] = topic
        return topic

    def _module(self, topic: str) -> str:
        """Whose topic it is."""
        return topic.removeprefix(topic_of(self._kafka, ""))

    async def _send_in_waves(self, rows: Sequence[Row], held: Held, arrived: list[int]) -> None:
        while rows and not self._leaving:
            mine = self._still_held(held)
            wave: dict[Key, Row] = {}
            later: list[tuple[Key, Row]] = []
            for row in rows:
                key = (row.aggregate_type, row.aggregate_id)
                if row.bucket not in mine:
                    continue
                if key in wave:
                    later.append((key, row))
                else:
                    wave[key] = row
            refused = await self._send([*wave.values()], arrived)
            shut = self._topics.waiting()
            rows = [
                row
                for key, row in later
                if wave[key].seq not in refused and self._topic(row.type) not in shut
            ]

    def _still_held(self, held: Held) -> set[int]:
        """The buckets whose leases, under which they were read, are still this process's."""
        now = self._leases.held(KIND)
        return {bucket for bucket, epoch in held.items() if now.get(bucket) == epoch}

    async def _send(self, wave: Sequence[Row], arrived: list[int]) -> Mapping[int, BaseException]:
        """Send one event of each aggregate; gives those that the broker refuses, by number."""
        try:
            failpoint("send.before")
            refused = await self._producer.send([self._message(row) for row in wave])
            failpoint("send.after")
        except Interrupted as interrupted:
            arrived.extend(interrupted.acknowledged)
            raise
        there = [row for row in wave if row.seq not in refused]
        arrived.extend(row.seq for row in there)
        self._topics.took({self._topic(row.type) for row in there})
        for row in wave:
            error = refused.get(row.seq)
            if error is not None and is_of_a_topic(error):
                self._topics.refused(self._topic(row.type), error)
            elif error is not None:
                await self._refused(row, error)
        return refused

    def _message(self, row: Row) -> Message:
        return Message(
            row.seq,
            self._topic(row.type),
            row.aggregate_id.encode(),
            row.payload.encode(),
            cloudevents.encode(row),
        )

    async def _refused(self, row: Row, error: BaseException) -> None:
        """Count a failure of the message itself; the last one makes it a dead letter."""
        changed = counted(error, attempts=row.attempts, settings=self._settings)
        async with self._database.writer.begin() as connection:
            await connection.execute(
                _REFUSED.values(changed), {"this": row.seq, "tried": row.attempts}
            )
        at = time.monotonic() + wait_after(row.attempts, self._settings)
        self._again_at = min(self._again_at, at) if self._again_at else at
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
