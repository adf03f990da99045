"""A topic that cannot be made, or written to, stops nothing but what is to go there."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from core.events.kafka import stream
from core.plugin import record
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.kafka import admin, make_topics, private_broker
from tests.support.plants import HEAD, Garden

pytestmark = pytest.mark.kafka
SECOND = (
    HEAD
    + '''
class Rung(Event, type="second.rung.v1", aggregate="phone", key="phone"):
    """A phone has rung."""

    phone: int


@hookimpl
def manifest():
    return Manifest("second", "1.0")


@hookimpl
def events():
    return [Rung]
'''
)
LISTENER = (
    HEAD
    + """
from planted_second.module import Rung
from planted_tower.module import Struck

HEARD = []


async def hear(session, event, delivery):
    HEARD.append(event)


@hookimpl
def manifest():
    return Manifest("listener", "1.0", requires=("tower", "second"))


@hookimpl
def subscriptions():
    return [on(Struck, hear), on(Rung, hear)]
"""
)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer events are read at once than are to wait."""
    monkeypatch.setattr(stream, "FIRST_BATCH", 20)
    monkeypatch.setattr(stream, "BATCH", 20)


@asynccontextmanager
async def two_publishers(
    url: str, garden: Garden, **kafka: Any
) -> AsyncIterator[tuple[Bells, Any]]:
    """Towers and phones, a ledger of the towers, and who listens to both; gives the phones too."""
    tower, ledger = towers.plant(garden, outside=False)
    garden.plant("second", SECOND)
    garden.plant("listener", LISTENER)
    second = importlib.import_module("planted_second.module")
    app = app_for(url, "tower", "ledger", "second", "listener", events=towers.QUICK, kafka=kafka)
    await app.start()
    try:
        yield Bells(app, url, tower, ledger, kafka=kafka), second
    finally:
        await app.stop()


async def ring(bells: Bells, second: Any, count: int) -> None:
    """So many phones ring."""
    async with bells.database.write() as session:
        for phone in range(count):
            record(session, second.Rung(phone=phone))


def heard() -> list[str]:
    """What the listener was given, by type."""
    events: Sequence[Any] = importlib.import_module("planted_listener.module").HEARD
    return [event.event_type for event in events]


async def test_a_topic_that_cannot_be_made_stops_no_other(
    sqlite_url: str,
    garden: Garden,
    kafka: str,
    topic_prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another module's events are delivered, also to a group that reads both topics; its own wait,
    which is told once, and are delivered when somebody has made the topic."""
    make_topics(kafka, f"{topic_prefix}.tower", partitions=4)
    section = {"bootstrap_servers": kafka, "topic_prefix": topic_prefix, "replication_factor": 3}
    async with two_publishers(sqlite_url, garden, **section) as (bells, second):
        await ring(bells, second, 150)
        for turn in range(3):
            await bells.strike(*range(5))
            assert len(await bells.effects(5 * turn + 5)) == 5 * turn + 5
        await bells.until(lambda: towers.waiting(sqlite_url) == (150, 0))
        assert heard() == ["tower.bell_struck.v1"] * 15
        waits = [it for it in caplog.messages if "waits" in it]
        assert [f"{topic_prefix}.second" in it for it in waits] == [True], waits
        make_topics(kafka, f"{topic_prefix}.second", partitions=4)
        await bells.until(lambda: towers.waiting(sqlite_url) == (0, 0))
        await bells.until(lambda: len(heard()) == 165)


@pytest.mark.slow
async def test_a_topic_that_nobody_may_write_to_stops_no_other(
    sqlite_url: str, garden: Garden, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to write to one topic, the other's events are delivered; those for it wait,
    none of them dead, and are delivered when the right is given."""
    with private_broker(more=RIGHTS) as broker:
        make_topics(broker.servers, "t.tower", "t.second", partitions=4)
        client = admin(broker.servers)
        for done in client.create_acls([NO_WRITING, READING]).values():
            done.result(20)
        section = {"bootstrap_servers": broker.servers, "topic_prefix": "t"}
        async with two_publishers(sqlite_url, garden, **section) as (bells, second):
            await ring(bells, second, 150)
            for turn in range(3):
                await bells.strike(*range(5))
                assert len(await bells.effects(5 * turn + 5)) == 5 * turn + 5
            assert towers.waiting(sqlite_url) == (150, 0)
            waits = [it for it in caplog.messages if "waits" in it]
            assert ["TopicAuthorizationFailed" in it for it in waits] == [True], waits
            [gone] = client.delete_acls([ALL_OF_IT]).values()
            gone.result(20)
            await bells.until(lambda: len(heard()) == 165)
            assert towers.waiting(sqlite_url) == (0, 0)


RIGHTS = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""
OF_SECOND = (ResourceType.TOPIC, "t.second", ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
NO_WRITING = AclBinding(*OF_SECOND, AclOperation.WRITE, AclPermissionType.DENY)
READING = AclBinding(*OF_SECOND, AclOperation.READ, AclPermissionType.ALLOW)  # and describing
ALL_OF_IT = AclBindingFilter(*OF_SECOND, AclOperation.ANY, AclPermissionType.ANY)
