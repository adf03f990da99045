"""Which groups are said to stall, of what the broker tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core.events import lookout
from core.events.backlog import Lag
from core.events.lookout import Lookout
from core.settings import Settings
from tests.integration.core.events.conftest import Bells

BROKER = Settings.for_tests(kafka={"bootstrap_servers": "127.0.0.1:1"}).kafka


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Lag]:
    """What the broker would say of each group; asked at every look."""
    lags: dict[str, Lag] = {}

    async def lag_of(*_: Any) -> Mapping[str, Lag]:
        return dict(lags)

    monkeypatch.setattr(lookout, "lag_of", lag_of)
    monkeypatch.setattr(lookout, "LAG_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(lookout, "FRESH_SECONDS", 0.0)
    return lags


async def due_since(looking: Lookout) -> Any:
    """Since when the ledger has been due, as a second look tells of the first one's answer."""
    await looking.look()
    await asyncio.sleep(0.05)
    _, ledger = await looking.look()
    return ledger.due_since


async def test_a_busy_group_does_not_stall(bells: Bells, told: dict[str, Lag]) -> None:
    """One that is given messages is due since the last look at most, though its lag grows; one
    that is given nothing is due since that began."""
    looking = Lookout(bells.database, kafka=BROKER)
    told["ledger"] = Lag(behind=10, given=100)
    first = await due_since(looking)
    assert first is not None
    told["ledger"] = Lag(behind=30, given=180)
    busy = await due_since(looking)
    assert busy > first
    told["ledger"] = Lag(behind=20, given=180)
    stuck = await due_since(looking)
    assert await due_since(looking) == stuck
    told["ledger"] = Lag(behind=0, given=200)
    assert await due_since(looking) is None
    await looking.close()
