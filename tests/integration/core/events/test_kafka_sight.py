"""What can be seen of events that travel through Kafka, and what may be forgotten of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert

from core.errors import Refused
from core.events import lookout
from core.events.pruning import prune_inbox
from core.events.tables import inbox
from core.settings import Settings
from tests.integration.core.events.test_event_sight import get, seen
from tests.support import tower as towers
from tests.support.kafka import make_topics

pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the next look."""
    monkeypatch.setattr(lookout, "FRESH_SECONDS", 0.05)
    monkeypatch.setattr(lookout, "LAG_FRESH_SECONDS", 0.05)


async def lag(bells: Any, expected: int) -> None:
    """Until /metrics tells of this lag."""
    async with asyncio.timeout(30):
        while (await seen(bells.app)).get("tessera_events_lag{ledger}") != expected:
            await asyncio.sleep(0.1)


async def test_the_lag_of_a_group_is_told(kafka_bells: Any) -> None:
    """What lies on the topic and a group was not given is its lag, until the group has it."""
    bells = kafka_bells
    await bells.strike(1, 2)
    assert len(await bells.effects(2)) == 2
    await lag(bells, 0)
    found = await seen(bells.app)
    assert found["tessera_events_published_total"] == 2
    assert found["tessera_events_delivered_total{ledger}"] == 2
    await bells.swap("tower")  # its group stays behind
    await bells.strike(1, 2, 3)
    await lag(bells, 3)
    await bells.swap("tower", "ledger")
    assert len(await bells.effects(5)) == 5
    await lag(bells, 0)
    answer = await get(bells.app, "/readyz")
    assert answer.json()["events"] == {"status": "ok"}


async def received(bells: Any, *ages: int) -> None:
    """Rows of the inbox that are so many days old."""
    now = datetime.now(UTC)
    rows = [
        {"group_name": "ledger", "event_id": UUID(int=it), "received_at": now - timedelta(days=it)}
        for it in ages
    ]
    async with bells.database.write() as session:
        await session.exec(insert(inbox), params=rows)


DAY = 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("retention", "gone"), [(DAY, 3), (20 * DAY, 2), (60 * DAY, 1), (-1, 0)], ids=str
)
async def test_what_may_still_be_on_a_topic_is_not_forgotten(
    bells: Any, kafka: str, topic_prefix: str, retention: int, gone: int
) -> None:
    """The inbox keeps what it knows for seven days, or for as long as a topic and its segments last
    when that is longer; where a topic keeps all, it keeps all."""
    make_topics(
        kafka, f"{topic_prefix}.tower", retention_ms=str(retention), segment_ms=str(5 * DAY)
    )
    await received(bells, 1, 8, 30, 400)
    settings = Settings.for_tests(kafka={"bootstrap_servers": kafka, "topic_prefix": topic_prefix})
    assert await prune_inbox(bells.database, settings.kafka) == gone
    assert towers.query(bells.url, "SELECT count(*) FROM core_inbox") == [(4 - gone,)]


async def test_nothing_is_forgotten_while_the_broker_does_not_answer(bells: Any) -> None:
    """Without an answer how long messages are kept the inbox is left as it is, and that is told."""
    await received(bells, 400)
    away = {"bootstrap_servers": "127.0.0.1:1", "send_seconds": 1}
    with pytest.raises(Refused, match="what groups have received is kept"):
        await prune_inbox(bells.database, Settings.for_tests(kafka=away).kafka)
    assert towers.query(bells.url, "SELECT count(*) FROM core_inbox") == [(1,)]
