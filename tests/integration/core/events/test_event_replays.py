"""A replay beside what goes on at the same moment, and one that takes long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.events.kafka.inbox import Inbox
from core.events.operations import replay
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers


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
