"""How far the groups are behind what lies on their topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from core.events.backlog import Lag
from core.events.kafka.client import group_of, options, topic_of
from core.events.kafka.consumer import stop
from core.events.kafka.intake import CLOCKS_DIFFER
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


class NotGiven(NamedTuple):
    """How many messages a group was not given, and whether there may have been more.

    `unsure` it is where no place of the group is known (it never had one, or the broker forgot it
    since it was away for long) on a partition from which retention has taken something.
    """

    messages: int
    unsure: bool


async def not_given(
    settings: KafkaSettings, modules: Mapping[str, Mapping[str, datetime]], *, before: datetime
) -> dict[str, NotGiven]:
    """By subscribing module what it has yet to be given of the messages from before that moment.

    `modules` says of each whose events it is given, and since when: what was there earlier is none
    of its affair. What retention has taken behind a group's place counts too: it can come from the
    outbox alone. Raises BrokerTrouble.
    """
    try:
        async with asyncio.timeout(settings.send_seconds), _broker(settings) as (admin, client):
            there = await _there(admin, settings, modules)
            first = await client.beginning_offsets(there)
            last = await _offsets_at(client, dict.fromkeys(there, before))
            return {
                module: _not_given(
                    first,
                    last,
                    await _committed(admin, settings, module),
                    await _offsets_at(client, _moments(settings, there, publishers)),
                )
                for module, publishers in modules.items()
            }
    except AWAY as error:
        raise trouble(error, doing="asking what the groups were given") from error


def _not_given(first: Offsets, last: Offsets, committed: Offsets, since: Offsets) -> NotGiven:
    """`since` has the first offset that is the group's affair, for each partition that it reads."""
    begin = {tp: committed.get(tp, since[tp]) for tp in since}
    lost = (tp not in committed and 0 < first[tp] >= since[tp] for tp in since)
    return NotGiven(sum(max(last[tp] - begin[tp], 0) for tp in since), any(lost))


def _moments(
    settings: KafkaSettings,
    partitions: Iterable[TopicPartition],
    publishers: Mapping[str, datetime],
) -> dict[TopicPartition, datetime]:
    by_topic = {topic_of(settings, it): since for it, since in publishers.items()}
    mine = [tp for tp in partitions if tp.topic in by_topic]
    return {tp: by_topic[tp.topic] - CLOCKS_DIFFER for tp in mine}


async def _asked(settings: KafkaSettings, modules: Mapping[str, Collection[str]]) -> dict[str, Lag]:
    async with _broker(settings) as (admin, client):
        there = await _there(admin, settings, modules)
        first, last = await client.beginning_offsets(there), await client.end_offsets(there)
        found = {}
        for module, publishers in modules.items():
            mine = {topic_of(settings, it) for it in publishers}
            partitions = [tp for tp in there if tp.topic in mine]
            committed = await _committed(admin, settings, module)
            behind = _behind(partitions, committed, first, last)
            found[module] = Lag(behind, sum(committed.get(tp, 0) for tp in partitions))
        return found


@asynccontextmanager
async def _broker(
    settings: KafkaSettings,
) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    """Two clients, for what each alone can ask.

    What a transaction has put there that is not committed yet is nobody's to be given.
    """
    admin = AIOKafkaAdminClient(**options(settings))
    client = AIOKafkaConsumer(isolation_level="read_committed", **options(settings))
    try:
        await admin.start()
        await client.start()
        yield admin, client
    finally:
        await stop(client)
        await admin.close()


async def _committed(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, module: str
) -> dict[TopicPartition, int]:
    given = await admin.list_consumer_group_offsets(group_of(settings, module))
    return {tp: at.offset for tp, at in given.items() if at.offset >= 0}


def _behind(
    partitions: Iterable[TopicPartition], committed: Offsets, first: Offsets, last: Offsets
) -> int:
    """Where nothing was committed, or retention has passed it, all that is there is to come."""
    return sum(max(last[tp] - max(committed.get(tp, 0), first[tp]), 0) for tp in partitions)


async def _there(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, modules: Mapping[str, Collection[str]]
) -> list[TopicPartition]:
    """The partitions of those topics that there are."""
    names = {topic_of(settings, it) for publishers in modules.values() for it in publishers}
    topics = sorted(names.intersection(await admin.list_topics()))
    described = await admin.describe_topics(topics) if topics else []
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]


async def _offsets_at(
    client: AIOKafkaConsumer, moments: Mapping[TopicPartition, datetime]
) -> dict[TopicPartition, int]:
    """The first offset that is not from before that moment; the next one where all is."""
    if not moments:
        return {}
    # From before 1970 there is nothing, and Kafka takes no such moment.
    asked = {tp: max(int(moment.timestamp() * 1000), 0) for tp, moment in moments.items()}
    found = await client.offsets_for_times(asked)
    ends: dict[TopicPartition, int] = await client.end_offsets(list(moments))
    return {tp: found[tp].offset if found.get(tp) else end for tp, end in ends.items()}
