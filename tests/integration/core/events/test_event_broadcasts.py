"""Listeners of broadcasts do each other no harm, and are told of all that they listen to."""

from __future__ import annotations

import asyncio
import importlib
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from core.errors import Unavailable
from core.events import hearing
from core.events.bell import Bell
from core.events.broadcast import Broadcaster
from core.events.tables import outbox
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.plants import HEAD, Garden

ANOTHER = (
    HEAD
    + """
from planted_tower.module import Struck

DOES = []  # what to do when it hears of something


@hookimpl
def manifest():
    return Manifest("another", "1.0", requires=("tower",))


async def hear(event, delivery):
    await DOES[0](event)


@hookimpl
def subscriptions():
    return [broadcast(Struck, hear)]
"""
)


@pytest.fixture
async def does(bells: Bells, garden: Garden) -> list[object]:
    """Another module that hears of strokes, before the ledger does; what it is to do then."""
    garden.plant("another", ANOTHER)
    await bells.swap("another", "tower", "ledger")
    modules = [it.module for it in bells.app.generation.events.listeners]
    assert modules == ["another", "ledger"]
    found: list[object] = importlib.import_module("planted_another.module").DOES
    return found


async def test_a_listener_that_is_cancelled_ends_no_broadcasts(
    bells: Bells, does: list[object]
) -> None:
    """One that waits for something that is cancelled has failed; it and the others hear more."""
    heard: list[int] = []

    async def cancelled(event: Any) -> None:
        heard.append(event.bell)
        never = asyncio.get_running_loop().create_future()
        never.cancel()
        await never

    does.append(cancelled)
    await bells.strike(1, 2, 3)
    await bells.until(lambda: len(bells.ledger.HEARD) == len(heard) == 3, seconds=3)
    assert heard == [it[0] for it in bells.ledger.HEARD] == [1, 2, 3]


async def test_a_slow_listener_delays_no_other(bells: Bells, does: list[object]) -> None:
    """While one module's handler takes its time (5 s at most), another hears of all there is."""
    does.append(lambda _: asyncio.sleep(3600))
    await bells.strike(1, 2, 3)
    await bells.until(lambda: len(bells.ledger.HEARD) == 3, seconds=3)


async def test_a_listener_that_swallows_its_cancellation_is_left_behind(
    bells: Bells, does: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its limit it is told of the next broadcast, though its handler has never returned."""
    monkeypatch.setattr(hearing, "HANDLER_SECONDS", 0.2)
    heard: list[int] = []
    over = asyncio.Event()

    async def deaf(event: Any) -> None:
        heard.append(event.bell)
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    does.append(deaf)
    try:
        await bells.strike(1, 2)
        await bells.until(lambda: heard == [1, 2], seconds=5)
    finally:
        over.set()


async def behind(bells: Bells, does: list[object], last: int) -> list[int]:
    """What a listener hears that was busy with the first stroke during all others."""
    heard: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(event: Any) -> None:
        heard.append(event.bell)
        begun.set()
        await go_on.wait()

    does.append(slow)
    await bells.strike(1)
    await begun.wait()
    for bell in range(2, last + 1):
        await bells.strike(bell)
        await bells.until(lambda bell=bell: bell in [it[0] for it in bells.ledger.HEARD])
    go_on.set()
    await bells.until(lambda: last in heard, seconds=3)
    return heard


async def test_a_listener_that_is_behind_hears_of_all(
    bells: Bells, does: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a bound only the numbers of events are kept for it: the rest is read again, a moment
    later when the database is away, and before what comes meanwhile."""
    monkeypatch.setattr(hearing, "MOST_KEPT", 2)
    monkeypatch.setattr(hearing, "BATCH", 3)
    monkeypatch.setattr(hearing, "AGAIN_SECONDS", 0.05)
    rows, away = Broadcaster._rows, [Unavailable("away")]

    async def trouble(self: Broadcaster, seqs: list[int]) -> Any:
        if len(seqs) > 1 and away:
            await bells.strike(10)
            await bells.until(lambda: bells.ledger.HEARD[-1][0] == 10)
            raise away.pop()
        return await rows(self, seqs)

    monkeypatch.setattr(Broadcaster, "_rows", trouble)
    await bells.swap("tower", "ledger")
    await bells.swap("another", "tower", "ledger")  # a broadcaster of which that holds
    heard = await behind(bells, does, 9)
    await bells.until(lambda: len(heard) == 10)
    assert heard == [*range(1, 11)]
    assert away == []


async def test_a_listener_that_is_far_too_slow_misses_the_oldest(
    bells: Bells, does: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it has a bound: of more than that it hears of the newest only."""
    monkeypatch.setattr(hearing, "MOST_KEPT", 0)
    monkeypatch.setattr(hearing, "MOST_WAITING", 2)
    assert await behind(bells, does, 5) == [1, 4, 5]


async def others(bells: Bells, count: int) -> int:
    """Record so many events that nobody listens to; the number of the last."""
    now = datetime.now(UTC)
    row = {
        "type": "other.thing_done.v1",
        "aggregate_type": "other.thing",
        "aggregate_id": "1",
        "bucket": 1,
        "payload": "{}",
        "headers": "{}",
        "state": "published",
        "attempts": 0,
        "created_at": now,
        "available_at": now,
        "published_at": now,
    }
    rows = [{**row, "id": uuid4(), "aggregate_version": it} for it in range(count)]
    async with bells.database.writer.begin() as connection:
        await connection.execute(insert(outbox), rows)
        newest: int = (await connection.execute(select(func.max(outbox.c.seq)))).scalar_one()
    return newest


async def test_what_nobody_listens_to_is_passed_by_once(bells: Bells) -> None:
    """A look begins behind the newest number of the last one, whatever types there were: else each
    would go through all of a busy outbox in which nothing is listened to."""
    from sqlalchemy import event

    plan = bells.app.generation.events
    broadcaster = Broadcaster(
        plan.listeners,
        catalog=plan.catalog,
        contexts=bells.app.generation.contexts,
        database=bells.database,
        bell=Bell(),
    )
    await broadcaster.begin()
    newest = await others(bells, 100)
    assert await broadcaster.look() == 0
    asked: list[Any] = []
    engine = bells.database.reader.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *it: asked.append(it[2:4]))
    assert [await broadcaster.look() for _ in range(3)] == [0, 0, 0]  # one of them backwards
    looks = [values for statement, values in asked if "max(core_outbox.seq)" in statement]
    assert any(newest in values for values in looks)


async def test_a_lower_number_than_one_nobody_listens_to_may_commit_later(bells: Bells) -> None:
    """What was passed by is not lost: the look backwards finds what commits behind it."""
    if bells.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer: numbers are given in the order of commits")
    await bells.strike(1)
    async with bells.database.write() as slow:
        await towers.take_number(slow, bells.tower.Struck(bell=2, count=1))
        await others(bells, 10)
        await bells.strike(3)
        await bells.until(lambda: len(bells.ledger.HEARD) == 2)
        await asyncio.sleep(1)
    await bells.until(lambda: len(bells.ledger.HEARD) == 3, seconds=3)
    assert [it[0] for it in bells.ledger.HEARD] == [1, 3, 2]
