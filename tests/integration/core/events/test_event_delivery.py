"""What was recorded reaches each subscriber once and in order, whatever goes wrong in between.

One suite for every way that events can go: embedded on both databases, and through Kafka.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from core.app import Tessera
from core.errors import Refused
from core.events.backlog import status
from core.events.operations import discard, failed, prune, replay, retry
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.tower import query


@pytest.fixture
def bells(all_ways: Bells) -> Bells:
    """A tower and its ledger, each way once."""
    return all_ways


async def test_each_event_has_one_effect_and_those_of_a_key_are_in_order(bells: Any) -> None:
    """Fifty strokes on ten bells are fifty lines, each bell's in the order of its strokes."""
    await asyncio.gather(*(bells.strike(*[bell] * 5) for bell in range(10)))
    effects = await bells.effects(50)
    assert len(effects) == 50
    assert towers.in_order(effects)


async def test_what_is_rolled_back_was_never_said(bells: Any) -> None:
    """An event of a transaction or of a savepoint that failed is not published; others are."""
    with pytest.raises(ZeroDivisionError):
        async with bells.database.write() as session:
            await bells.tower.strike(session, 1)
            raise ZeroDivisionError
    async with bells.database.write() as session:
        with pytest.raises(ZeroDivisionError):
            async with session.begin_nested():
                async with session.begin_nested():
                    await bells.tower.strike(session, 2)
                raise ZeroDivisionError
        async with session.begin_nested():
            await bells.tower.strike(session, 3)
    assert await bells.effects(1) == [(3, 1)]


async def test_several_events_of_one_transaction_cost_one_statement(bells: Any) -> None:
    """Ten strokes in one transaction are ten events in their order, and one INSERT."""
    statements: list[str] = []
    from sqlalchemy import event

    engine = bells.database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *it: statements.append(it[2]))
    async with bells.database.write() as session:
        for _ in range(10):
            await bells.tower.strike(session, 7)
    outbox = [it for it in statements if it.startswith("INSERT INTO core_outbox")]
    assert len(outbox) == 1
    assert await bells.effects(10) == [(7, count) for count in range(1, 11)]


async def test_an_aggregate_without_a_version_is_counted(bells: Any) -> None:
    """Without a version of the module's own, events have the next ones of their aggregate."""
    from core.plugin import record

    for _ in range(2):
        async with bells.database.write() as session:
            for count in (1, 2):
                record(session, bells.tower.Struck(bell=5, count=count))
    rows = query(bells.url, "SELECT aggregate_version FROM core_outbox ORDER BY seq")
    assert [row[0] for row in rows] == [1, 2, 3, 4]
    assert len(await bells.effects(4)) == 4


async def test_a_lower_number_that_commits_later_is_not_missed(bells: Any) -> None:
    """An event whose number was given before others' but whose commit comes after is delivered."""
    if bells.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer: numbers are given in the order of commits")
    async with bells.database.write() as slow:
        first = bells.tower.Struck(bell=1, count=1)
        await towers.take_number(slow, first)
        await bells.strike(2, 2)
        assert await bells.effects(2) == [(2, 1), (2, 2)]
    assert await bells.effects(3) == [(2, 1), (2, 2), (1, 1)]


async def test_a_dead_letter_parks_its_key_only(bells: Any) -> None:
    """After five tries, which are five calls, a message is dead with its reason; later ones of its
    key wait, others flow; a retry after the fix gives one effect each, in order."""
    calls = bells.goes_wrong(1, ValueError("the ink is dry"))
    await bells.strike(1, 2, 1, 2, 1)
    [letter] = await bells.dead(1)
    assert (letter.group, letter.attempts, letter.behind, len(calls)) == ("ledger", 5, 2, 5)
    assert letter.reason == "ValueError: the ink is dry"
    assert letter.type == "tower.bell_struck.v1"
    assert await bells.effects(2) == [(2, 1), (2, 2)]
    bells.ledger.BAD.clear()
    assert await bells.effects(2) == [(2, 1), (2, 2)]  # nobody said retry
    assert await retry(bells.database, "ledger", [letter.number]) == 1
    assert await bells.effects(5) == [(2, 1), (2, 2), (1, 1), (1, 2), (1, 3)]
    assert await failed(bells.database) == []


async def test_a_discarded_letter_lets_the_next_go_on(bells: Any) -> None:
    """Discarding gives up the dead message alone; what waited behind it is delivered."""
    bells.goes_wrong(1, ValueError("never"))
    await bells.strike(1, 1)
    await bells.dead(1)
    bells.ledger.BAD.clear()
    assert await discard(bells.database, "ledger", None) == 1
    assert await bells.effects(1) == [(1, 2)]
    with pytest.raises(Refused, match="no group 'nobody'"):
        await discard(bells.database, "nobody", None)


async def test_a_server_that_is_away_is_no_fault_of_the_message(bells: Any) -> None:
    """A handler that meets Unavailable is tried for ever, more than five times, and never dead."""
    met = bells.is_unavailable(1)
    await bells.strike(1, 2)
    await bells.until(lambda: len(met) > 6)
    assert await failed(bells.database) == []
    bells.ledger.BAD.clear()
    assert sorted(await bells.effects(2)) == [(1, 1), (2, 1)]


async def test_a_handler_that_never_returns_is_ended(way: Any, garden: Any) -> None:
    """It is cancelled at its time limit, counted as a failure and rolled back; others flow."""
    url, sections = way
    _, ledger = towers.plant(garden, outside=False)
    limits = {**towers.QUICK, "handler_seconds": 0.1, "tries": 2}
    app = app_for(url, "tower", "ledger", events=limits, **sections)
    await app.start()
    try:
        from tests.integration.core.events.conftest import Bells

        tower = __import__("planted_tower.module").module
        bells = Bells(app, url, tower, ledger)
        ledger.BAD[1] = lambda: asyncio.sleep(3600)
        await bells.strike(1, 2)
        [letter] = await bells.dead(1)
        assert letter.reason == "TimeoutError: write did not return within 0.1 s"
        assert await bells.effects(1) == [(2, 1)]
    finally:
        await app.stop()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "payload = '{\"bell\": 1'",
            "Undecodable: tower.bell_struck.v1: the payload: Invalid JSON",
        ),
        ("payload = '{\"bell\": 1}'", "Undecodable: tower.bell_struck.v1: count: Field required"),
    ],
)
async def test_what_cannot_be_read_is_a_dead_letter(bells: Any, change: str, reason: str) -> None:
    """A broken payload, or one of a wrong schema, dies with a reason; other keys flow."""
    if "kafka" in bells.sections:
        pytest.skip("what is on a topic nobody changes: test_kafka_delivery puts broken ones there")
    await bells.swap("tower")
    await bells.strike(1, 2)
    async with bells.database.write() as session:
        await session.exec(text(f"UPDATE core_outbox SET {change} WHERE aggregate_id = '1'"))
    await bells.swap("tower", "ledger")
    [letter] = await bells.dead(1)
    assert letter.reason.startswith(reason)
    assert await bells.effects(1) == [(2, 1)]


async def test_a_disabled_modules_events_wait_for_it(bells: Any) -> None:
    """What happened while a subscriber was off it is given once it is back: all, in order."""
    await bells.strike(1)
    assert await bells.effects(1) == [(1, 1)]
    await bells.swap("tower")
    await asyncio.gather(*(bells.strike(*[bell] * 10) for bell in range(2, 6)))
    await asyncio.sleep(0.3)
    assert towers.lines(bells.url) == [(1, 1)]
    _, [group] = await status(bells.database)
    on_kafka = "kafka" in bells.sections  # what waits on the broker, the broker knows
    assert (group.name, group.waiting) == ("ledger", 0 if on_kafka else 40)
    await bells.swap("tower", "ledger")
    effects = await bells.effects(41)
    assert len(effects) == 41
    assert towers.in_order(effects)


async def test_a_swap_under_fire_loses_and_doubles_nothing(bells: Any) -> None:
    """Generations replace each other while events come; each has one effect, in order."""
    striking = asyncio.gather(*(bells.strike(*[bell] * 20) for bell in range(4)))
    for _ in range(3):
        await bells.swap("tower", "ledger")
    await striking
    effects = await bells.effects(80)
    assert len(effects) == 80
    assert towers.in_order(effects)


async def test_a_replay_rebuilds_the_projection(bells: Any) -> None:
    """The module's projection is emptied and built again, the same as before."""
    await bells.strike(1, 2, 1)
    before = sorted(await bells.effects(3))
    [plan] = bells.app.generation.events.groups
    assert await replay(bells.database, plan) == 3
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert sorted(towers.lines(bells.url)) == before


async def test_what_was_pruned_cannot_be_replayed(bells: Any) -> None:
    """Old events go once every group has had them; a replay of that time is refused and says so."""
    from datetime import UTC, datetime, timedelta

    bells.goes_wrong(2, ValueError("no"))
    await bells.strike(1, 2)
    await bells.dead(1)
    moment = datetime.now(UTC) + timedelta(seconds=1)
    assert await prune(bells.database, before=moment) == 1
    assert query(bells.url, "SELECT aggregate_id FROM core_outbox") == [("2",)]
    [plan] = bells.app.generation.events.groups
    with pytest.raises(Refused, match="were pruned"):
        await replay(bells.database, plan)
    assert towers.lines(bells.url) == [(1, 1)]


async def test_two_processes_share_the_work(bells: Any) -> None:
    """Two applications on one database deliver each event once and in order; on PostgreSQL each
    comes to hold half of the buckets."""
    second: Tessera = app_for(bells.url, "tower", "ledger", **bells.sections)
    await second.start()
    try:
        if bells.database.dialect == "postgresql":
            assert bells.app.resources is not None
            assert second.resources is not None
            apps = [bells.app.resources.events.leases, second.resources.events.leases]
            await bells.until(lambda: [len(it.held("ledger")) for it in apps] == [8, 8])
        await asyncio.gather(*(bells.strike(*[bell] * 10) for bell in range(8)))
        effects = await bells.effects(80)
    finally:
        await second.stop()
    assert len(effects) == 80
    assert towers.in_order(effects)
