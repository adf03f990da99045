"""What strangers put on a topic takes nothing from those who publish here, nor from each other."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert

from core.events.kafka.cloudevents import STRAY
from core.events.operations import failed, replay, retry
from core.events.recording import bucket_of
from core.events.tables import group_types, outbox
from core.plugin import record
from tests.support import tower as towers
from tests.support.tower import query

pytestmark = pytest.mark.kafka
NOW = datetime.now(UTC)
TWICE = (
    "SELECT count(*) FROM core_outbox GROUP BY aggregate_type, aggregate_id, aggregate_version "
    "HAVING count(*) > 1"
)


async def put(
    bells: Any,
    *,
    bell: int,
    count: int,
    partition: int = 0,
    value: bytes | None = None,
    **more: str,
) -> None:
    """A stranger's message on a partition of its choice; without `ce_sequence` unless given."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid4()),
        "ce_source": "/elsewhere",
        "ce_type": "tower.bell_struck.v1",
        "ce_time": (NOW - timedelta(days=30)).isoformat(),
        "ce_subject": str(bell),
        **more,
    }
    data = json.dumps({"bell": bell, "count": count}).encode() if value is None else value
    await bells.put(data, headers=headers, partition=partition)


async def test_a_strangers_version_stays_free_for_the_publisher(kafka_bells: Any) -> None:
    """A stranger's message that is parked with version 1 of a bell lets the bell be struck a first
    time here: nothing fails, both are delivered once what went wrong is mended."""
    bells = kafka_bells
    bells.goes_wrong(1, ValueError("the ink is dry"))
    await put(bells, bell=1, count=100, ce_sequence="1")
    await bells.dead(1)
    await bells.strike(1, 1)
    found = query(bells.url, "SELECT aggregate_version FROM core_outbox ORDER BY aggregate_version")
    assert [row[0] for row in found][:2] == [1, 2]
    assert found[2][0] > STRAY
    await bells.dead(2)  # both that say they are the first
    await bells.until(lambda: len(_kept(bells)) == 3 and towers.waiting(bells.url) == (0, 3))
    bells.ledger.BAD.clear()
    assert await retry(bells.database, "ledger", None) == 2
    assert sorted(await bells.effects(3)) == [(1, 1), (1, 2), (1, 100)]


async def test_the_same_place_on_two_partitions_is_room_for_both(kafka_bells: Any) -> None:
    """Unreadable messages of one key at the same offset of each partition are dead letters all."""
    bells = kafka_bells
    for partition in range(4):
        await put(bells, bell=1, count=1, partition=partition, value=b"not JSON")
    await put(bells, bell=2, count=1)
    assert await bells.effects(1) == [(2, 1)]
    assert {it.attempts for it in await bells.dead(4)} == {5}
    assert query(bells.url, TWICE) == []
    assert all(version >= STRAY for (version,) in _kept(bells))
    await bells.strike(3)
    assert await bells.effects(2) == [(2, 1), (3, 1)]


async def test_a_strangers_messages_stay_in_their_order(kafka_bells: Any) -> None:
    """Those of one key on one partition wait behind a dead one, and follow it in their order."""
    bells = kafka_bells
    bells.goes_wrong(1, ValueError("the ink is dry"))
    for count in (5, 3, 4):
        await put(bells, bell=1, count=count)
    [letter] = await bells.dead(1)
    await bells.until(lambda: len(_kept(bells)) == 3)
    bells.ledger.BAD.clear()
    assert await retry(bells.database, "ledger", [letter.number]) == 1
    assert await bells.effects(3) == [(1, 5), (1, 3), (1, 4)]
    assert await failed(bells.database) == []


async def test_a_replay_gives_what_strangers_put_there_too(kafka_bells: Any) -> None:
    """A stranger's event that was handled at once lies in no outbox: it is kept for a replay, which
    does it again; what nobody can read stays a dead letter."""
    bells = kafka_bells
    await bells.strike(5)
    await put(bells, bell=7, count=3)
    await put(bells, bell=8, count=1, ce_type="")
    assert sorted(await bells.effects(2)) == [(5, 1), (7, 3)]
    await bells.dead(1)
    [plan] = bells.app.generation.events.groups
    assert await replay(bells.database, plan) == 2
    await bells.until(lambda: towers.waiting(bells.url) == (0, 1))
    assert sorted(await bells.effects(2)) == [(5, 1), (7, 3)]
    assert len(await failed(bells.database)) == 1


async def test_a_type_that_only_a_newer_process_knows_keeps_its_place(kafka_bells: Any) -> None:
    """An event whose type this process does not declare is a dead letter, behind which later ones
    of the same aggregate wait; in a replay by the newer process it comes once."""
    bells = kafka_bells
    await bells.strike(5)
    await bells.effects(1)
    async with bells.database.write() as session:
        await session.exec(insert(group_types).values(NAMED))
        event = {**OF_A_NEWER, "bucket": bucket_of("tower.bell", "1")}
        await session.exec(insert(outbox).values(event))
        record(session, bells.tower.Struck(bell=1, count=2), version=2)
    [letter] = await bells.dead(1)
    await bells.until(lambda: towers.waiting(bells.url) == (0, 2))
    [letter] = await failed(bells.database)
    assert (letter.aggregate, letter.behind) == ("tower.bell/1", 1)
    assert await bells.effects(1) == [(5, 1)]
    [plan] = bells.app.generation.events.groups
    newer = replace(plan, types=plan.types | {"tower.bell_named.v1"})
    assert await replay(bells.database, newer) == 3
    assert query(bells.url, "SELECT id FROM core_outbox GROUP BY id HAVING count(*) > 1") == []


NAMED = {
    "type": "tower.bell_named.v1",
    "group_name": "ledger",
    "since": NOW - timedelta(hours=1),
    "version": "9.9",
}
OF_A_NEWER = {
    "id": uuid4(),
    "type": "tower.bell_named.v1",
    "aggregate_type": "tower.bell",
    "aggregate_id": "1",
    "aggregate_version": 1,
    "payload": '{"bell": 1}',
    "headers": "{}",
    "state": "pending",
    "attempts": 0,
    "created_at": NOW,
    "available_at": NOW,
}


def _kept(bells: Any) -> list[tuple[Any, ...]]:
    wanted = "SELECT aggregate_version FROM core_outbox WHERE aggregate_id = '1' ORDER BY seq"
    return query(bells.url, wanted)
