"""Forgetting what groups have received, once no broker can bring it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, select

from core.errors import Refused
from core.events.backlog import publishers
from core.events.tables import group_types, inbox, outbox

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.settings import KafkaSettings

INBOX_DAYS = 7
"""How long the inbox knows at least what a group has received."""


async def refuse_what_is_not_given(
    database: Database, kafka: KafkaSettings, *, before: datetime
) -> None:
    """Raises Refused while a group was not given all messages from before that moment.

    A module that is off for longer than the topics keep messages has them from the outbox alone.
    Where the broker knows too little of a group (see NotGiven), its notes in the inbox say more.
    Without a broker what a group has yet to be given are rows, which pruning leaves alone anyway.
    """
    if not kafka.bootstrap_servers:
        return
    from core.events.kafka.lag import not_given
    from core.events.kafka.trouble import BrokerTrouble

    try:
        found = await not_given(kafka, await publishers(database), before=before)
    except BrokerTrouble as error:
        raise Refused(f"nothing was deleted: {error}") from error
    waiting = {group: it.messages for group, it in found.items()}
    for group in [group for group, it in found.items() if it.unsure]:
        waiting[group] = max(waiting[group], await _not_noted(database, group, before=before))
    if late := ", ".join(f"{group} ({count})" for group, count in waiting.items() if count):
        raise Refused(
            f"nothing was deleted: messages of that time were not given to {late} yet; let it "
            "catch up (is the module off?), keep more --days, or delete them --anyway"
        )


async def _not_noted(database: Database, group: str, *, before: datetime) -> int:
    """How many events of its affair would be deleted that it has not noted as received."""
    noted = exists().where(inbox.c.group_name == group, inbox.c.event_id == outbox.c.id)
    wanted = (
        select(func.count())
        .join_from(outbox, group_types, outbox.c.type == group_types.c.type)
        .where(
            group_types.c.group_name == group,
            outbox.c.created_at >= group_types.c.since,
            outbox.c.state == "published",
            outbox.c.published_at < before,
            ~noted,
        )
    )
    async with database.reader.connect() as connection:
        count: int = (await connection.execute(wanted)).scalar_one()
    return count


async def prune_inbox(database: Database, kafka: KafkaSettings, *, anyway: bool = False) -> int:
    """Delete old rows of the inbox, how many: those of messages that are on no topic any more.

    Without a broker nobody can say what lies on its topics, and once it is put back all of that
    comes again: all rows are kept, unless `anyway`. Raises Refused, and deletes nothing, when the
    broker does not say how long it keeps messages.
    """
    kept = timedelta(days=INBOX_DAYS)
    if kafka.bootstrap_servers:
        kept = max(kept, await _retention(database, kafka))
    elif not anyway:
        return 0
    if kept == timedelta.max:
        return 0
    async with database.write_at_length() as session:
        statement = delete(inbox).where(inbox.c.received_at < datetime.now(UTC) - kept)
        changed: int = (await session.exec(statement)).rowcount
    return changed


async def kept_for_a_broker(database: Database, kafka: KafkaSettings) -> int:
    """How many old rows of the inbox are there only because a broker may be put back."""
    if kafka.bootstrap_servers:
        return 0
    old = inbox.c.received_at < datetime.now(UTC) - timedelta(days=INBOX_DAYS)
    async with database.reader.connect() as connection:
        found = await connection.execute(select(func.count()).select_from(inbox).where(old))
        count: int = found.scalar_one()
    return count


async def _retention(database: Database, kafka: KafkaSettings) -> timedelta:
    from core.events.kafka.retention import retention
    from core.events.kafka.trouble import BrokerTrouble

    names = set().union(*(await publishers(database)).values())
    try:
        return await retention(kafka, names)
    except BrokerTrouble as error:
        raise Refused(f"what groups have received is kept: {error}") from error
