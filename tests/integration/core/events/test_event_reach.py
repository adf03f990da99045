"""Handlers outside of a transaction, broadcasts, and the trace that events carry."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest
from sqlalchemy import text

from core.app import Tessera
from core.errors import Unavailable
from core.events.backlog import status
from core.events.operations import discard, failed
from core.tracing import sane
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.plants import HEAD, Garden
from tests.support.tower import query


async def test_what_leaves_the_house_is_done_again_with_the_same_id(bells: Any) -> None:
    """A handler without a transaction that fails is called again, and its effect id stays."""
    failures = iter([OSError("the line is down")])

    async def once() -> None:
        for failure in failures:
            raise failure

    bells.ledger.BAD[100] = once
    await bells.strike(100)
    await bells.until(lambda: len(bells.ledger.SENT) >= 2 and towers.waiting(bells.url) == (0, 0))
    assert [it[:2] for it in bells.ledger.SENT] == [(100, 1), (100, 1)]
    assert [it[3] for it in bells.ledger.SENT] == [1, 2]
    assert len({it[2] for it in bells.ledger.SENT}) == 1
    assert towers.lines(bells.url) == [(100, 1)], "the handler in the transaction came after it"


async def test_no_transaction_is_open_while_something_leaves_the_house(bells: Any) -> None:
    """While such a handler waits for the world, others write: on SQLite there is one writer."""
    wrote = asyncio.Event()

    async def write_meanwhile() -> None:
        async with asyncio.timeout(3):
            await bells.strike(1)
        wrote.set()

    bells.ledger.BAD[101] = write_meanwhile
    await bells.strike(101)
    async with asyncio.timeout(10):
        await wrote.wait()
    bells.ledger.BAD.clear()
    await bells.effects(2)


async def test_every_process_hears_a_broadcast(bells: Any) -> None:
    """Two applications on one database both hear of a stroke within a second of its commit."""
    other = app_for(bells.url, "tower", "ledger", events=towers.QUICK, server={"role": "api"})
    await other.start()
    try:
        await bells.strike(7)
        async with asyncio.timeout(1):
            while len(bells.ledger.HEARD) < 2:
                await asyncio.sleep(0.01)
        assert [it[:2] for it in bells.ledger.HEARD] == [(7, 1), (7, 1)]
        await asyncio.sleep(1)
        assert len(bells.ledger.HEARD) == 2, "each process is told once"
    finally:
        await other.stop()


async def test_a_broadcast_tells_only_of_what_comes(bells: Any) -> None:
    """What was committed before a process began is not told to it."""
    await bells.strike(1, 2, 3)
    await bells.effects(3)
    bells.ledger.HEARD.clear()
    other = app_for(bells.url, "tower", "ledger", events=towers.QUICK, server={"role": "api"})
    await other.start()
    try:
        await asyncio.sleep(1.2)
        assert bells.ledger.HEARD == []
    finally:
        await other.stop()


async def test_a_broadcast_hears_of_a_lower_number_that_commits_later(bells: Any) -> None:
    """Of two events, the one whose number was given first but which commits last is told too."""
    if bells.database.dialect == "sqlite":
        await bells.strike(1, 2)
        await bells.until(lambda: len(bells.ledger.HEARD) == 2)
        return
    async with bells.database.write() as slow:
        await towers.take_number(slow, bells.tower.Struck(bell=1, count=1))
        await bells.strike(2)
        await bells.until(lambda: len(bells.ledger.HEARD) == 1)
    await bells.until(lambda: len(bells.ledger.HEARD) == 2, seconds=3)
    assert [it[:2] for it in bells.ledger.HEARD] == [(2, 1), (1, 1)]


async def test_the_trace_of_a_request_is_that_of_its_events(bells: Any) -> None:
    """A traceparent that a caller sends lies with the event and reaches the handlers."""
    from httpx2 import ASGITransport, AsyncClient

    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    app: Tessera = bells.app
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        answered = await client.post("/v1/tower/5", headers={"traceparent": given})
        assert answered.status_code == 201
        await client.post("/v1/tower/6", headers={"traceparent": "00-zz"})
    await bells.until(lambda: len(bells.ledger.HEARD) == 2)
    traces = {bell: trace for bell, _, trace in bells.ledger.HEARD}
    assert traces[5] == given
    assert sane(traces[6]), "a malformed one is replaced"
    kept = query(bells.url, "SELECT headers FROM core_outbox ORDER BY seq")
    assert given in kept[0][0]


async def test_events_behind_one_that_a_broker_refused_wait(bells: Any) -> None:
    """The relay passes by the later events of an aggregate whose earlier one is given up."""
    async with bells.database.write() as session:
        await bells.tower.strike(session, 1)
        await bells.tower.strike(session, 1)
        await bells.tower.strike(session, 2)
        await session.exec(text("SELECT 1"))
    await bells.effects(3)
    refused = text(
        "UPDATE core_outbox SET state = CASE aggregate_version WHEN 1 THEN 'dead' ELSE 'pending' "
        "END, attempts = CASE aggregate_version WHEN 1 THEN 5 ELSE 0 END, "
        "last_error = 'too large' WHERE aggregate_id = '1'"
    )
    async with bells.database.writer.begin() as connection:
        await connection.execute(refused)
    await asyncio.sleep(0.5)
    assert len(towers.lines(bells.url)) == 3
    [letter] = await failed(bells.database, "relay")
    assert (letter.group, letter.reason, letter.behind) == ("relay", "too large", 1)
    relay, _ = await status(bells.database)
    assert (relay.waiting, relay.dead) == (1, 1)
    assert await discard(bells.database, "relay", None) == 1
    assert len(await bells.effects(4)) == 4, "what waited behind it goes on"


COUNTER = (
    HEAD
    + """
from planted_tower.module import Struck

SEEN = []


@hookimpl
def manifest():
    return Manifest("counter", "1.0", requires=("tower",))


async def count(session, event, delivery):
    SEEN.append(event.bell)
    if event.bell == 50:
        raise ValueError("this one cannot be done")


@hookimpl
def subscriptions():
    return [on(Struck, count)]
"""
)


async def test_messages_that_never_failed_share_a_transaction(
    database_url: str, garden: Garden
) -> None:
    """A hundred deliveries take far fewer transactions, and one that fails hurts no other."""
    from sqlalchemy import event

    tower, _ = towers.plant(garden)
    garden.plant("counter", COUNTER)
    app = app_for(database_url, "tower", "counter", events=towers.QUICK)
    await app.start()
    try:
        assert app.resources is not None
        database = app.resources.database
        taken: list[str] = []
        engine = database.writer.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *it: taken.append(it[2]))
        async with database.write() as session:
            for bell in range(100):
                await tower.strike(session, bell)
        async with asyncio.timeout(20):
            while not (letters := await failed(database)):
                await asyncio.sleep(0.02)
        seen = importlib.import_module("planted_counter.module").SEEN
    finally:
        await app.stop()
    assert [letter.aggregate for letter in letters] == ["tower.bell/50"]
    assert towers.query(database_url, "SELECT count(*) FROM core_deliveries") == [(1,)]
    assert set(seen) == set(range(100))
    assert seen.count(50) == 5, "it was tried as often as is set, and no more"
    assert len([it for it in taken if it.startswith("DELETE FROM core_deliveries")]) < 60


async def test_a_server_that_is_away_is_told_of_once(
    bells: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty messages that wait for one server are one line in the log, and one at its return."""
    away = [True]

    async def trouble() -> None:
        if away:
            raise Unavailable("the mail server is away")

    for bell in range(100, 120):
        bells.ledger.BAD[bell] = trouble
    await bells.strike(*range(100, 120))
    await asyncio.sleep(1)
    away.clear()
    await bells.effects(20)
    told = [record.getMessage() for record in caplog.records]
    assert len([it for it in told if "delivery waits" in it]) == 1
    assert len([it for it in told if "delivery goes on" in it]) == 1
