"""Whether the broker answers, for readiness: asked on a connection of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.conn import collect_hosts, create_conn

from core.events.kafka.client import options
from core.events.kafka.trouble import AWAY, BrokerTrouble, trouble

if TYPE_CHECKING:
    from core.settings import KafkaSettings

ANSWER_SECONDS = 1.5


async def ping(settings: KafkaSettings) -> None:
    """Connect with the bootstrap servers, sign in, and go; one that answers is enough.

    Raises BrokerTrouble when none does within 1.5 s, with what the first of them said.
    """
    told = options(settings) | {"request_timeout_ms": int(ANSWER_SECONDS * 1000)}
    hosts = collect_hosts(told.pop("bootstrap_servers"), randomize=False)
    del told["retry_backoff_ms"]
    asked = [_answers(host, port, told) for host, port, _ in hosts]
    said = await asyncio.gather(*asked)
    if all(said):
        raise next(filter(None, said))


async def _answers(host: str, port: int, told: dict[str, object]) -> BrokerTrouble | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await create_conn(host, port, **told)
    except AWAY as error:
        return trouble(error, doing=f"asking {host}:{port}")
    connection.close()
    return None
