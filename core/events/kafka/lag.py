"""How far the groups are behind what lies on their topics."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from core.events.backlog import Lag
from core.events.kafka.client import group_of, options, topic_of
from core.events.kafka.consumer import stop
from core.events.kafka.trouble import AWAY, trouble

if TYPE_CHECKING:
    from core.settings import KafkaSettings

Offsets = Mapping[TopicPartition, int]


async def lag(settings: KafkaSettings, modules: Mapping[str, Collection[str]]) -> dict[str, Lag]:
    """By subscribing module how far it has come on its topics.

    `modules` says of each to whose events it subscribes: ``{"ledger": {"tower"}}``. Messages that
    are none of its affair count until it has passed them by. Raises BrokerTrouble.
    """
    try:
        async with asyncio.timeout(settings.send_seconds):
            return await _asked(settings, modules)
    except AWAY as error:
        raise trouble(error, doing="asking for the lag of the groups") from error


async def not_given(
    settings: KafkaSettings, modules: Mapping[str, Collection[str]], *, before: datetime
) -> dict[str, int]:
    """By subscribing module how many messages from before that moment it was not given yet.

    What retention has taken meanwhile counts too: it can come from the outbox alone. Raises
    BrokerTrouble.
    """
    try:
        async with asyncio.timeout(settings.send_seconds):
            found = await _asked(settings, modules, before=before)
    except AWAY as error:
        raise trouble(error, doing="asking what the groups were given") from error
    return {module: it.behind for module, it in found.items()}


async def _asked(
    settings: KafkaSettings,
    modules: Mapping[str, Collection[str]],
    *,
    before: datetime | None = None,
) -> dict[str, Lag]:
    topics = {topic_of(settings, it) for publishers in modules.values() for it in publishers}
    admin = AIOKafkaAdminClient(**options(settings))
    try:
        await admin.start()
        there = topics.intersection(await admin.list_topics())
        first, last = await _ends(settings, await _partitions(admin, there), before)
        found = {}
        for module, publishers in modules.items():
            mine = {topic_of(settings, it) for it in publishers}
            partitions = [tp for tp in last if tp.topic in mine]
            given = await admin.list_consumer_group_offsets(group_of(settings, module))
            committed = {tp: at.offset for tp, at in given.items() if at.offset >= 0}
            behind = _behind(partitions, committed, first, last)
            found[module] = Lag(behind, sum(committed.get(tp, 0) for tp in partitions))
        return found
    finally:
        await admin.close()


def _behind(
    partitions: Iterable[TopicPartition], committed: Offsets, first: Offsets, last: Offsets
) -> int:
    """Where nothing was committed, or retention has passed it, all that is there is to come."""
    return sum(max(last[tp] - max(committed.get(tp, 0), first[tp]), 0) for tp in partitions)


async def _partitions(admin: AIOKafkaAdminClient, topics: Collection[str]) -> list[TopicPartition]:
    described = await admin.describe_topics(list(topics)) if topics else []
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]


async def _ends(
    settings: KafkaSettings, partitions: list[TopicPartition], before: datetime | None
) -> tuple[Offsets, Offsets]:
    """The first and the next offset of each partition; with `before`, of what was there then."""
    # What a transaction has put there that is not committed yet is nobody's to be given.
    client = AIOKafkaConsumer(isolation_level="read_committed", **options(settings))
    try:
        await client.start()
        last = await client.end_offsets(partitions)
        if before is None or not partitions:
            return await client.beginning_offsets(partitions), last
        moment = int(before.timestamp() * 1000)
        since = await client.offsets_for_times(dict.fromkeys(partitions, moment))
        later = {tp: found.offset for tp, found in since.items() if found is not None}
        return dict.fromkeys(partitions, 0), {**last, **later}
    finally:
        await stop(client)
