"""A replay beside what goes on at the same moment, and one that takes long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from core.db import engine
from core.db.engine import Database
from core.errors import Unavailable
from core.events.kafka.inbox import Inbox
from core.events.operations import prune, replay
from core.events.pruning import prune_inbox
from core.settings import DatabaseSettings, Settings
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers

SLOWLY = """
    CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(1.2); RETURN NULL; END $$
"""
SLOW = "CREATE TRIGGER slow AFTER {} ON {} FOR EACH STATEMENT EXECUTE FUNCTION slowly()"

HALTED = """
    CREATE FUNCTION halted() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$
"""
HALT = """
    CREATE TRIGGER halt AFTER INSERT ON core_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION halted()
"""
WAITS = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""

LOOKED = """
    SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'core_deliveries'
"""


@pytest.fixture
async def impatient(bells: Bells, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A command's database, in which a statement may take half a second."""
    if bells.database.dialect == "sqlite":
        pytest.skip("a statement has no limit there")
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.1)
    database = Database(DatabaseSettings(url=bells.url, statement_timeout_seconds=0.5))
    try:
        yield database
    finally:
        await database.close()


async def slow_down(bells: Bells, *which: tuple[str, str]) -> None:
    """Let each of these statements take more than a second, as over a million rows."""
    async with bells.database.writer.begin() as connection:
        await connection.execute(text(SLOWLY))
        for what, table in which:
            await connection.execute(text(SLOW.format(what, table)))


async def test_a_replay_gives_what_is_under_way_outside_again(bells: Bells) -> None:
    """A handler outside of transactions that began before the replay, and ends after it, was not
    given the event again: it is, and its effect is there once."""
    in_hand, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        in_hand.set()
        await go_on.wait()

    bells.ledger.BAD[100] = slowly
    await bells.strike(100)
    await in_hand.wait()
    [plan] = bells.app.generation.events.groups
    assert await replay(bells.database, plan) == 1
    go_on.set()
    await bells.until(lambda: len(bells.ledger.SENT) == 2, seconds=5)
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert await bells.effects(1) == [(100, 1)]
    assert [it[3] for it in bells.ledger.SENT] == [1, 1], "both are first attempts"


async def test_a_failure_from_before_a_replay_is_not_counted_after_it(bells: Bells) -> None:
    """A handler that began before the replay, and fails after it, costs what is given again no
    try."""
    in_hand, go_on = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        in_hand.set()
        await go_on.wait()
        bells.ledger.BAD.clear()
        raise ValueError("it took too long")

    bells.ledger.BAD[100] = fail
    await bells.strike(100)
    await in_hand.wait()
    [plan] = bells.app.generation.events.groups
    assert await replay(bells.database, plan) == 1
    go_on.set()
    assert await bells.effects(1) == [(100, 1)]
    assert [it[3] for it in bells.ledger.SENT] == [1, 1], "both are first attempts"


async def test_a_replay_and_a_failure_on_kafka_do_not_wait_for_each_other(
    kafka_bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that begins between the inbox's row of a message that failed and its delivery waits
    for it: neither is the victim of a deadlock."""
    bells, park = kafka_bells, Inbox.park
    in_between, go_on, trouble = asyncio.Event(), asyncio.Event(), list[BaseException]()

    async def slowly(*given: Any) -> None:
        in_between.set()
        await go_on.wait()
        try:
            await park(*given)
        except BaseException as error:
            trouble.append(error)
            raise

    await bells.strike(1)
    await bells.effects(1)
    monkeypatch.setattr(Inbox, "park", slowly)
    bells.goes_wrong(2, ValueError("no"))
    await bells.strike(2)
    await in_between.wait()
    [plan] = bells.app.generation.events.groups
    replaying = asyncio.create_task(replay(bells.database, plan))
    await asyncio.sleep(0.5)  # it waits for a lock, or for SQLite's one writer
    bells.ledger.BAD.clear()
    go_on.set()
    assert await replaying == 2
    assert trouble == []
    assert sorted(await bells.effects(2)) == [(1, 1), (2, 1)]


@pytest.mark.postgres
async def test_what_is_sent_during_a_replay_is_given_once(kafka_bells: Bells) -> None:
    """What is recorded, sent and marked while a replay is between two statements comes from the
    topic, like everything that the replay did not give again."""
    bells = kafka_bells
    if bells.database.dialect == "sqlite":
        pytest.skip("nobody else writes there meanwhile")
    await bells.strike(1, 2)
    await bells.effects(2)
    [plan] = bells.app.generation.events.groups
    async with bells.database.writer.begin() as connection:
        await connection.execute(text(HALTED))
        await connection.execute(text(HALT))
    async with bells.database.writer.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(7)"))
        replaying = asyncio.create_task(replay(bells.database, plan))
        await bells.until(lambda: towers.query(bells.url, WAITS))
        await bells.strike(3)
        await bells.until(lambda: towers.waiting(bells.url)[0] == 0)
        assert not replaying.done()
    assert await replaying == 2
    assert sorted(await bells.effects(3)) == [(1, 1), (2, 1), (3, 1)]


@pytest.mark.postgres
async def test_a_replay_may_take_long(bells: Bells, impatient: Database) -> None:
    """However many events there are: no statement of a replay has a limit."""
    await bells.strike(1, 2)
    await bells.effects(2)
    await slow_down(bells, ("INSERT", "core_deliveries"), ("INSERT", "core_inbox"))
    [plan] = bells.app.generation.events.groups
    assert await replay(impatient, plan) == 2
    assert sorted(await bells.effects(2)) == [(1, 1), (2, 1)]


@pytest.mark.postgres
async def test_after_a_replay_postgresql_plans_for_many_deliveries(bells: Bells) -> None:
    """It has looked at the table anew: no server keeps the plan that it made while few waited."""
    if bells.database.dialect == "sqlite":
        pytest.skip("it keeps no plans")
    await bells.strike(1, 2)
    await bells.effects(2)
    assert towers.query(bells.url, LOOKED) == [(False,)]
    [plan] = bells.app.generation.events.groups
    assert await replay(bells.database, plan) == 2
    await bells.until(lambda: towers.query(bells.url, LOOKED) == [(True,)])
    assert sorted(await bells.effects(2)) == [(1, 1), (2, 1)]


@pytest.mark.postgres
async def test_a_prune_may_take_long(bells: Bells, impatient: Database) -> None:
    """So may pruning, of events and of what groups have received."""
    await bells.strike(1, 2)
    await bells.effects(2)
    await slow_down(bells, ("DELETE", "core_outbox"), ("DELETE", "core_inbox"))
    assert await prune(impatient, before=datetime.now(UTC)) == 2
    assert await prune_inbox(impatient, Settings.for_tests().kafka, anyway=True) == 0


@pytest.mark.postgres
async def test_a_replay_does_not_wait_for_ever(bells: Bells, impatient: Database) -> None:
    """Those who deliver wait behind a replay that waits for one of them: after as long as one
    statement may take it gives up, and has done nothing."""
    await bells.strike(1, 2)
    await bells.effects(2)
    [plan] = bells.app.generation.events.groups
    async with bells.database.writer.begin() as connection:
        await connection.execute(text("LOCK TABLE core_deliveries IN ROW EXCLUSIVE MODE"))
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable, match="too busy"):
                await replay(impatient, plan)
    assert len(await bells.effects(2)) == 2
