"""What goes when a module's tables go: the events that it published, and what core counts for it.

They tell of rows that are no more. The module's ids begin at 1 again and its aggregates at their
first version, and what had the same would stand in the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    exists,
    func,
    inspect,
    literal,
    select,
    text,
    union,
)

from core.events.pruned import note_pruned
from core.events.tables import deliveries, group_types, outbox, versions

_d, _o = deliveries.c, outbox.c
# In the order of the relay: who relays, delivers, replays or prunes is through, or begins later.
_ALONE = text(
    "LOCK TABLE core_pruned_types, core_deliveries, core_outbox IN SHARE ROW EXCLUSIVE MODE"
)


@dataclass(frozen=True, slots=True)
class Leaving:
    """How many events a module has published, and how many of them some group has yet to get."""

    events: int
    waiting: int

    def __str__(self) -> str:
        told = "1 event" if self.events == 1 else f"{self.events} events"
        if not self.waiting:
            return f"{told} that it published"
        return f"{told} that it published, {self.waiting} of which some group was not given yet"


def leaving(connection: Connection, module: str) -> Leaving:
    """What `leave` would delete."""
    if not _is_there(connection):
        return Leaving(0, 0)
    mine = _published_by(module)
    wanted = exists().where(group_types.c.type == _o.type)
    unsent = select(_o.seq).where(mine, _o.state != "published", wanted)
    parked = select(_d.seq).join_from(deliveries, outbox, _o.seq == _d.seq).where(mine)
    waiting = union(unsent, parked).subquery()
    events = select(func.count()).select_from(outbox).where(mine)
    return Leaving(
        connection.execute(events).scalar_one(),
        connection.execute(select(func.count()).select_from(waiting)).scalar_one(),
    )


def leave(connection: Connection, module: str) -> int:
    """Delete the events that a module published, in the connection's transaction; how many.

    Groups keep their places, and what they noted as received, since a broker may bring it once
    more. That the events can no longer be replayed is remembered, as where they are pruned.
    """
    if not _is_there(connection):
        return 0
    if connection.dialect.name == "postgresql":
        connection.execute(_ALONE)
    mine = _published_by(module)
    now = literal(datetime.now(UTC), _o.published_at.type)
    connection.execute(note_pruned(connection.dialect.name, mine, until=now))
    connection.execute(delete(deliveries).where(_d.seq.in_(select(_o.seq).where(mine))))
    connection.execute(delete(versions).where(_begins(versions.c.aggregate_type, module)))
    return connection.execute(delete(outbox).where(mine)).rowcount


def _is_there(connection: Connection) -> bool:
    """Whether core's own migrations have run."""
    return inspect(connection).has_table(outbox.name)


def _published_by(module: str) -> ColumnElement[bool]:
    return _begins(_o.type, module)


def _begins(name: ColumnElement[str], module: str) -> ColumnElement[bool]:
    """Whether a type of event, or of aggregate, is the module's."""
    return name.startswith(f"{module}.", autoescape=True)
