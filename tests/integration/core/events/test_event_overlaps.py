"""What two do at the same moment (generations, processes, a replay and a relay) is done once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from core.db.engine import Database
from core.errors import Unavailable
from core.events.handling import Handling
from core.events.kafka import handover
from core.events.kafka.consumer import KafkaConsumer
from core.events.kafka.inbox import Inbox
from core.events.kafka.intake import Intake
from core.events.leases import BUCKETS, BucketLeases
from core.events.operations import replay
from core.settings import DatabaseSettings
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.plants import Garden

HOLD = text("SELECT bucket FROM core_leases WHERE owner = :owner FOR SHARE")


async def test_a_swap_sends_nothing_twice(bells: Bells) -> None:
    """What the old generation is sending when a new one begins is not sent by that one too."""
    bells.ledger.BAD[100] = lambda: asyncio.sleep(1.5)
    await bells.strike(100)
    await bells.until(lambda: bells.ledger.SENT)
    await bells.swap("tower", "ledger")
    assert await bells.effects(1) == [(100, 1)]
    assert len(bells.ledger.SENT) == 1


async def test_many_that_wait_in_vain_keep_nobody_waiting(bells: Bells) -> None:
    """Behind more aggregates than are read at once, whose server is away, others have a turn."""
    for bell in range(1000, 1250):
        bells.is_unavailable(bell)
    async with bells.database.write() as session:
        for bell in range(1000, 1250):
            await bells.tower.strike(session, bell)
    await bells.until(lambda: towers.waiting(bells.url) == (0, 250))
    await bells.strike(1, 2)
    assert await bells.effects(2) == [(1, 1), (2, 1)]
    bells.ledger.BAD.clear()
    assert len(await bells.effects(252)) == 252


async def test_one_slow_aggregate_keeps_no_other_waiting(bells: Bells) -> None:
    """Behind more messages of one slow aggregate than are read at once, others have their turn."""
    if bells.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer: a group works on one message at a time")
    bells.ledger.BAD[1] = lambda: asyncio.sleep(0.2)
    async with bells.database.write() as session:
        for _ in range(250):
            await bells.tower.strike(session, 1)
    await bells.effects(1)
    await bells.strike(2)
    await bells.until(lambda: (2, 1) in towers.lines(bells.url), seconds=5)
    assert len(towers.lines(bells.url)) < 100
    bells.ledger.BAD.clear()
    assert towers.in_order(await bells.effects(251))


async def test_slow_handlers_leave_requests_their_connections(
    way: tuple[str, dict[str, Any]], garden: Garden
) -> None:
    """However many handlers are at work in transactions, requests are answered at once."""
    url, sections = way
    if "sqlite" in url:
        pytest.skip("SQLite has one writer: a group works on one message at a time")
    tower, ledger = towers.plant(garden, outside=False)
    sections = {**sections, "events": {**towers.QUICK, "concurrency": 8}}
    app = app_for(url, "tower", "ledger", database={"pool_size": 4}, **sections)
    for bell in range(32):
        ledger.BAD[bell] = lambda: asyncio.sleep(3)
    await app.start()
    try:
        slow = Bells(app, url, tower, ledger)
        await slow.strike(50)
        await slow.effects(1)  # all are at work
        async with slow.database.write() as session:
            for bell in range(32):
                await slow.tower.strike(session, bell)
        await asyncio.sleep(2)  # those that were together were too slow; each is by itself now
        began = time.monotonic()
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://here"
        ) as client:
            for bell in range(100, 110):
                assert (await client.post(f"/v1/tower/{bell}")).status_code == 201
        assert time.monotonic() - began < 1.5
        ledger.BAD.clear()
        assert len(await slow.effects(43)) == 43
    finally:
        await app.stop()


@asynccontextmanager
async def full(bells: Bells) -> AsyncIterator[None]:
    """While it lasts, handlers have all the transactions that they may have in this process."""
    assert bells.app.resources is not None
    places = bells.app.resources.events._places
    count = places._value
    for _ in range(count):
        await places.acquire()
    try:
        yield
    finally:
        for _ in range(count):
            places.release()


async def test_waiting_for_a_place_is_no_handlers_time(
    kafka_bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits longer for others' handlers than its own may take, is not taken for slow."""
    bells, parked = kafka_bells, []
    monkeypatch.setattr(Inbox, "park", lambda *given: parked.append(given))
    await bells.strike(9)
    await bells.effects(1)
    async with full(bells):
        await bells.strike(1, 2, 1)
        await asyncio.sleep(handover.SLOW_SECONDS + 0.5)
        assert towers.lines(bells.url) == [(9, 1)]
    assert towers.in_order(await bells.effects(4))
    assert not parked


async def test_what_is_revoked_while_it_waits_for_a_place_is_not_delivered(
    kafka_bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message whose partition goes while others' handlers have all places is left to whoever
    has the partition then."""
    bells = kafka_bells
    members: list[KafkaConsumer] = []
    poll = KafkaConsumer._poll

    async def noted(self: KafkaConsumer) -> None:
        members[:] = [self]
        await poll(self)

    monkeypatch.setattr(KafkaConsumer, "_poll", noted)
    await bells.strike(9)
    await bells.effects(1)
    [member] = members
    async with full(bells):
        await bells.strike(1)
        await bells.until(lambda: any(it.waiting for it in member._lanes.values()))
        assert member._client is not None
        await member.on_partitions_revoked(member._client.assignment())
    await asyncio.sleep(0.5)
    assert towers.lines(bells.url) == [(9, 1)]
    await bells.swap("tower", "ledger")
    assert await bells.effects(2) == [(9, 1), (1, 1)]


@pytest.mark.postgres
async def test_a_frozen_relay_costs_nobody_else_his_leases(bells: Bells) -> None:
    """A process stopped in its transaction holds the rows of its leases; another that would take
    them over keeps its own meanwhile, and has them once the server has ended that."""
    if bells.database.dialect == "sqlite":
        pytest.skip("there are no leases")
    await bells.app.stop()
    database = Database(DatabaseSettings(url=bells.url))
    frozen, other = (BucketLeases(database, seconds=1.0) for _ in range(2))
    try:
        with frozen.wanting("relay"), other.wanting("relay"), other.wanting("ledger"):
            await frozen.keep()
            async with database.writer.begin() as connection:
                held = await connection.execute(HOLD, {"owner": frozen.owner})
                assert len(held.all()) == BUCKETS
                await asyncio.sleep(1.2)
                async with asyncio.timeout(1):
                    await other.keep()
                assert len(other.held("ledger")) == BUCKETS
                assert not other.held("relay")
            await other.keep()
            assert len(other.held("relay")) == BUCKETS
    finally:
        await database.close()
        await bells.app.start()


async def test_a_process_that_joins_makes_nobody_call_twice(bells: Bells) -> None:
    """What handlers outside of transactions are at work on when another process joins, which is
    given its share of the rest, is called for once."""
    if bells.database.dialect == "sqlite":
        pytest.skip("there are no leases")
    await bells.app.stop()
    sections = {"events": {**towers.QUICK, "concurrency": 8}, "database": {"pool_size": 20}}
    first, second = (app_for(bells.url, "tower", "ledger", **sections) for _ in range(2))
    for bell in range(100, 108):
        bells.ledger.BAD[bell] = lambda: asyncio.sleep(2)
    await first.start()
    try:
        assert first.resources is not None
        async with first.resources.database.write() as session:
            for bell in range(100, 116):
                await bells.tower.strike(session, bell)
        await bells.until(lambda: len(bells.ledger.SENT) >= 8)
        await second.start()
        try:
            assert len(await bells.effects(16)) == 16
        finally:
            await second.stop()
    finally:
        await first.stop()
        await bells.app.start()
    assert len(bells.ledger.SENT) == len({it[2] for it in bells.ledger.SENT}) == 16


@pytest.mark.postgres
async def test_a_process_stopped_while_it_renews_keeps_no_lease(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is stopped in the transaction in which it renews its leases holds their rows: the
    server ends that after a lease's life, and another has them."""
    if bells.database.dialect == "sqlite":
        pytest.skip("there are no leases")
    await bells.app.stop()
    database = Database(DatabaseSettings(url=bells.url))
    frozen, other = (BucketLeases(database, seconds=1.0) for _ in range(2))
    kept = frozen._kept

    async def and_stop(*given: Any) -> Any:
        await kept(*given)
        await asyncio.sleep(3600)

    monkeypatch.setattr(frozen, "_kept", and_stop)
    try:
        with frozen.wanting("relay"), other.wanting("relay"):
            stopped = asyncio.create_task(frozen.keep())
            async with asyncio.timeout(10):
                while len(other.held("relay")) < BUCKETS:
                    await asyncio.sleep(0.2)
                    await other.keep()
            stopped.cancel()
            await asyncio.gather(stopped, return_exceptions=True)
    finally:
        await database.close()


async def test_a_replay_before_the_relay_has_marked_loses_nothing(
    kafka_bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a broker has delivered and its relay marks only after the replay is replayed too."""
    from core.events.kafka import stream

    bells, mark = kafka_bells, stream.mark_published
    go_on = asyncio.Event()

    async def late(*given: Any, **named: Any) -> Any:
        await go_on.wait()
        return await mark(*given, **named)

    await bells.strike(1)
    await bells.effects(1)
    monkeypatch.setattr(stream, "mark_published", late)
    await bells.strike(2)
    await bells.effects(2)
    [plan] = bells.app.generation.events.groups
    assert await replay(bells.database, plan) == 2
    go_on.set()
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert sorted(await bells.effects(2)) == [(1, 1), (2, 1)]


async def test_a_rebalance_while_the_database_is_asked_loses_nothing(
    kafka_bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before a rebalance, and is handed on after it, overtakes nothing."""
    bells = kafka_bells
    monkeypatch.setattr(Handling, "goes_outside", lambda *_: False)
    monkeypatch.setattr(handover, "SLOW_SECONDS", 60.0)  # it is to hold its partition
    blocked, revoked = asyncio.Event(), asyncio.Event()
    asked = Inbox.registered
    members: list[KafkaConsumer] = []
    poll = KafkaConsumer._poll
    armed = trouble = False

    async def noted(self: KafkaConsumer) -> None:
        members.append(self)
        await poll(self)

    async def registered(self: Inbox) -> Any:
        nonlocal armed, trouble
        if armed:
            armed, trouble = False, True
            client = members[-1]._client
            assert client is not None
            await members[-1].on_partitions_revoked(client.assignment())
            revoked.set()
        elif trouble:
            trouble = False
            raise Unavailable("away")  # so that it joins again, as after a real rebalance
        return await asked(self)

    monkeypatch.setattr(KafkaConsumer, "_poll", noted)
    await bells.strike(9)
    await bells.effects(1)
    bells.ledger.BAD[1] = blocked.wait
    async with bells.database.write() as session:  # SQLite's one writer is soon the handler
        for _ in range(3):
            await bells.tower.strike(session, 1)
    await bells.until(lambda: any(it.waiting >= 3 for it in members[-1]._lanes.values()))
    monkeypatch.setattr(Intake, "is_new", lambda *_: True)
    monkeypatch.setattr(Inbox, "registered", registered)
    armed = True
    await bells.strike(1)
    await revoked.wait()
    blocked.set()
    await asyncio.sleep(0.5)
    await bells.strike(2)
    effects = await bells.effects(6, seconds=40)
    assert len(effects) == 6
    assert [count for bell, count in effects if bell == 1] == [1, 2, 3, 4]
