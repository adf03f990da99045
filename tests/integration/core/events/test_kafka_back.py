"""From Kafka to the database and back, by settings alone: nothing is lost, nothing done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, text

from core.db.engine import Database
from core.events.pruning import prune_inbox
from core.events.tables import inbox
from core.settings import Settings
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for, settings_for
from tests.support.kafka import admin
from tests.support.plants import Garden

pytestmark = pytest.mark.kafka


class Deployment:
    """A tower and a ledger, with a broker or without, one after the other on one database."""

    def __init__(self, url: str, garden: Garden, kafka: dict[str, Any]) -> None:
        self.url = url
        self._modules = towers.plant(garden, outside=False)
        self._kafka = kafka

    @asynccontextmanager
    async def running(self, *, kafka: bool) -> AsyncIterator[Bells]:
        """All its processes: one."""
        sections = {"kafka": self._kafka} if kafka else {}
        app = app_for(self.url, "tower", "ledger", events=towers.QUICK, **sections)
        await app.start()
        try:
            yield Bells(app, self.url, *self._modules, **sections)
        finally:
            await app.stop()

    async def execute(self, statement: str, **values: datetime) -> None:
        """Change what lies in the database, while no process runs."""
        typed = [bindparam(it, type_=inbox.c.received_at.type) for it in values]
        database = Database(settings_for(self.url).database)
        async with database.write() as session:
            await session.exec(text(statement).bindparams(*typed), params=values)
        await database.close()


@pytest.fixture
def deployment(database_url: str, garden: Garden, kafka: str, topic_prefix: str) -> Deployment:
    """On each database."""
    section = {"bootstrap_servers": kafka, "topic_prefix": topic_prefix, "partitions": 1}
    return Deployment(database_url, garden, section)


async def calm(bells: Bells) -> None:
    """Until everything is published and delivered."""
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))


UNMARKED = "UPDATE core_outbox SET state = 'pending', published_at = NULL"
"""What a relay leaves that was killed before it could note that these were sent."""


async def test_what_a_broker_gave_is_not_given_again_without_it(deployment: Deployment) -> None:
    """Events that a group had from Kafka and that the relay could not mark any more are passed by
    once events travel through the database; what comes then is given, in order."""
    async with deployment.running(kafka=True) as bells:
        await bells.strike(1, 1, 1)
        await bells.effects(3)
        await calm(bells)
    await deployment.execute(UNMARKED)
    async with deployment.running(kafka=False) as bells:
        await bells.strike(1)
        await bells.effects(4)
        await calm(bells)
        assert towers.lines(bells.url) == [(1, 1), (1, 2), (1, 3), (1, 4)]


async def test_what_a_topic_still_holds_is_not_done_twice_after_weeks_without_kafka(
    deployment: Deployment, kafka: str, topic_prefix: str
) -> None:
    """Kafka is put back after more than a week of pruning without it, and its broker has forgotten
    how far the group was: what it reads anew is passed by."""
    async with deployment.running(kafka=True) as bells:
        await bells.strike(1, 1, 1)
        await bells.effects(3)
        await calm(bells)
    old = datetime.now(UTC) - timedelta(days=30)
    await deployment.execute("UPDATE core_inbox SET received_at = :at", at=old)
    await deployment.execute("UPDATE core_group_types SET since = :at", at=old)
    client = admin(kafka)  # held: what it does ends with it
    for done in client.delete_consumer_groups([f"{topic_prefix}.ledger"]).values():
        await asyncio.to_thread(done.result, 20)
    async with deployment.running(kafka=False) as bells:
        await prune_inbox(bells.database, Settings.for_tests().kafka)
    async with deployment.running(kafka=True) as bells:
        await bells.strike(1)
        await bells.effects(4)
        assert towers.lines(bells.url) == [(1, 1), (1, 2), (1, 3), (1, 4)]
