"""Handlers that take their time, or never come back: others do not feel it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.app import Tessera
from tests.integration.core.events.conftest import Bells
from tests.integration.core.events.test_roles import postgres
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.plants import Garden

__all__ = ["postgres"]
SECONDS = {**towers.QUICK, "handler_seconds": 30.0}


@contextlib.asynccontextmanager
async def slow_bells(
    url: str, garden: Garden, *, outside: bool = True, kafka: Any = None, **events: float
) -> AsyncIterator[Bells]:
    """A tower and a ledger whose handlers have half a minute."""
    tower, ledger = towers.plant(garden, outside=outside)
    sections = {"kafka": kafka} if kafka else {}
    app = app_for(url, "tower", "ledger", events={**SECONDS, **events}, **sections)
    await app.start()
    try:
        yield Bells(app, url, tower, ledger, **sections)
    finally:
        await _stopped(app)


async def _stopped(app: Tessera) -> None:
    async with asyncio.timeout(15):
        await app.stop()


async def test_others_write_while_a_handler_hangs(database_url: str, garden: Garden) -> None:
    """A handler that hangs in its transaction lets requests write, on SQLite's one writer too."""
    async with slow_bells(database_url, garden) as bells:

        async def hang() -> None:
            await asyncio.sleep(3600)

        bells.ledger.BAD[1] = hang
        await bells.strike(1)
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await bells.strike(2)
        assert time.monotonic() - began < 4.5


async def test_other_keys_flow_past_a_slow_one(
    way: tuple[str, dict[str, Any]], garden: Garden
) -> None:
    """While one key's handler takes seconds, those of other keys have their effects at once,
    whether they were read with it or come later on the same partition."""
    url, sections = way
    if "sqlite" in url:
        pytest.skip("SQLite has one writer: a group works on one message at a time")
    async with slow_bells(url, garden, outside=False, **sections) as bells:

        async def slow() -> None:
            await asyncio.sleep(6)

        await bells.strike(*range(900, 905))  # all are at work
        await bells.effects(5)
        bells.ledger.BAD[1] = slow
        async with bells.database.write() as session:
            for bell in range(1, 41):
                await bells.tower.strike(session, bell)
        await asyncio.sleep(1.5)
        await bells.strike(*range(101, 141))
        await bells.until(lambda: len(towers.lines(bells.url)) >= 84, seconds=3)
        assert (1, 1) not in towers.lines(bells.url)
        await bells.until(lambda: (1, 1) in towers.lines(bells.url), seconds=15)


async def test_a_handler_that_will_not_be_cancelled_is_left_behind(
    database_url: str, garden: Garden
) -> None:
    """One that swallows its cancellation is a dead letter, and keeps neither others nor the end."""
    async with slow_bells(database_url, garden, handler_seconds=0.2) as bells:

        async def stubborn() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)

        bells.ledger.BAD[1] = stubborn
        await bells.strike(1, 2)
        [letter] = await bells.dead(1)
        assert "did not return within 0.2 s" in letter.reason
        await bells.until(lambda: (2, 1) in towers.lines(bells.url))


@pytest.mark.slow
@pytest.mark.postgres
async def test_several_handlers_have_their_time_each(
    postgres: str, garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event of three handlers that say nothing to the database for nearly as long as each may is
    delivered: the server does not take their transaction for one of a frozen process."""
    slowly = "async def slowly(session, event, delivery):\n    await asyncio.sleep(2.9)\n\n\n"
    ledger = towers.LEDGER.replace("async def write(", f"{slowly}async def write(", 1)
    three = "on(Struck, slowly), " * 3
    monkeypatch.setattr(
        towers, "LEDGER", ledger.replace("on(Struck, write)", f"{three}on(Struck, write)")
    )
    async with slow_bells(postgres, garden, outside=False, handler_seconds=3.0) as bells:
        await bells.strike(1)
        assert await bells.effects(1, seconds=20) == [(1, 1)]
