"""Messages that share a transaction do each other no harm."""

from __future__ import annotations

import importlib

import pytest

from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.plants import HEAD, Garden

CLUMSY = (
    HEAD
    + """
from sqlalchemy import text
from planted_tower.module import Struck

SEEN = []


@hookimpl
def manifest():
    return Manifest("clumsy", "1.0", requires=("tower",))


async def swallow(session, event, delivery):
    SEEN.append(event.bell)
    if event.bell != 5:
        await session.exec(text("SELECT 1"))
        return
    try:
        await session.exec(text("INSERT INTO no_such_table VALUES (1)"))
    except Exception:
        pass


@hookimpl
def subscriptions():
    return [on(Struck, swallow)]
"""
)


async def test_who_swallows_a_failed_statement_fails_alone(all_ways: Bells, garden: Garden) -> None:
    """A handler that loses the transaction and says nothing has failed, with what it did for a
    reason; those that shared the transaction are not counted, and are through."""
    bells = all_ways
    if bells.database.dialect == "sqlite":
        pytest.skip("there a failed statement costs no transaction")
    garden.plant("clumsy", CLUMSY)
    await bells.swap("tower", "ledger", "clumsy")
    seen = importlib.import_module("planted_clumsy.module").SEEN
    async with bells.database.write() as session:
        for bell in range(1, 21):
            await bells.tower.strike(session, bell)
    [letter] = await bells.dead(1)
    await bells.until(lambda: set(seen) == set(range(1, 21)))
    await bells.until(lambda: towers.waiting(bells.url) == (0, 1))
    assert (letter.group, letter.aggregate) == ("clumsy", "tower.bell/5")
    assert "the transaction was lost" in letter.reason
    assert bells.app.resources is not None
    failures = dict(bells.app.resources.events.counts.of("failed"))
    assert failures == {"clumsy": 5}, "five tries of one message, and no other"
