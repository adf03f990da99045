"""What waits, where, and since when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, case, exists, func, or_, select

from core.events.due import BLOCKED
from core.events.event import module_of
from core.events.pending import RELAYABLE, relayable_in
from core.events.tables import BUCKETS, deliveries, group_types, groups, members, outbox

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from core.db.engine import Database

RELAY = "relay"
"""As a group's name: the events themselves, on their way to the groups."""
_d, _o = deliveries.c, outbox.c
_PENDING = select(func.count(), func.min(_o.created_at)).where(_o.state == "pending")
# `attempts > 0 AND state <> 'published'` is the partial index of the few that were refused.
_REFUSED = select(func.count()).where(_o.attempts > 0, _o.state != "published", _o.state == "dead")
_RELAYABLE = select(_o.available_at).where(*RELAYABLE).order_by(_o.seq).limit(1)
_waiting = case((_d.state == "pending", 1))
_BY_GROUP = (
    select(
        groups.c.name,
        func.count(_waiting),
        func.min(case((_d.state == "pending", _d.seq))),
        func.count(case((_d.state == "dead", 1))),
    )
    .outerjoin_from(groups, deliveries, _d.group_name == groups.c.name)
    .group_by(groups.c.name)
    .order_by(groups.c.name)
)
_earlier = deliveries.alias("earlier")
# What waits behind another is due when that is: a message that was put off, say. Behind a dead
# letter there may be many, and that is asked first, since its index is small.
_waits_behind = or_(
    BLOCKED,
    exists().where(
        _earlier.c.group_name == _d.group_name,
        _earlier.c.aggregate_type == _d.aggregate_type,
        _earlier.c.aggregate_id == _d.aggregate_id,
        _earlier.c.aggregate_version < _d.aggregate_version,
    ),
)
# Of each group the first that is due, which is found at once; the least of all would take seconds
# where hundreds of thousands wait.
_first_due = (
    select(_d.available_at)
    .where(
        _d.group_name == groups.c.name,
        _d.state == "pending",
        _d.available_at <= bindparam("now"),
        ~_waits_behind,
    )
    .order_by(_d.seq)
    .limit(1)
    .scalar_subquery()
)
_DUE = select(groups.c.name, _first_due)
_RECORDED = select(_o.seq, _o.created_at).where(_o.seq.in_(bindparam("seqs", expanding=True)))
_WORKERS = (
    select(members.c.kind, func.count())
    .where(members.c.seen_until > func.now())
    .group_by(members.c.kind)
)


class Lag(NamedTuple):
    """How many messages a group was not given yet, and how many it was, which grows."""

    behind: int
    given: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits somewhere: how many, since when the oldest; `dead` are those given up.

    `due_since` is when the oldest of those became due that wait for nothing but to be done.
    `workers` is how many processes work on it, where that is known (on PostgreSQL); `lag` is how
    many messages on a broker's topics it was not given yet, where there is a broker that answers.
    """

    name: str
    waiting: int
    oldest: datetime | None
    dead: int = 0
    due_since: datetime | None = None
    workers: int | None = None
    lag: int | None = None

    def overdue(self) -> float:
        """For how many seconds the oldest has been due; 0 when nothing is."""
        return _age(self.due_since)

    @property
    def is_deserted(self) -> bool:
        """Whether a broker has messages for it, and no process works on it at all."""
        return bool(self.lag) and self.workers == 0

    def age(self) -> float:
        """Since when the oldest waits, in seconds; 0 when nothing does."""
        return _age(self.oldest)


def _age(moment: datetime | None) -> float:
    return max((datetime.now(UTC) - moment).total_seconds(), 0.0) if moment else 0.0


async def status(database: Database) -> tuple[Backlog, list[Backlog]]:
    """What the relay has yet to publish, and what each group has yet to be given."""
    async with database.reader.connect() as connection:
        now = {"now": datetime.now(UTC)}
        count, since = (await connection.execute(_PENDING)).one()
        dead = (await connection.execute(_REFUSED)).scalar_one()
        relayable = (await connection.execute(_RELAYABLE, relayable_in(range(BUCKETS)))).scalar()
        by_group = (await connection.execute(_BY_GROUP)).all()
        due = _pairs(await connection.execute(_DUE, now))
        recorded = await _recorded(connection, [row[2] for row in by_group if row[2]])
        workers = await _workers(connection, database)
    relay = Backlog(RELAY, count, since, dead, relayable, workers(RELAY))
    return relay, [
        Backlog(name, waiting, recorded.get(first), given_up, due.get(name), workers(name))
        for name, waiting, first, given_up in by_group
    ]


def _pairs(rows: Iterable[Any]) -> dict[Any, Any]:
    return {key: value for key, value in rows}  # noqa: C416 - rows are no pairs to mypy


async def _recorded(connection: AsyncConnection, seqs: Sequence[int]) -> dict[int, datetime]:
    if not seqs:
        return {}
    return _pairs(await connection.execute(_RECORDED, {"seqs": seqs}))


async def _workers(connection: AsyncConnection, database: Database) -> Callable[[str], int | None]:
    """How many processes work on a kind; on SQLite nobody keeps count."""
    if database.dialect == "sqlite":
        return lambda _: None
    found = _pairs(await connection.execute(_WORKERS))
    return lambda kind: found.get(kind, 0)


async def publishers(database: Database) -> dict[str, dict[str, datetime]]:
    """By subscribing module those whose events it is given, and since when."""
    found: dict[str, dict[str, datetime]] = {}
    async with database.reader.connect() as connection:
        query = select(group_types.c.group_name, group_types.c.type, group_types.c.since)
        for group, event_type, since in await connection.execute(query):
            of_group, module = found.setdefault(group, {}), module_of(event_type)
            of_group[module] = min(since, of_group.get(module, since))
    return found


@dataclass(frozen=True, slots=True)
class Stall:
    """A group, or the relay, whose work has been due for too long."""

    name: str
    seconds: float
    waiting: int
    remedy: str


def stalls(
    backlogs: Sequence[Backlog],
    *,
    states: Mapping[str, str],
    after: float,
    broker: bool,
    at_once: bool = False,
) -> list[Stall]:
    """Those whose oldest work has been due for more than `after` seconds.

    `states` are those of the modules: what a disabled one does not get is no stall. `broker` says
    whether there is one that the relay may be waiting for. Since when a group gets nothing from it
    only several looks can tell; whoever looks once has deserted groups named `at_once`.
    """
    return [
        Stall(it.name, it.overdue(), it.waiting, _remedy(it, states.get(it.name), broker=broker))
        for it in backlogs
        if (it.overdue() > after or (at_once and it.is_deserted))
        and (it.name == RELAY or states.get(it.name, "disabled") != "disabled")
    ]


def _remedy(backlog: Backlog, state: str | None, *, broker: bool) -> str:
    """What to do about it."""
    if state == "failed":
        return f"module {backlog.name} has failed: mend it, its events wait"
    if backlog.workers == 0:
        return "no process works on it: start one with the role worker, or all"
    if backlog.name == RELAY and broker:
        return "see whether Kafka answers; the log of a worker says what the relay waits for"
    if backlog.workers is None:
        return (
            "if a process with the role worker, or all, is running, its log says what it waits for "
            '("delivery waits"), or it is too slow; else start one'
        )
    return (
        'the log of a worker says what it waits for ("delivery waits"), or it is too slow: '
        "start more of them"
    )
