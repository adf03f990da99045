"""What `events prune` may delete where retention has taken what lay on the topics."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import TopicPartition
from sqlalchemy import insert, select

from core.errors import Refused
from core.events.pruning import refuse_what_is_not_given
from core.events.tables import group_types, groups, inbox
from core.settings import KafkaSettings, Settings
from core.settings_models import MOST_DAYS
from tests.integration.core.events.conftest import Bells
from tests.support.kafka import admin

pytestmark = pytest.mark.kafka


@pytest.fixture
async def struck(kafka_bells: Bells) -> Bells:
    """Twelve strokes were delivered."""
    await kafka_bells.strike(*range(12))
    await kafka_bells.effects(12)
    return kafka_bells


async def empty(bells: Bells) -> None:
    """Take all messages from the topic, as retention does."""
    section = bells.sections["kafka"]
    topic = f"{section['topic_prefix']}.tower"
    client = admin(section["bootstrap_servers"])
    ends = [TopicPartition(topic, number, -1) for number in range(4)]  # as far as they go
    for done in client.delete_records(ends).values():
        await asyncio.to_thread(done.result, 20)


async def enrol(bells: Bells, *, since: datetime) -> None:
    """A group for the strokes that no process serves; it has no place on the topic."""
    async with bells.database.write() as session:
        await session.exec(insert(groups).values(name="absent", created_at=since))
        told = {"type": "tower.bell_struck.v1", "group_name": "absent", "since": since}
        await session.exec(insert(group_types).values(**told, version="1.0"))


async def may_prune(bells: Bells, *, days: int = 0) -> None:
    """Raises Refused."""
    kafka: KafkaSettings = Settings.for_tests(kafka=bells.sections["kafka"]).kafka
    before = datetime.now(UTC) - timedelta(days=days)
    await refuse_what_is_not_given(bells.database, kafka, before=before)


@pytest.mark.parametrize("emptied", [True, False])
async def test_what_was_there_before_a_group_does_not_count(struck: Bells, emptied: bool) -> None:
    """A group that is registered now keeps nothing of what was recorded before it, whether it still
    lies on the topic or not; what comes from now on it keeps."""
    if emptied:
        await empty(struck)
    await enrol(struck, since=datetime.now(UTC) + timedelta(seconds=10))  # clocks may differ so far
    await may_prune(struck)
    await struck.strike(1)
    await struck.effects(13)
    with pytest.raises(Refused, match=r"not given to absent \(1\) yet"):
        await may_prune(struck)


async def test_what_retention_took_before_a_group_had_it_counts(struck: Bells) -> None:
    """Of a group without a place on an emptied topic its notes say what it was given: while there
    are none nothing may be deleted, and when there are all of them it may."""
    await enrol(struck, since=datetime.now(UTC) - timedelta(hours=1))
    await empty(struck)
    with pytest.raises(Refused, match=r"not given to absent \(12\) yet"):
        await may_prune(struck)
    async with struck.database.write() as session:
        had = (await session.exec(select(inbox.c.event_id, inbox.c.received_at))).all()
        rows = [{"group_name": "absent", "event_id": it[0], "received_at": it[1]} for it in had]
        await session.exec(insert(inbox), params=rows)
    await may_prune(struck)


async def test_events_may_be_kept_for_as_long_as_settings_allow(struck: Bells) -> None:
    """From before a moment that Kafka has no number for, nothing is on a topic."""
    await enrol(struck, since=datetime.now(UTC) - timedelta(hours=1))
    await may_prune(struck, days=MOST_DAYS)
    with pytest.raises(Refused, match=r"not given to absent \(12\) yet"):
        await may_prune(struck)
