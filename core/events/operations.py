"""What whoever runs a deployment does with events: look, try again, discard, replay, prune."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, func, literal, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import Refused, Unavailable
from core.events.backlog import RELAY
from core.events.event import module_of
from core.events.pruned import note_pruned
from core.events.tables import deliveries, group_types, groups, inbox, outbox, pruned_types

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.db.session import WritableSession
    from core.events.groups import GroupPlan

_d, _o = deliveries.c, outbox.c
_ALONE = text("LOCK TABLE core_inbox, core_deliveries IN SHARE ROW EXCLUSIVE MODE")
"""In the order of the hand-over from Kafka, which writes its inbox first."""
_NO_OTHER = text("LOCK TABLE core_pruned_types IN SHARE ROW EXCLUSIVE MODE")
"""Taken by whoever prunes and whoever replays: what one reads the other must not delete."""

_ANALYZE = text("ANALYZE core_deliveries")


@dataclass(frozen=True, slots=True)
class Failed:
    """A dead letter; `behind` are later events of its aggregate, which wait for it."""

    group: str
    number: int
    event_id: UUID
    type: str
    aggregate: str
    attempts: int
    reason: str
    recorded_at: datetime
    behind: int


async def failed(database: Database, group: str | None = None) -> list[Failed]:
    """The dead letters, of all groups or of one, the oldest first; `RELAY` is one of them.

    Raises Refused for a group that there is not.
    """
    if group not in (None, RELAY):
        await _refuse_stranger(database, group)
    wanted = [_dead_deliveries(group)] if group != RELAY else []
    wanted += [_refused_events()] if group in (None, RELAY) else []
    async with database.reader.connect() as connection:
        found = [Failed(*tuple(row)) for it in wanted for row in await connection.execute(it)]
    return sorted(found, key=lambda it: it.number)


def _refused_events() -> Any:
    """What a broker refused to take until the relay gave it up."""
    later = outbox.alias("later")
    behind = (
        select(func.count())
        .where(
            later.c.aggregate_type == _o.aggregate_type,
            later.c.aggregate_id == _o.aggregate_id,
            later.c.aggregate_version > _o.aggregate_version,
            later.c.state == "pending",
        )
        .scalar_subquery()
    )
    return select(
        literal(RELAY),
        _o.seq,
        _o.id,
        _o.type,
        _o.aggregate_type + "/" + _o.aggregate_id,
        _o.attempts,
        func.coalesce(_o.last_error, ""),
        _o.created_at,
        behind,
    ).where(_o.attempts > 0, _o.state != "published", _o.state == "dead")


def _dead_deliveries(group: str | None) -> Any:
    later = deliveries.alias("later")
    behind = (
        select(func.count())
        .where(
            later.c.group_name == _d.group_name,
            later.c.aggregate_type == _d.aggregate_type,
            later.c.aggregate_id == _d.aggregate_id,
            later.c.aggregate_version > _d.aggregate_version,
        )
        .scalar_subquery()
    )
    aggregate = _d.aggregate_type + "/" + _d.aggregate_id
    query = (
        select(
            _d.group_name,
            _d.seq,
            _o.id,
            _o.type,
            aggregate,
            _d.attempts,
            func.coalesce(_d.last_error, ""),
            _o.created_at,
            behind,
        )
        .join_from(deliveries, outbox, _o.seq == _d.seq)
        .where(_d.state == "dead")
        .order_by(_d.seq)
    )
    return query if group is None else query.where(_d.group_name == group)


async def retry(database: Database, group: str, numbers: Sequence[int] | None) -> int:
    """Try dead letters again from the first attempt, all of the group or these; how many."""
    anew = {"state": "pending", "attempts": 0, "available_at": datetime.now(UTC)}
    if group == RELAY:
        return await _change_refused(database, update(outbox).values(anew), numbers)
    return await _change_dead(database, update(deliveries).values(anew), group, numbers)


async def discard(database: Database, group: str, numbers: Sequence[int] | None) -> int:
    """Give dead letters up for ever, all of the group or these; later events go on. How many."""
    if group == RELAY:
        return await _change_refused(database, delete(outbox), numbers)
    return await _change_dead(database, delete(deliveries), group, numbers)


async def _change_refused(database: Database, statement: Any, numbers: Sequence[int] | None) -> int:
    statement = statement.where(_o.attempts > 0, _o.state != "published", _o.state == "dead")
    if numbers is not None:
        statement = statement.where(_o.seq.in_(numbers))
    async with database.write() as session:
        changed: int = (await session.exec(statement)).rowcount
    return changed


async def _change_dead(
    database: Database, statement: Any, group: str, numbers: Sequence[int] | None
) -> int:
    await _refuse_stranger(database, group)
    statement = statement.where(_d.group_name == group, _d.state == "dead")
    if numbers is not None:
        statement = statement.where(_d.seq.in_(numbers))
    async with database.write() as session:
        changed: int = (await session.exec(statement)).rowcount
    return changed


async def replay(database: Database, group: GroupPlan, *, since: datetime | None = None) -> int:
    """Let a group have its events again, all of them or those recorded since; how many.

    From the start the module's projection is emptied first, in the same transaction. Raises
    Refused for a module that does not allow it, and when events of that time were pruned.
    """
    if group.replayable is None:
        raise Refused(f"{group.name} has no on_replay(): what it does cannot be done twice")
    async with database.write_at_length() as session:
        await _alone(session, _NO_OTHER)
        await _refuse_unreadable(session, group)
        await _refuse_pruned(session, group, since)
        # No delivery may be under way: its effect would come after the reset, and again.
        await _alone(session, _ALONE)
        await session.exec(_forget(group, since))
        if since is None:
            await group.replayable.reset(session)
        changed: int = (await session.exec(_again(database, group, since))).rowcount
        await session.exec(_received(database, group))
    await _plan_anew(database)
    return changed


async def _plan_anew(database: Database) -> None:
    """Let PostgreSQL see how many deliveries there are now; servers keep no plan made for few.

    It would see by itself, but only after a minute or more, and until then each look for what is
    due may take hundreds of times as long. Nothing depends on it: a user who is not the table's
    owner may not, of which PostgreSQL only warns, and the replay is done in any case.
    """
    if database.dialect == "postgresql":
        with suppress(Unavailable):
            async with database.write_at_length() as session:
                await (await session.connection()).execute(_ANALYZE)


async def _alone(session: WritableSession, lock: Any) -> None:
    """Until the transaction ends; on SQLite nobody else writes anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.exec(lock)


async def _refuse_unreadable(session: WritableSession, group: GroupPlan) -> None:
    """While a publisher is off that alone can read old versions, they would be left out."""
    query = select(group_types.c.type).where(group_types.c.group_name == group.name)
    known: set[str] = set((await session.exec(query)).scalars())  # type: ignore[call-overload]
    lost = sorted(it for it in known - group.types if module_of(it) in group.away)
    if lost:
        raise Refused(
            f"{', '.join(sorted(set(map(module_of, lost))))} is not enabled, and only "
            f"it can read {', '.join(lost)}: enable it, then replay"
        )


async def _refuse_pruned(
    session: WritableSession, group: GroupPlan, since: datetime | None
) -> None:
    query = select(func.max(pruned_types.c.until)).where(pruned_types.c.type.in_(group.types))
    until = (await session.exec(query)).scalar()  # type: ignore[call-overload]
    if until is not None and (since is None or since < until):
        told = until + timedelta(microseconds=999_999)  # so that the moment told is not before it
        raise Refused(
            f"events of {group.name} from before {told:%Y-%m-%dT%H:%M:%SZ} were pruned; "
            "replay --since that moment, what came before stays as it is"
        )


def _forget(group: GroupPlan, since: datetime | None) -> Any:
    """Take out what is still to be delivered of that time: it comes again with the rest.

    What nobody can read stays a dead letter: its type is none of the group's.
    """
    again = select(_o.seq).where(_o.type.in_(sorted(group.types)))
    if since is not None:
        again = again.where(_o.created_at >= since)
    return delete(deliveries).where(_d.group_name == group.name, _d.seq.in_(again))


def _again(database: Database, group: GroupPlan, since: datetime | None) -> Any:
    columns = [_o.seq, _o.aggregate_type, _o.aggregate_id, _o.aggregate_version, _o.bucket]
    now = literal(datetime.now(UTC), _d.available_at.type)
    # What a broker delivered and its relay has not noted yet was given, too. The row in the inbox
    # stays, so that it is passed by when it comes again.
    given = exists().where(inbox.c.group_name == group.name, inbox.c.event_id == _o.id)
    wanted = select(literal(group.name), *columns, literal("pending"), literal(0), now).where(
        or_(_o.state == "published", given), _o.type.in_(sorted(group.types))
    )
    if since is not None:
        wanted = wanted.where(_o.created_at >= since)
    names = ["group_name", *(it.name for it in columns), "state", "attempts", "available_at"]
    dialect = postgresql if database.dialect == "postgresql" else sqlite
    return dialect.insert(deliveries).from_select(names, wanted).on_conflict_do_nothing()


def _received(database: Database, group: GroupPlan) -> Any:
    """What is given here is not to be taken from a broker too, should it still lie there.

    That is what has a delivery, not what is published by now: the relay on Kafka marks events
    meanwhile, and `_again` has not seen those. So each event comes once: what was sent and not
    marked when `_again` looked comes from the topic. If the group was given it before, it has a
    delivery, like all that was marked, and is passed by on the topic, given there or not.
    """
    now = literal(datetime.now(UTC), inbox.c.received_at.type)
    wanted = select(literal(group.name), _o.id, now).join_from(deliveries, outbox, _o.seq == _d.seq)
    dialect = postgresql if database.dialect == "postgresql" else sqlite
    names = ["group_name", "event_id", "received_at"]
    mine = wanted.where(_d.group_name == group.name)
    return dialect.insert(inbox).from_select(names, mine).on_conflict_do_nothing()


async def prune(database: Database, *, before: datetime) -> int:
    """Delete events that were published before that moment and that every group has had.

    What can no longer be replayed in full is remembered by type. How many were deleted.
    """
    waiting = exists().where(_d.seq == _o.seq)
    gone = (_o.state == "published", _o.published_at < bindparam("before"), ~waiting)
    until = literal(before, _o.published_at.type)
    noted = note_pruned(database.dialect, *gone, until=until)
    async with database.write_at_length() as session:
        await _alone(session, _NO_OTHER)
        await session.exec(noted, params={"before": before})
        deleted = await session.exec(delete(outbox).where(*gone), params={"before": before})
        changed: int = deleted.rowcount
    return changed


async def is_group(database: Database, name: str) -> bool:
    """Whether a module of that id subscribes, or ever did."""
    async with database.reader.connect() as connection:
        query = select(groups.c.name).where(groups.c.name == name)
        return (await connection.execute(query)).first() is not None


async def _refuse_stranger(database: Database, name: str) -> None:
    if not await is_group(database, name):
        raise Refused(f"there is no group {name!r}: `events status` lists them")
