"""How long the broker keeps messages: as long the inbox must know that they were had."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from core.events.kafka.client import options, topic_of
from core.events.kafka.trouble import AWAY, trouble

if TYPE_CHECKING:
    from core.settings import KafkaSettings

FOR_EVER = timedelta.max


async def retention(settings: KafkaSettings, modules: Collection[str]) -> timedelta:
    """How long a message of these modules' topics may still be there; `FOR_EVER` where none goes.

    A message goes with its segment, which must be closed first: the two times add up. Zero when
    there is no such topic. Raises BrokerTrouble.
    """
    try:
        async with asyncio.timeout(settings.send_seconds):
            return max(await _asked(settings, modules), default=timedelta())
    except AWAY as error:
        raise trouble(error, doing="asking how long topics keep messages") from error


async def _asked(settings: KafkaSettings, modules: Collection[str]) -> list[timedelta]:
    admin = AIOKafkaAdminClient(**options(settings))
    try:
        await admin.start()
        there = set(await admin.list_topics())
        wanted = sorted(there & {topic_of(settings, module) for module in modules})
        if not wanted:
            return []
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted]
        told = await admin.describe_configs(asked)
        return [_kept(configs) for response in told for configs in _configs(response)]
    finally:
        await admin.close()


def _configs(response: Any) -> Iterator[dict[str, str]]:
    """What each topic of an answer is set to."""
    for code, message, _, _, entries in response.resources:
        if code:
            raise TimeoutError(message or f"the broker answers with error {code}")
        yield {entry[0]: entry[1] for entry in entries}


def _kept(configs: dict[str, str]) -> timedelta:
    limit = int(configs.get("retention.ms", -1))
    if limit < 0 or configs.get("cleanup.policy", "delete") != "delete":
        return FOR_EVER
    return timedelta(milliseconds=limit + int(configs.get("segment.ms", 0)))
