"""A publisher and a subscriber to plant: a tower whose bells are struck, and a ledger of it.

The ledger has no unique constraint, so that an effect that is doubled shows.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from core.db.session import WritableSession
from core.events.event import Event
from core.events.recording import Recorder, payload_of
from tests.support import rows
from tests.support.migrating import REVISION
from tests.support.plants import HEAD, Garden

TOWER = (
    HEAD
    + '''
from sqlalchemy import text


class Struck(Event, type="tower.bell_struck.v1", aggregate="bell", key="bell"):
    """A bell was struck."""

    bell: int
    count: int


@hookimpl
def manifest():
    return Manifest("tower", "1.0")


@hookimpl
def events():
    return [Struck]


@hookimpl
def migrations():
    return "planted_tower:migrations"


async def strike(session, bell):
    """One stroke more, counted under the lock of the bell's row."""
    counted = text(
        "INSERT INTO tower_bells (id, strokes) VALUES (:bell, 1) "
        "ON CONFLICT (id) DO UPDATE SET strokes = tower_bells.strokes + 1 RETURNING strokes"
    )
    count = (await session.exec(counted, params={"bell": bell})).scalar_one()
    record(session, Struck(bell=bell, count=count), version=count)
    return count


@hookimpl
def routers(version):
    routes = APIRouter(prefix="/tower", tags=["tower"])

    @routes.post("/{bell}", status_code=201, dependencies=[public])
    async def post(bell: int, session: WriteSession) -> dict[str, int]:
        return {"bell": bell, "count": await strike(session, bell)}

    return [routes]
'''
)
BELLS = (
    'op.create_table("tower_bells", sa.Column("id", sa.BigInteger(), primary_key=True, '
    'autoincrement=False), sa.Column("strokes", sa.BigInteger(), nullable=False))'
)

LEDGER = (
    HEAD
    + """
import asyncio
from sqlalchemy import text
from planted_tower.module import Struck

BAD = {}  # by bell: what to do instead of writing
HEARD = []  # what was broadcast to this process
SENT = []  # what left the house


async def write(session, event, delivery):
    trouble = BAD.get(event.bell)
    if trouble is not None:
        await trouble()
    line = "INSERT INTO ledger_lines (bell, count, event_id) VALUES (:bell, :count, :event_id)"
    values = {"bell": event.bell, "count": event.count, "event_id": str(delivery.event_id)}
    await session.exec(text(line), params=values)


async def hear(event, delivery):
    HEARD.append((event.bell, event.count, delivery.traceparent))


async def send(event, delivery):
    if event.bell >= 100:
        SENT.append((event.bell, event.count, delivery.effect_id, delivery.attempt))
        trouble = BAD.get(event.bell)
        if trouble is not None:
            await trouble()


async def reset(session):
    await session.exec(text("DELETE FROM ledger_lines"))


@hookimpl
def manifest():
    return Manifest("ledger", "1.0", requires=("tower",))


@hookimpl
def subscriptions():
    return [
        on(Struck, write),
        on(Struck, send, transaction=False),
        broadcast(Struck, hear),
        on_replay(reset),
    ]


@hookimpl
def migrations():
    return "planted_ledger:migrations"
"""
)
LINES = (
    'op.create_table("ledger_lines", sa.Column("id", sa.Integer(), primary_key=True), '
    'sa.Column("bell", sa.BigInteger()), sa.Column("count", sa.BigInteger()), '
    'sa.Column("event_id", sa.String(36)))'
)
QUICK = {"poll_seconds": 0.1, "backoff_seconds": 0.02, "lease_seconds": 1.0}
"""Settings of events under which a test need not wait."""


OUTSIDE = "        on(Struck, send, transaction=False),\n"
"""What makes a consumer on Kafka leave every message to the embedded one."""


def plant(garden: Garden, *, outside: bool = True) -> tuple[Any, Any]:
    """Both modules, as Python modules; without `outside` the ledger only writes and hears."""
    assert OUTSIDE in LEDGER
    ledger = LEDGER if outside else LEDGER.replace(OUTSIDE, "")
    for name, source, table in (("tower", TOWER, BELLS), ("ledger", ledger, LINES)):
        package = garden.plant(name, source)
        revision = REVISION.format(
            number="0001", before="None", upgrade=f"    {table}", downgrade="    pass"
        )
        garden.file(package, "migrations/0001_first.py", revision)
    return (
        importlib.import_module("planted_tower.module"),
        importlib.import_module("planted_ledger.module"),
    )


async def take_number(session: WritableSession, event: Event, *, version: int = 1) -> None:
    """Write an event now; its session may commit long after those with higher numbers."""
    connection = await session.connection()
    await connection.run_sync(Recorder().write, [(event, version, payload_of(event))])


def query(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """`rows.query`, where a loop may be running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(rows.query, database_url, statement).result()


def lines(database_url: str) -> list[tuple[int, int]]:
    """(bell, count) of each effect, in the order in which they were written."""
    found = query(database_url, "SELECT bell, count FROM ledger_lines ORDER BY id")
    return [(bell, count) for bell, count in found]


def in_order(effects: Sequence[tuple[int, int]]) -> bool:
    """Whether each bell's strokes are 1, 2, 3 … without a gap or a double."""
    by_bell: dict[int, list[int]] = {}
    for bell, count in effects:
        by_bell.setdefault(bell, []).append(count)
    return all(counts == list(range(1, len(counts) + 1)) for counts in by_bell.values())


def waiting(database_url: str) -> tuple[int, int]:
    """(events not yet published, deliveries not yet made)."""
    [(events,)] = query(database_url, "SELECT count(*) FROM core_outbox WHERE state = 'pending'")
    [(made,)] = query(database_url, "SELECT count(*) FROM core_deliveries")
    return events, made


def wait_until_calm(database_url: str, *, seconds: float = 60) -> None:
    """Until nothing waits any more."""
    deadline = time.monotonic() + seconds
    while waiting(database_url) != (0, 0):
        assert time.monotonic() < deadline, f"still waiting: {waiting(database_url)}"
        time.sleep(0.1)
