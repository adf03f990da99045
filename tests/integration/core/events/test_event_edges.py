"""Where moments, clocks and numbers do not agree: nothing is lost or out of order for it."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from sqlalchemy import text

import core.events.recording as recording
from core.cli.events import _utc
from core.errors import Refused
from core.events.catalog import EventCatalog
from core.events.consumer import Consumer
from core.events.event import Event
from core.events.groups import register
from core.events.handling import Handling
from core.events.operations import discard, prune, replay, retry
from core.events.recording import record
from core.events.subscription import on_replay
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers

AGED = text("UPDATE core_outbox SET created_at = :at, published_at = :at")


class Ahead(datetime):
    """The clock of a machine that is two seconds ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + timedelta(seconds=2)


async def test_a_clock_that_is_ahead_changes_no_order(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two events of one aggregate, recorded by machines whose clocks differ, come in order."""
    monkeypatch.setattr(recording, "datetime", Ahead)
    await bells.strike(1)
    monkeypatch.setattr(recording, "datetime", datetime)
    await bells.strike(1)
    assert await bells.effects(2) == [(1, 1), (1, 2)]


async def test_one_slow_message_parts_the_others_for_a_while_only(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a transaction that took too long, messages come to share one again."""
    if bells.database.dialect == "sqlite":
        pytest.skip("a handler that slow fails there: its transaction has a limit")
    monkeypatch.setattr(Handling, "goes_outside", lambda *_: False)
    shared: list[int] = []
    learn = Consumer._learn

    def noted(self: Consumer, count: int, seconds: float) -> None:
        learn(self, count, seconds)
        shared.append(self._together)

    monkeypatch.setattr(Consumer, "_learn", noted)
    bells.ledger.BAD[1] = lambda: asyncio.sleep(1.2)
    await strike_together(bells, range(1, 41))
    await bells.effects(40)
    bells.ledger.BAD.clear()
    assert min(shared) <= 2
    shared.clear()
    await strike_together(bells, range(100, 300))
    await bells.effects(240)
    assert max(shared) >= 4


async def test_a_long_row_of_one_aggregate_is_not_too_long(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many messages of one key, each quick and all of them too slow for one transaction, come in
    order, a few at a time."""
    monkeypatch.setattr(Handling, "goes_outside", lambda *_: False)
    bells.ledger.BAD[1] = lambda: asyncio.sleep(0.05)
    async with bells.database.write() as session:
        for _ in range(40):
            await bells.tower.strike(session, 1)
    assert await bells.effects(40) == [(1, count) for count in range(1, 41)]


async def strike_together(bells: Bells, which: range) -> None:
    """All in one transaction."""
    async with bells.database.write() as session:
        for bell in which:
            await bells.tower.strike(session, bell)


async def aged(bells: Bells, days: int) -> datetime:
    """Let all that was recorded be so old; since when."""
    at = datetime.now(UTC) - timedelta(days=days)
    async with bells.database.write() as session:
        await session.exec(AGED, params={"at": at})
    return at


async def test_what_was_pruned_is_not_forgotten_by_pruning_less(bells: Bells) -> None:
    """Pruning again, up to an earlier moment, does not let an incomplete replay through."""
    [plan] = bells.app.generation.events.groups
    bells.goes_wrong(2, ValueError("no"))
    await bells.strike(1, 2)
    await bells.dead(1)
    await bells.effects(1)
    pruned = await aged(bells, days=2)
    now = datetime.now(UTC)
    assert await prune(bells.database, before=now - timedelta(days=1)) == 1
    assert await discard(bells.database, "ledger", None) == 1
    await aged(bells, days=4)
    assert await prune(bells.database, before=now - timedelta(days=3)) == 1
    with pytest.raises(Refused, match="were pruned"):
        await replay(bells.database, plan, since=pruned - timedelta(hours=1))


async def test_the_moment_that_a_refusal_names_is_late_enough(bells: Bells) -> None:
    """`replay --since` with the moment that the refusal told is not refused."""
    [plan] = bells.app.generation.events.groups
    await bells.strike(1)
    await bells.effects(1)
    await prune(bells.database, before=datetime.now(UTC))
    with pytest.raises(Refused) as refused:
        await replay(bells.database, plan)
    told = str(refused.value).partition("from before ")[2].partition(" ")[0]
    assert await replay(bells.database, plan, since=datetime.fromisoformat(told)) == 0


@pytest.mark.parametrize("given", ["2026-11-25T06:00:00", "2026-11-25T08:00:00+02:00"])
def test_the_offset_of_a_moment_counts(given: str) -> None:
    """A moment with an offset is that moment; without one it is in UTC."""
    assert _utc(datetime.fromisoformat(given)) == datetime(2026, 11, 25, 6, tzinfo=UTC)


class Odd(BaseException):
    """No Exception, as a library's own cancellation may be."""


async def test_what_is_no_exception_counts_like_one(all_ways: Bells) -> None:
    """A handler that raises a BaseException fails its message and no other, and loses none."""
    await raises_no_exception(all_ways)


async def test_what_is_no_exception_counts_beside_others(outside_ways: Bells) -> None:
    """So it does in a group that has a handler outside of transactions, too."""
    await raises_no_exception(outside_ways)


async def raises_no_exception(bells: Bells) -> None:
    """Five tries, a dead letter, the others flow, and a retry brings what waited."""
    bells.goes_wrong(1, Odd("no"))
    await bells.strike(1, 1, *range(10, 30))
    [letter] = await bells.dead(1)
    assert (letter.attempts, letter.behind) == (5, 1)
    assert letter.reason.endswith("Odd: no")
    assert len(await bells.effects(20)) == 20
    bells.ledger.BAD.clear()
    assert await retry(bells.database, "ledger", None) == 1
    assert (await bells.effects(22))[20:] == [(1, 1), (1, 2)]


async def test_what_an_upcaster_raises_counts_too(
    all_ways: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A BaseException out of reading an event fails its message and no other, and loses none."""
    bells, lift = all_ways, EventCatalog.lift

    def broken(self: EventCatalog, event: Any, subscribed: Any) -> Any:
        if event.bell == 1:
            raise Odd("no")
        return lift(self, event, subscribed)

    monkeypatch.setattr(EventCatalog, "lift", broken)
    await bells.strike(1, 1, *range(10, 30))
    [letter] = await bells.dead(1)
    assert (letter.attempts, letter.reason) == (5, "RuntimeError: Odd: no")
    assert len(await bells.effects(20)) == 20
    monkeypatch.setattr(EventCatalog, "lift", lift)
    assert await retry(bells.database, "ledger", None) == 1
    assert (await bells.effects(22))[20:] == [(1, 1), (1, 2)]


async def test_pruning_waits_for_a_replay(bells: Bells) -> None:
    """What a replay is about to give again is not deleted under it."""
    [plan] = bells.app.generation.events.groups
    await bells.strike(1, 2, 3)
    before = sorted(await bells.effects(3))
    emptied, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(session: Any) -> None:
        await bells.ledger.reset(session)
        emptied.set()
        await go_on.wait()

    slow = dataclasses.replace(plan, replayable=on_replay(slowly))
    replaying = asyncio.create_task(replay(bells.database, slow))
    await emptied.wait()
    pruning = asyncio.create_task(prune(bells.database, before=datetime.now(UTC)))
    await asyncio.sleep(0.5)
    go_on.set()
    assert await replaying == 3
    await pruning
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert sorted(towers.lines(bells.url)) == before


async def test_an_older_process_takes_no_type_from_a_newer(bells: Bells) -> None:
    """While versions replace each other, an old process that starts anew leaves the group what the
    new version wants; the new one itself, and one that is as old, may take a type away."""
    plan = bells.app.generation.events
    [old] = plan.groups
    added = old.types | {"tower.bell_named.v1"}

    async def registered(version: str, types: frozenset[str]) -> set[str]:
        group = dataclasses.replace(old, version=version, types=types)
        async with bells.database.write() as session:
            await register(session, dataclasses.replace(plan, groups=(group,)))
        return {row[0] for row in towers.query(bells.url, "SELECT type FROM core_group_types")}

    assert await registered("1.10", added) == added
    assert await registered("1.9", old.types) == added
    assert await registered("1.10", old.types) == old.types
    assert await registered("1.10", added) == added
    assert await registered("1.11", old.types) == old.types


class Named(Event, type="tower.bell_named.v1", aggregate="bell", key="bell"):
    """Its key is text."""

    bell: str


async def test_a_key_that_is_too_long_is_refused_where_it_is_recorded(bells: Bells) -> None:
    """Both databases refuse it alike, in words that name the event and its key."""
    async with bells.database.write() as session:
        record(session, Named(bell="b" * 64))
        with pytest.raises(ValueError, match=r"Named: its key bell=b+… has 65 characters"):
            record(session, Named(bell="b" * 65))


async def test_an_empty_key_is_refused_where_it_is_recorded(bells: Bells) -> None:
    """No header of a message can tell of an aggregate without a name."""
    async with bells.database.write() as session:
        with pytest.raises(ValueError, match="Named: its key bell= is empty"):
            record(session, Named(bell=""))


class Cast(Event, type="tower.bell_cast.v1", aggregate="bell", key="bell"):
    """Its bell may have no number, or a strange name."""

    bell: int | str | None = None


async def test_a_key_that_is_none_is_refused_where_it_is_recorded(bells: Bells) -> None:
    """It is not the aggregate "None", which would hold all of them, in one order; a text may be."""
    async with bells.database.write() as session:
        with pytest.raises(ValueError, match="Cast: its key bell is None, which names no"):
            record(session, Cast())
        record(session, Cast(bell="None"))
        record(session, Cast(bell=0))


async def test_a_version_below_nought_is_refused_where_it_is_recorded(bells: Bells) -> None:
    """No order begins there, and a broker's messages have none."""
    async with bells.database.write() as session:
        with pytest.raises(ValueError, match="Named: its version is -1"):
            record(session, Named(bell="a"), version=-1)


class Tuned(Event, type="tower.bell_tuned.v1", aggregate="bell", key="bell"):
    """It has numbers in several places."""

    bell: int
    pitch: float | None = None
    partials: tuple[dict[str, float], ...] = ()


@pytest.mark.parametrize("pitch", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_that_json_lacks_is_refused_where_it_is_recorded(
    bells: Bells, pitch: float
) -> None:
    """It would be written as null: nobody could read that, or it would be read as None."""
    async with bells.database.write() as session:
        record(session, Tuned(bell=1, pitch=None, partials=({"octave": 880.0},)))
        with pytest.raises(ValueError, match="Tuned: pitch=.*JSON has neither NaN nor infinity"):
            record(session, Tuned(bell=1, pitch=pitch))
        with pytest.raises(ValueError, match="Tuned: partials="):
            record(session, Tuned(bell=1, partials=({"octave": 880.0}, {"fifth": pitch})))


async def test_a_version_may_be_nought(bells: Bells) -> None:
    """An aggregate whose versions begin with 0 keeps its order."""
    async with bells.database.write() as session:
        for count in range(3):
            record(session, bells.tower.Struck(bell=1, count=count), version=count)
    assert await bells.effects(3) == [(1, 0), (1, 1), (1, 2)]


async def test_a_replay_between_sending_and_marking_loses_nothing(
    kafka_bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a broker has delivered though its relay died before it noted that is replayed too."""
    from core.events.kafka import stream

    mark = stream.mark_published
    dead = True

    async def dying(*given: Any, **named: Any) -> Any:
        if dead:
            raise RuntimeError("killed")
        return await mark(*given, **named)

    bells = kafka_bells
    await bells.strike(1)
    await bells.effects(1)
    monkeypatch.setattr(stream, "mark_published", dying)
    await bells.strike(2)
    await bells.effects(2)
    [plan] = bells.app.generation.events.groups
    await replay(bells.database, plan)
    dead = False
    await bells.until(lambda: set(towers.lines(bells.url)) == {(1, 1), (2, 1)})
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert sorted(await bells.effects(2)) == [(1, 1), (2, 1)]
