"""What becomes of events whose publisher, or subscriber, goes back to before its first table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.db.engine import Database
from core.db.migrations import downgrade, losses
from core.registry import load
from tests.support import rows
from tests.support.apps import settings_for
from tests.support.databases import database_url
from tests.support.processes import Installation
from tests.support.shop import MODULES, Shop, open_shop
from tests.support.tower import QUICK

__all__ = ["database_url"]
EVENTS = "SELECT type, aggregate_version FROM core_outbox WHERE type LIKE 'orders.%' ORDER BY seq"
LEFT = "SELECT count(*) FROM core_deliveries"
NOTED = "SELECT type FROM core_pruned_types ORDER BY type"
CREATED = "orders.order_created.v1"


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Installation:
    """A command line on the shop's database."""
    modules = {"modules.analytics": {"enabled": True}}
    return Installation(tmp_path / "place", database_url, **modules)


def down(place: Installation, module: str, *more: str) -> str:
    """Take a module back to before its first table, and up again; what was said of the way down."""
    done = place.run("db", "downgrade", "--module", module, "base", *more)
    assert done.returncode == 0, done.stderr
    assert place.run("db", "upgrade").returncode == 0
    return done.stdout


def sold(shop: Shop) -> list[int]:
    """The pieces sold, as analytics has heard."""
    answer = shop.call("GET", "/v2/analytics/sales?by=year", shop.moderator)
    return [it["units"] for it in answer.json()]


def soon(told: Callable[[], Any], expected: Any) -> None:
    """It is as expected within a few seconds."""
    deadline = time.monotonic() + 15
    while (found := told()) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_orders_begin_anew_after_their_tables_went(database_url: str, place: Installation) -> None:
    """Down to base and up again, the first order of the new ones is taken, and told to others."""
    with open_shop(database_url, "analytics", events=QUICK) as shop:
        before = shop.placed(shop.ann, (shop.product(), 1))
        soon(lambda: (sold(shop), rows.query(database_url, LEFT)), ([1], [(0,)]))
    told = down(place, "orders", "--yes")
    assert told.startswith("orders: with its tables go 1 event that it published\norders: 0001 → ")
    assert rows.query(database_url, EVENTS) == []
    assert rows.query(database_url, NOTED) == [(CREATED,)]
    with open_shop(database_url, "analytics", events=QUICK) as shop:
        after = shop.placed(shop.ann, (shop.product(), 3))
        assert after["id"] == before["id"] == 1
        soon(lambda: sold(shop), [3])
    assert rows.query(database_url, EVENTS) == [(CREATED, 1)]


def test_what_nobody_was_given_yet_goes_too_and_is_told(
    database_url: str, place: Installation
) -> None:
    """Before anything is lost the command says how many events go that a group still waits for."""
    with open_shop(database_url, "analytics", events=QUICK) as shop:
        shop.placed(shop.ann)
        soon(lambda: (sold(shop), rows.query(database_url, LEFT)), ([1], [(0,)]))
    with open_shop(database_url, events=QUICK) as shop:  # its deliveries wait for analytics
        shop.placed(shop.ann)
        soon(lambda: rows.query(database_url, LEFT), [(1,)])
    place.environ |= {
        "TESSERA_APP__ENVIRONMENT": "production",
        "TESSERA_APP__SECRET_KEY": "2b1f8a6e5c0d4f7a9b3c1d2e4f6a8b0c1d3e5f7a",
    }
    told = "with its tables go 2 events that it published, 1 of which some group was not given yet"
    refused = place.run("db", "downgrade", "--module", "orders", "base")
    assert refused.returncode == 1
    assert f"a downgrade loses data, and {told}; in production it needs --yes" in refused.stderr
    assert len(rows.query(database_url, EVENTS)) == 2
    assert f"orders: {told}\n" in down(place, "orders", "--yes")
    assert (rows.query(database_url, EVENTS), rows.query(database_url, LEFT)) == ([], [(0,)])
    with open_shop(database_url, "analytics", events=QUICK) as shop:
        shop.placed(shop.ann, (shop.product(), 5))
        soon(lambda: sold(shop), [5])


def test_a_subscriber_without_tables_is_filled_again(
    database_url: str, place: Installation
) -> None:
    """A replay gives a subscriber back what went with its tables; no event of others has gone."""
    with open_shop(database_url, "analytics", events=QUICK) as shop:
        shop.placed(shop.ann, (shop.product(), 4))
        soon(lambda: sold(shop), [4])
    assert "events" not in down(place, "analytics")
    assert rows.query(database_url, EVENTS) == [(CREATED, 1)]
    with open_shop(database_url, "analytics", events=QUICK) as shop:
        assert sold(shop) == []
        assert place.run("events", "replay", "--group", "analytics").returncode == 0
        soon(lambda: sold(shop), [4])


async def test_a_step_that_leaves_tables_leaves_the_events(database_url: str) -> None:
    """One step of two takes no event along, the second one takes those of its module alone."""
    settings = settings_for(database_url, *MODULES)

    def trade() -> None:
        with open_shop(database_url) as shop:
            shop.placed(shop.ann)

    await asyncio.to_thread(trade)
    database = Database(settings.database)
    [catalog] = [it for it in load(settings).migrations() if it.module == "catalog"]
    kinds = "SELECT DISTINCT type FROM core_outbox WHERE type NOT LIKE 'users.%' ORDER BY type"
    try:
        assert (await losses(database, catalog, target="-1")).events == 0
        [first] = await downgrade(database, [catalog], target="-1")
        there = await asyncio.to_thread(rows.query, database_url, kinds)
        assert (first.after, len(there)) == ("0001", 2)
        assert (await losses(database, catalog, target="-1")).events > 0
        [second] = await downgrade(database, [catalog], target="-1")
        assert (second.after, second.failure) == (None, None)
        left = await asyncio.to_thread(rows.query, database_url, kinds)
        assert left == [(CREATED,)]
    finally:
        await database.close()
