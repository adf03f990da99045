"""A group's consumer on Kafka: one a subscribing module and process.

It polls all the time, whatever its handlers do: they work in tasks of their own beside it (`Lane`),
so that a slow one makes nobody take this process for dead (aiokafka #848). A partition that has
enough in hand is not asked for more. Offsets are committed after the effects, and a commit that
fails in a rebalance (aiokafka #929) costs nothing: what is read twice is passed by at the inbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from core.errors import Unavailable
from core.events.event import module_of
from core.events.failpoints import failpoint
from core.events.kafka import raw
from core.events.kafka.client import group_of, options, topic_of
from core.events.kafka.handover import Handover
from core.events.kafka.inbox import Inbox
from core.events.kafka.intake import Intake
from core.events.kafka.lane import Lane
from core.events.kafka.trouble import AWAY, BrokerTrouble, trouble
from core.events.outage import Outage

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.events.bell import Bell
    from core.events.catalog import EventCatalog
    from core.events.groups import GroupPlan
    from core.events.handling import Handling
    from core.events.kafka.topics import Topics
    from core.settings import EventsSettings, KafkaSettings

log = structlog.get_logger("tessera.events")

POLL_MS = 200
MOST_AT_ONCE = 500
"""Messages of one poll."""
ENOUGH = 200
"""Messages in hand from which on a partition is not asked for more."""
COMMIT_SECONDS = 0.2
"""How often offsets are committed, at most."""
SESSION_SECONDS = (6.0, 300.0)
"""Between these a broker takes the time after which a silent member is out."""
START_SECONDS = 60.0
CAREFUL_SECONDS = 60.0
"""So long after a message that aiokafka cannot read each is read by itself: it has company."""
HANDING_OVER_SECONDS = 0.5
"""What is under way may take so long before a rebalance goes on without it."""
STOP_SECONDS = 1.5
NOTHING = TopicPartition("", -1)
"""Asking for this alone is polling without taking anything."""


class KafkaConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Serves the subscriptions of one module while its generation lives."""

    def __init__(
        self,
        plan: GroupPlan,
        handling: Handling,
        *,
        catalog: EventCatalog,
        database: Database,
        bell: Bell,
        topics: Topics,
        settings: EventsSettings,
        kafka: KafkaSettings,
        places: asyncio.Semaphore,
    ) -> None:
        self.group = plan.name
        self._names = {topic_of(kafka, module_of(it)) for it in plan.types}
        self._missing: set[str] = set()
        self._topics = topics
        self._settings = settings
        self._kafka = kafka
        self._outage = Outage("a consumer", group=plan.name)
        self._inbox = Inbox(plan.name, database, settings=settings)
        self._intake = Intake(plan, handling, catalog)
        self._handover = Handover(
            handling,
            self._inbox,
            database=database,
            bell=bell,
            outage=Outage("a delivery", group=plan.name),
            settings=settings,
            places=places,
        )
        self._client: AIOKafkaConsumer | None = None
        self._lanes: dict[TopicPartition, Lane] = {}
        self._gone: set[Lane] = set()
        self._committed: dict[TopicPartition, int] = {}
        self._assigned: set[TopicPartition] = set()
        self._commit_at = self._careful_until = 0.0
        self._leaving = self._hurrying = False
        self._polling: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """Begin nothing more; what is under way goes on until `run` is cancelled."""
        self._leaving = True
        for lane in self._lanes.values():
            lane.leave()
        if self._polling is not None:
            self._polling.cancel()

    async def run(self) -> None:
        """Work until `leave`, or a cancellation, which rolls back what is under way."""
        try:
            while not self._leaving:
                self._polling = asyncio.create_task(self._poll_until_trouble())
                try:
                    await asyncio.wait({self._polling})
                finally:
                    self._polling.cancel()
                    await asyncio.wait({self._polling})
                if not self._leaving:
                    await asyncio.sleep(self._settings.poll_seconds)
        except asyncio.CancelledError:
            self._hurrying = True
            raise
        finally:
            await self._end()

    async def _poll_until_trouble(self) -> None:
        try:
            while await self._join():
                while not (self._missing and await self._topics.ready(self._missing)):
                    await self._poll()
        except raw.UnreadableName as error:
            log.debug("what was read is read again", group=self.group, reason=str(error))
        except Unavailable as error:
            self._outage.met(error)
        except BrokerTrouble as error:
            self._topics.forget()
            self._outage.met(error)
        except AWAY as error:
            self._topics.forget()
            self._outage.met(trouble(error, doing="reading from Kafka"))
        except Exception:
            log.exception("a consumer failed, and tries again", group=self.group)

    async def _join(self) -> bool:
        """Be a member of the group, for its topics that are there; whether any is.

        Raises Unavailable, BrokerTrouble, or what aiokafka raises.
        """
        await self._end()
        self._intake.register(await self._inbox.registered())
        there = await self._topics.ready(self._names)
        self._missing = self._names - there
        if not there:
            return False
        lowest, highest = SESSION_SECONDS
        session = min(max(self._settings.lease_seconds, lowest), highest)
        self._client = AIOKafkaConsumer(
            group_id=group_of(self._kafka, self.group),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(session * 1000),
            heartbeat_interval_ms=int(session * 1000 / 4),
            fetch_max_wait_ms=POLL_MS,
            metadata_max_age_ms=15_000,
            **options(self._kafka),
        )
        self._client.subscribe(sorted(there), listener=self)
        async with asyncio.timeout(START_SECONDS):
            await _start(self._client)
        self._outage.over()
        return True

    async def _poll(self) -> None:
        assert self._client is not None
        wanted = [tp for tp in self._client.assignment() if self._has_room(tp)]
        found = await self._fetched(self._client, wanted)
        # The lanes as they are now: a rebalance may come while the database is asked, and what was
        # read before it is for lanes that it has left, which take nothing more.
        upto = {tp: records[-1].offset + 1 for tp, records in found.items()}
        upto |= {tp: it for tp, it in read_upto(self._client).items() if tp in self._assigned}
        lanes = {tp: self._lane(tp) for tp in upto}
        if any(map(self._intake.is_new, chain.from_iterable(found.values()))):
            # A newer process may have registered it meanwhile: what is passed by is gone for good.
            self._intake.register(await self._inbox.registered())
        for tp, lane in lanes.items():
            read = map(self._intake.read, found.get(tp, ()))
            lane.take([it for it in read if it is not None], upto=upto[tp])
        if time.monotonic() >= self._commit_at:
            self._commit_at = time.monotonic() + COMMIT_SECONDS
            await self._commit(self._kafka.send_seconds)

    async def _fetched(
        self, client: AIOKafkaConsumer, wanted: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Sequence[Any]]:
        """What has come. Raises UnreadableName where what it had read by then is lost.

        It is not when messages are read one by one: then the batch in the way is read raw.
        """
        careful = time.monotonic() < self._careful_until
        try:
            found: dict[TopicPartition, Sequence[Any]] = await client.getmany(
                *(wanted or [NOTHING]),
                timeout_ms=POLL_MS if wanted else POLL_MS // 4,
                max_records=1 if careful else MOST_AT_ONCE,
            )
        except Exception as error:
            if not raw.is_name(error):
                raise
            self._careful_until = time.monotonic() + CAREFUL_SECONDS
            if not careful:
                raise raw.UnreadableName(str(error)) from error
            return await self._read_raw(client, *raw.place(client, wanted))
        return found

    async def _read_raw(
        self, client: AIOKafkaConsumer, tp: TopicPartition, offset: int
    ) -> dict[TopicPartition, Sequence[Any]]:
        """What the batch in the way has from that offset on; aiokafka goes on behind it."""
        lane = self._lane(tp)
        records = await raw.read(client, tp, offset)
        if self._lanes.get(tp) is not lane:  # a rebalance came in between
            return {}
        client.seek(tp, records[-1].offset + 1)
        return {tp: records}

    def _lane(self, tp: TopicPartition) -> Lane:
        lane = self._lanes.get(tp)
        if lane is None:
            lane = self._lanes[tp] = Lane(self._handover, name=f"tessera-{self.group}-{tp}")
        return lane

    def _has_room(self, tp: TopicPartition) -> bool:
        lane = self._lanes.get(tp)
        return lane is None or lane.waiting < ENOUGH

    async def _commit(self, seconds: float) -> None:
        """Tell the broker how far this process is; what cannot be told is told another time."""
        client = self._client
        if client is None:
            return
        mine = client.assignment()
        offsets = {
            tp: lane.position
            for tp, lane in self._lanes.items()
            if tp in mine and lane.position > self._committed.get(tp, -1)
        }
        if not offsets:
            return
        try:
            async with asyncio.timeout(seconds):
                failpoint("offset.before")
                await client.commit(offsets)
                failpoint("offset.after")
        except AWAY as error:
            log.debug("offsets were not committed", group=self.group, reason=str(error))
        else:
            self._committed.update(offsets)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """aiokafka's word that a rebalance begins: all partitions go, some come back."""
        lanes = {tp: lane for tp, lane in self._lanes.items() if tp in revoked}
        for lane in lanes.values():
            lane.leave()
        if lanes:
            busy = [lane.ended(seconds=HANDING_OVER_SECONDS) for lane in lanes.values()]
            await asyncio.gather(*busy)
            await self._commit(HANDING_OVER_SECONDS)
        self._assigned.difference_update(revoked)
        for tp in lanes:
            self._gone.add(self._lanes.pop(tp))
            self._committed.pop(tp, None)
        self._gone = {lane for lane in self._gone if lane.is_busy}

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """aiokafka's word that a rebalance is over; it begins where was committed."""
        self._assigned = set(assigned)
        log.debug("partitions assigned", group=self.group, partitions=len(assigned))

    async def _end(self) -> None:
        """Let what is under way end, commit, leave the group."""
        lanes = [*self._lanes.values(), *self._gone]
        for lane in lanes:
            lane.leave()
        client, self._client = self._client, None
        try:
            for lane in lanes:
                await lane.ended(seconds=0 if self._hurrying else None)
        finally:
            cancelled = [task for lane in lanes if (task := lane.cancel()) is not None]
            await asyncio.gather(*cancelled, return_exceptions=True)
            if client is not None:
                self._client = client
                await self._commit(STOP_SECONDS)
                self._client = None
                await stop(client)
            self._lanes, self._gone, self._committed, self._assigned = {}, set(), {}, set()


def read_upto(client: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """How far it has read, also where that gave nothing: the marks of transactions are no messages.

    Nothing while a rebalance is under way: who has a partition then begins where it was committed.
    """
    state = client._subscription
    if state.reassignment_in_progress or state.subscription is None:
        return {}
    assignment = state.subscription.assignment
    offsets = assignment.all_consumed_offsets() if assignment is not None else {}
    return {tp: it.offset for tp, it in offsets.items()}


async def stop(client: AIOKafkaConsumer) -> None:
    """End a consumer, in good order if the broker lets it."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await client.stop()
    except AWAY:
        await abandon(client)


async def _start(client: AIOKafkaConsumer) -> None:
    """Start it; who cancels that waits a moment for its end. aiokafka closes no connection that it
    is cancelled on before it has the cluster's metadata."""
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    finally:
        try:
            await asyncio.wait({starting}, timeout=STOP_SECONDS)
        finally:
            starting.cancel()


async def abandon(client: AIOKafkaConsumer) -> None:
    """End a consumer whose coordinator may never answer: its public `stop` would wait along."""
    client._closed = True
    coordinator, fetcher = client._coordinator, client._fetcher
    names = (
        "_coordination_task",
        "_heartbeat_task",
        "_commit_refresh_task",
        "_reset_committed_task",
    )
    tasks = {task for name in names if (task := getattr(coordinator, name, None)) is not None}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
    with contextlib.suppress(*AWAY):
        async with asyncio.timeout(STOP_SECONDS):
            if fetcher is not None:
                await fetcher.close()
    with contextlib.suppress(*AWAY):
        async with asyncio.timeout(STOP_SECONDS):
            await client._client.close()
