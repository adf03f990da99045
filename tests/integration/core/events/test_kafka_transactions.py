"""A stranger's transaction on a topic: its marks are no messages, nor is what it takes back."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer

from core.events.kafka.lag import lag
from core.events.pruning import refuse_what_is_not_given
from core.settings import KafkaSettings, Settings

pytestmark = pytest.mark.kafka


def put_in_transactions(section: dict[str, Any]) -> None:
    """Two transactions on four partitions each: from bell 10, committed; from bell 20, aborted."""
    name = f"{section['topic_prefix']}-{uuid.uuid4().hex}"
    told = {"bootstrap.servers": section["bootstrap_servers"], "transactional.id": name}
    producer = Producer(told)
    producer.init_transactions(20)
    for first, end in ((10, producer.commit_transaction), (20, producer.abort_transaction)):
        producer.begin_transaction()
        for partition in range(4):
            put(producer, section, bell=first + partition, partition=partition)
        producer.flush(20)
        end(20)


def put(producer: Producer, section: dict[str, Any], *, bell: int, partition: int) -> None:
    """The first stroke of that bell, as a stranger tells it."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": "/erp",
        "ce_type": "tower.bell_struck.v1",
        "ce_subject": str(bell),
    }
    topic, data = f"{section['topic_prefix']}.tower", f'{{"bell": {bell}, "count": 1}}'
    producer.produce(topic, data, partition=partition, headers=[*headers.items()])


async def caught_up(settings: KafkaSettings) -> None:
    """Until the ledger is behind by nothing."""
    async with asyncio.timeout(20):
        while (await lag(settings, {"ledger": {"tower"}}))["ledger"].behind:
            await asyncio.sleep(0.1)


async def test_a_strangers_transaction_is_taken_when_committed_and_leaves_no_lag(
    kafka_bells: Any,
) -> None:
    """What was committed has its effect and what was aborted none; the group is then behind by
    nothing, so that it does not stall and pruning is not refused; also after a new start."""
    bells = kafka_bells
    section = bells.sections["kafka"]
    settings = Settings.for_tests(kafka=section).kafka
    await bells.strike(1)
    await bells.effects(1)
    await asyncio.to_thread(put_in_transactions, section)
    await bells.strike(2)
    expected = [(bell, 1) for bell in (1, 2, 10, 11, 12, 13)]
    assert sorted(await bells.effects(6)) == expected
    await caught_up(settings)
    await refuse_what_is_not_given(bells.database, settings, before=datetime.now(UTC))
    await bells.swap("tower")
    await bells.swap("tower", "ledger")
    await bells.strike(3)
    assert sorted(await bells.effects(7)) == sorted([*expected, (3, 1)])
    await caught_up(settings)
