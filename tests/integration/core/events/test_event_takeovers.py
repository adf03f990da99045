"""A worker whose lease went while its handler was at work leaves the delivery to the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from core.events.by_hand import ByHand
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for, settings_for
from tests.support.databases import empty_database
from tests.support.plants import Garden

pytestmark = pytest.mark.postgres


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with empty_database("postgresql", tmp_path) as url:
        yield url


@pytest.fixture
async def idle(postgres: str, garden: Garden) -> AsyncIterator[Bells]:
    """A tower and its ledger on PostgreSQL, in a process that delivers nothing by itself."""
    tower, ledger = towers.plant(garden)
    app = app_for(postgres, "tower", "ledger", events=towers.QUICK, server={"role": "api"})
    await app.start()
    try:
        yield Bells(app, postgres, tower, ledger)
    finally:
        await app.stop()


def worker(bells: Bells) -> ByHand:
    """One that holds leases of a minute, and renews none: what becomes of them, a test says."""
    settings = settings_for(bells.url, events={**towers.QUICK, "lease_seconds": 60.0})
    generation = bells.app.generation
    return ByHand(
        generation.events,
        contexts=generation.contexts,
        database=bells.database,
        settings=settings.events,
    )


@pytest.mark.parametrize(
    "lost",
    [
        "owner = 'another'",
        "epoch = epoch + 1",
        "lease_until = now() - interval '1 second'",
    ],
    ids=["to-another", "and-regained", "over"],
)
async def test_a_lease_that_went_in_the_middle_takes_no_delivery(idle: Bells, lost: str) -> None:
    """With the lease another's, or this worker's again after another had it, or over, the row
    stays and nothing is written: whoever has the bucket now delivers it."""
    bells = idle

    async def lose() -> None:
        async with bells.database.writer.begin() as connection:
            changed = await connection.execute(
                text(f"UPDATE core_leases SET {lost} WHERE kind = 'ledger'")
            )
        assert changed.rowcount == 16

    bells.ledger.BAD[100] = lose
    await bells.strike(100)
    assert await worker(bells).deliver() == 0
    assert len(bells.ledger.SENT) == 1
    assert towers.lines(bells.url) == []
    assert towers.waiting(bells.url) == (0, 1)


async def test_a_lease_that_is_kept_takes_the_delivery(idle: Bells) -> None:
    """The same worker, with nothing lost, delivers it."""
    await idle.strike(100)
    assert await worker(idle).deliver() == 1
    assert towers.lines(idle.url) == [(100, 1)]
