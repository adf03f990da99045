"""Loyalty's rows under concurrency on both databases: no deadlock with orders, no point lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from core.context import Context
from core.db import migrations
from tests.support.databases import database_url
from tests.support.environments import ROOT
from tests.support.notes import database_at
from tests.support.plants import Garden
from tests.support.shop import Shop, open_shop

__all__ = ["database_url"]


@pytest.fixture
def shop(garden: Garden, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Shop]:
    """A shop with the plugin as it lies in the sources."""
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "tessera-loyalty" / "src"))
    info = garden.folder / "tessera_loyalty-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tessera-loyalty\nVersion: 1.0.0\n")
    (info / "entry_points.txt").write_text("[tessera.modules]\nloyalty = tessera_loyalty.module\n")
    with open_shop(database_url, "loyalty") as opened:
        yield opened


async def books(context: Context) -> dict[str, int]:
    """What the account has, and what its movements come to by reason."""
    async with context.read() as session:
        found = {"account": (await session.exec(text(ACCOUNT))).one()[0]}
        rows = await session.exec(text(MOVEMENTS))
        return found | {reason: int(points) for reason, points in rows}


ACCOUNT = "SELECT sum(points) FROM loyalty_accounts"
MOVEMENTS = "SELECT reason, sum(points) FROM loyalty_movements GROUP BY reason"


def test_orders_and_grants_at_once(shop: Shop) -> None:
    """Nobody waits for ever, no point is lost or made up, and none pays twice."""
    teas = [shop.product(stock=1000) for _ in range(3)]
    shop.call("PUT", "/v2/loyalty/me", shop.ann, {"redeem": True})
    grant = {"user_id": shop.ann.id, "points": 700}
    calls = [
        lambda n=n: (  # type: ignore[misc]
            shop.call("POST", "/v1/loyalty/grants", shop.admin, grant)
            if n % 4 == 0
            else shop.order(shop.ann, (teas[n % 3], 1), (teas[(n + 1) % 3], 1))
        )
        for n in range(24)
    ]
    assert shop.at_once(calls) == [201] * 24
    orders = shop.call("GET", "/v1/orders?limit=100", shop.ann).json()
    kept = shop.people.inside("loyalty", books)
    assert kept["granted"] == 6 * 700
    assert kept["spent"] == sum(it["total_cents"] for it in orders) - 18 * 3600
    assert kept["earned"] == sum(it["total_cents"] // 100 for it in orders)
    assert kept["account"] == kept["granted"] + kept["spent"] + kept["earned"]


def test_the_first_order_of_many_at_once(shop: Shop) -> None:
    """Several first orders of one person make one account."""
    tea = shop.product(stock=100)
    assert shop.at_once([lambda: shop.order(shop.bob, (tea, 1))] * 6) == [201] * 6
    assert shop.people.inside("loyalty", books) == {"account": 6 * 18, "earned": 6 * 18}


def test_points_go_with_whom_they_belonged_to(shop: Shop) -> None:
    """A deleted user's account and movements are gone soon, by the event alone; others stay."""
    for person in (shop.ann, shop.bob):
        grant = {"user_id": person.id, "points": 10}
        assert shop.call("POST", "/v2/loyalty/grants", shop.admin, grant).status_code == 201
    assert shop.call("DELETE", f"/v2/users/{shop.ann.id}", shop.admin).status_code == 204
    deadline = time.monotonic() + 20
    while shop.people.inside("loyalty", books) != {"account": 10, "granted": 10}:
        assert time.monotonic() < deadline, shop.people.inside("loyalty", books)
        time.sleep(0.05)
    assert shop.call("GET", "/v2/loyalty/me", shop.bob).json()["points"] == 10


def test_orders_and_cancellations_at_once(shop: Shop) -> None:
    """Orders that spend what others earned, while those are cancelled: nobody waits for ever, and
    what remains are the points of the orders that remain."""
    tea = shop.product(stock=1000)
    shop.call("PUT", "/v2/loyalty/me", shop.ann, {"redeem": True})
    grant = {"user_id": shop.ann.id, "points": 3000}
    assert shop.call("POST", "/v1/loyalty/grants", shop.admin, grant).status_code == 201
    first = [shop.placed(shop.ann, (tea, 2))["id"] for _ in range(8)]
    calls = [
        lambda n=n, id=id: (  # type: ignore[misc]
            shop.call("POST", f"/v2/orders/{id}/cancel", shop.ann)
            if n % 2
            else shop.order(shop.ann, (tea, 1))
        )
        for id in first
        for n in range(2)
    ]
    assert set(shop.at_once(calls)) <= {200, 201}
    orders = shop.call("GET", "/v1/orders?limit=100&status=created", shop.ann).json()
    totals = [it["total_cents"] for it in orders]
    spent, earned = 8 * 1800 - sum(totals), sum(it // 100 for it in totals)
    expected = {"granted": 3000, "spent": -spent, "earned": earned}
    expected["account"] = sum(expected.values())
    deadline = time.monotonic() + 20
    while shop.people.inside("loyalty", books) != expected:
        assert time.monotonic() < deadline, (shop.people.inside("loyalty", books), expected)
        time.sleep(0.05)


async def test_migrations_there_and_back(shop: Shop, database_url: str) -> None:
    """Models and database agree; a step back forgets what is owed and keeps the rest."""
    owed = "INSERT INTO loyalty_accounts VALUES (7001, -5, false), (7002, 9, true)"
    modules = [
        it
        for it in shop.client.app.generation.registry.migrations()  # type: ignore[attr-defined]
        if it.module == "loyalty"
    ]
    database = database_at(database_url)
    try:
        assert await migrations.check(database, modules) == {}
        async with database.writer.begin() as connection:
            await connection.execute(text(owed))
        [down] = await migrations.downgrade(database, modules)
        assert (down.after, down.failure) == ("0001", None)
        async with database.reader.connect() as connection:
            kept = await connection.execute(text("SELECT points, redeem FROM loyalty_accounts"))
            assert sorted((points, bool(redeem)) for points, redeem in kept) == [
                (0, False),
                (9, True),
            ]
        [up] = await migrations.upgrade(database, modules)
        assert (up.after, up.failure) == ("0002", None)
        assert await migrations.check(database, modules) == {}
    finally:
        await database.close()
