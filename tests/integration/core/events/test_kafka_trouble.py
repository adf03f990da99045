"""A broker that is away, frozen, or does not take a message: nothing is lost, and it is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError

from core.events.kafka.lag import lag
from core.events.operations import discard, failed
from core.settings import Settings
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.kafka import forget, make_topics
from tests.support.plants import Garden

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@asynccontextmanager
async def started(url: str, garden: Garden, servers: str, **kafka: Any) -> AsyncIterator[Bells]:
    """A tower and a ledger that are to use these servers."""
    tower, ledger = towers.plant(garden)
    section = {"bootstrap_servers": servers, "partitions": 4, "send_seconds": 3, **kafka}
    app = app_for(url, "tower", "ledger", events=towers.QUICK, kafka=section)
    await app.start()
    try:
        yield Bells(app, url, tower, ledger, kafka=section)
    finally:
        await app.stop()


async def test_an_event_that_the_broker_does_not_take_is_dead_in_the_relay(
    database_url: str, garden: Garden, kafka: str, topic_prefix: str
) -> None:
    """It is tried five times and dead with its reason; what was sent along with it is through,
    later events of its aggregate wait until it is discarded."""
    from core.plugin import record

    make_topics(kafka, f"{topic_prefix}.tower", partitions=1, max_message_bytes="2000")
    async with started(database_url, garden, kafka, topic_prefix=topic_prefix) as bells:
        async with bells.database.write() as session:
            record(session, bells.tower.Struck(bell=1, count=10**3000), version=1)
            record(session, bells.tower.Struck(bell=1, count=2), version=2)
            for bell in range(2, 22):
                await bells.tower.strike(session, bell)
        [letter] = await bells.dead(1)
        assert (letter.group, letter.attempts, letter.behind) == ("relay", 5, 1)
        assert letter.reason.startswith("MessageSizeTooLargeError")
        assert sorted(await bells.effects(20)) == [(bell, 1) for bell in range(2, 22)]
        assert await discard(bells.database, "relay", None) == 1
        assert (await bells.effects(21))[-1] == (1, 2)
        assert await failed(bells.database) == []


async def test_an_event_larger_than_the_settings_allow_is_dead_in_the_relay(
    sqlite_url: str, garden: Garden, kafka: str, topic_prefix: str
) -> None:
    """What is larger than kafka.max_message_bytes is not even sent, and others are."""
    from core.plugin import record

    small = {"topic_prefix": topic_prefix, "max_message_bytes": 2000}
    async with started(sqlite_url, garden, kafka, **small) as bells:
        async with bells.database.write() as session:
            record(session, bells.tower.Struck(bell=1, count=10**3000), version=1)
            await bells.tower.strike(session, 2)
        [letter] = await bells.dead(1)
        assert "The message is" in letter.reason
        assert await bells.effects(1) == [(2, 1)]


async def test_a_wrong_clock_kills_no_event(
    kafka_bells: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Events that a host sends whose clock is two hours ahead wait, with that reason in the log;
    they are delivered once it is put right."""
    bells = kafka_bells
    await bells.strike(1)
    await bells.effects(1)
    refused: list[BaseException] = []
    send = AIOKafkaProducer.send

    async def ahead(self: Any, *args: Any, **more: Any) -> Any:
        future = await send(self, *args, timestamp_ms=round((time.time() + 7200) * 1000), **more)
        future.add_done_callback(lambda it: refused.append(it.exception()))
        return future

    with monkeypatch.context() as wrong:
        wrong.setattr(AIOKafkaProducer, "send", ahead)
        await bells.strike(1, 2)
        await bells.until(lambda: len(refused) > 2 * 2 * 5)  # more often than it would be tried
    assert {type(it) for it in refused if it} == {InvalidTimestampError}
    assert await failed(bells.database) == []
    assert "put the clock of this host right" in caplog.text
    assert sorted(await bells.effects(3)) == [(1, 1), (1, 2), (2, 1)]


async def test_a_broker_that_comes_late_and_goes_again_loses_nothing(
    database_url: str, garden: Garden, broker: Any, topic_prefix: str
) -> None:
    """Without a broker the application starts and takes events; once it is there, and each time
    that it is back, all of them are delivered once and in order."""
    broker.kill()
    began = time.monotonic()
    async with started(database_url, garden, broker.servers, topic_prefix=topic_prefix) as bells:
        assert time.monotonic() - began < 5
        await asyncio.gather(*(bells.strike(*[bell] * 5) for bell in range(4)))
        assert towers.lines(database_url) == []
        await asyncio.to_thread(broker.start)
        assert len(await bells.effects(20)) == 20
        striking = asyncio.gather(*(bells.strike(*[bell] * 30) for bell in range(4)))
        await asyncio.to_thread(broker.kill)
        await striking
        await bells.strike(1, 2, 3)
        await asyncio.to_thread(broker.start)
        await bells.until(lambda: len(towers.lines(database_url)) >= 143, seconds=60)
        effects = await bells.effects(143)
        assert len(effects) == 143
        assert towers.in_order(effects)


async def test_nothing_hangs_on_a_broker_that_does_not_answer(
    database_url: str, garden: Garden, broker: Any, topic_prefix: str
) -> None:
    """Frozen in the middle, it keeps nobody from recording; the end comes within ten seconds; a
    process that is started meanwhile starts; and when it thaws all is delivered once."""
    async with started(database_url, garden, broker.servers, topic_prefix=topic_prefix) as bells:
        await bells.strike(1, 2)
        assert len(await bells.effects(2)) == 2
        broker.freeze()
        await bells.strike(1, 2, 1)
        await asyncio.sleep(4)
        await bells.strike(2)
        ending = time.monotonic()
    assert time.monotonic() - ending < 10
    app = app_for(database_url, "tower", "ledger", **bells.sections)
    await app.start()
    try:
        again = Bells(app, database_url, bells.tower, bells.ledger)
        await again.strike(1)
        broker.thaw()
        effects = await again.effects(7)
    finally:
        await app.stop()
    assert len(effects) == 7
    assert towers.in_order(effects)


async def test_the_lag_of_a_group_is_what_it_has_yet_to_take(kafka_bells: Any) -> None:
    """Ten events of a group that is away are ten; once it is back they are none."""
    bells = kafka_bells
    settings = Settings.for_tests(kafka=bells.sections["kafka"]).kafka
    await bells.strike(1)
    await bells.effects(1)
    await bells.swap("tower")
    await bells.strike(*range(10))
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    wanted = {"ledger": {"tower"}, "nobody": {"tower", "nothing"}}
    found = await lag(settings, wanted)
    assert found == {"ledger": (10, 1), "nobody": (11, 0)}
    await bells.swap("tower", "ledger")
    await bells.effects(11)
    async with asyncio.timeout(10):
        while (await lag(settings, wanted))["ledger"] != (0, 11):
            await asyncio.sleep(0.1)


async def test_a_topic_that_was_deleted_is_made_again(
    sqlite_url: str, garden: Garden, kafka: str, topic_prefix: str
) -> None:
    """The relay finds it gone, makes it, and goes on; the group takes from the new one."""
    async with started(sqlite_url, garden, kafka, topic_prefix=topic_prefix) as bells:
        await bells.strike(1)
        assert await bells.effects(1) == [(1, 1)]
        await asyncio.to_thread(forget, kafka, topic_prefix)
        await bells.strike(1, 2)
        await bells.until(lambda: len(towers.lines(sqlite_url)) == 3, seconds=60)
        assert towers.in_order(towers.lines(sqlite_url))
