"""Forgetting what groups have received, once no broker can bring it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete

from core.errors import Refused
from core.events.backlog import publishers
from core.events.tables import inbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.settings import KafkaSettings

INBOX_DAYS = 7
"""How long the inbox knows at least what a group has received."""


async def prune_inbox(database: Database, kafka: KafkaSettings) -> int:
    """Delete old rows of the inbox, how many: those of messages that are on no topic any more.

    Raises Refused, and deletes nothing, when the broker does not say how long it keeps messages.
    """
    kept = timedelta(days=INBOX_DAYS)
    if kafka.bootstrap_servers:
        kept = max(kept, await _retention(database, kafka))
    if kept == timedelta.max:
        return 0
    async with database.write() as session:
        statement = delete(inbox).where(inbox.c.received_at < datetime.now(UTC) - kept)
        changed: int = (await session.exec(statement)).rowcount
    return changed


async def _retention(database: Database, kafka: KafkaSettings) -> timedelta:
    from core.events.kafka.retention import retention
    from core.events.kafka.trouble import BrokerTrouble

    names = set().union(*(await publishers(database)).values())
    try:
        return await retention(kafka, names)
    except BrokerTrouble as error:
        raise Refused(f"what groups have received is kept: {error}") from error
