"""Processes that share a group: they divide its partitions, and may come and go at any time."""

from __future__ import annotations

import asyncio
import gc
import itertools
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection

from core.app import Tessera
from core.events.kafka.consumer import KafkaConsumer
from tests.integration.core.events.conftest import Bells
from tests.support import kafka as brokers
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.databases import empty_database
from tests.support.plants import Garden

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with empty_database("postgresql", tmp_path) as found:
        yield found


@asynccontextmanager
async def running(bells: Bells) -> AsyncIterator[Tessera]:
    """One more of the same."""
    app = app_for(bells.url, "tower", "ledger", **bells.sections)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


@pytest.fixture
async def bells(url: str, garden: Garden, kafka: str, topic_prefix: str) -> AsyncIterator[Bells]:
    """A tower and a ledger; it is the first member of the group."""
    tower, ledger = towers.plant(garden)
    section = {"bootstrap_servers": kafka, "topic_prefix": topic_prefix, "partitions": 4}
    app = app_for(url, "tower", "ledger", events=towers.QUICK, kafka=section)
    first = Bells(app, url, tower, ledger, kafka=section)
    await app.start()
    try:
        yield first
    finally:
        await app.stop()


def shares(bells: Bells) -> list[int]:
    """How many partitions each member of the ledger's group has, as the broker tells a stranger."""
    section = bells.sections["kafka"]
    group = f"{section['topic_prefix']}.ledger"
    client = brokers.admin(section["bootstrap_servers"])
    members = client.describe_consumer_groups([group])[group].result(20).members
    return sorted(len(it.assignment.topic_partitions) for it in members)


async def test_of_five_consumers_of_four_partitions_one_idles(bells: Any) -> None:
    """Four have a partition each and one has none; all events are delivered once and in order, and
    when one with a partition ends the idle one takes its place."""
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(running(bells))
        async with running(bells):
            await bells.until(lambda: shares(bells) == [0, 1, 1, 1, 1], seconds=60)
            await asyncio.gather(*(bells.strike(*[bell] * 3) for bell in range(12)))
            assert len(await bells.effects(36)) == 36
        await bells.until(lambda: shares(bells) == [1, 1, 1, 1], seconds=60)
        await asyncio.gather(*(bells.strike(*[bell] * 2) for bell in range(12)))
        effects = await bells.effects(60)
    assert len(effects) == 60
    assert towers.in_order(effects)


@pytest.mark.slow
async def test_members_that_come_and_go_under_a_slow_handler_double_nothing(bells: Any) -> None:
    """While consumers join and leave every other second and one bell takes a second a stroke, there
    is progress all the time, and each event has one effect, in order."""
    bells.ledger.BAD[1] = lambda: asyncio.sleep(1)
    seen: list[int] = []

    async def come_and_go() -> None:
        for _ in range(4):
            async with running(bells):
                await asyncio.sleep(2)
            await asyncio.sleep(1)
            seen.append(len(await asyncio.to_thread(towers.lines, bells.url)))

    async def strike() -> None:
        for _ in range(20):
            await bells.strike(*range(10))
            await asyncio.sleep(0.5)

    await asyncio.gather(come_and_go(), strike())
    effects = await bells.effects(200)
    assert len(effects) == 200
    assert towers.in_order(effects)
    assert all(before < after for before, after in itertools.pairwise(seen)), seen


async def test_a_type_that_a_newer_process_registers_is_not_passed_by(
    kafka_bells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that joined before its group was registered for a type looks again when it comes."""
    bells = kafka_bells
    members: list[KafkaConsumer] = []
    poll = KafkaConsumer._poll

    async def noted(self: KafkaConsumer) -> None:
        members.append(self)
        await poll(self)

    monkeypatch.setattr(KafkaConsumer, "_poll", noted)
    await bells.strike(1)
    await bells.effects(1)
    await bells.until(lambda: members)
    intake = members[-1]._intake
    monkeypatch.setattr(intake, "_known", {})
    monkeypatch.setattr(intake, "_wanted", {})
    await bells.strike(2)
    assert len(await bells.effects(2)) == 2


async def test_a_group_that_is_left_while_it_joins_leaves_no_socket(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is switched off while its consumer still connects (to a broker that takes its
    time): nothing stays open, of which the interpreter would warn."""
    answer = AIOKafkaConnection.send

    async def take_its_time(connection: Any, *args: Any, **options: Any) -> Any:
        await asyncio.sleep(0.1)
        return await answer(connection, *args, **options)

    with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as told:
        patch.setattr(AIOKafkaConnection, "send", take_its_time)
        warnings.simplefilter("always")
        for turn in range(8):
            await bells.swap("tower")
            await bells.swap("tower", "ledger")
            await asyncio.sleep(turn * 0.02)
        gc.collect()
    assert [str(it.message) for it in told if it.category is ResourceWarning] == []
    await bells.strike(1)
    assert await bells.effects(1) == [(1, 1)]
