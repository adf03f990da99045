"""Two real processes of one deployment: what one changes, the other's memory forgets at once.

Local values live an hour here, so that nothing but the broadcast explains what the other shows.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.caches import shared_redis_url
from tests.support.databases import empty_database
from tests.support.processes import EMAIL, Headers, Installation, Server

pytestmark = pytest.mark.timeout(300)
AFTER_COMMIT = 1.0
"""Seconds within which every process has forgotten."""
HOUR = "3600"
KINDS = (
    pytest.param(("sqlite", False), id="sqlite"),
    pytest.param(("postgresql", False), id="postgresql", marks=pytest.mark.postgres),
    pytest.param(
        ("postgresql", True), id="postgresql-redis", marks=[pytest.mark.postgres, pytest.mark.redis]
    ),
)


@dataclass
class Pair:
    """Two processes, and who may change products."""

    here: Server
    there: Server
    admin: Headers

    def shown_there(self, product: int) -> dict[str, object]:
        """The product as the other process shows it."""
        return dict(self.there.call("GET", f"/v2/products/{product}").json())

    def hits_there(self) -> int:
        """How often the other process answered from its own memory."""
        stats = self.there.call("GET", "/v2/cache/stats", headers=self.admin)
        return int(stats.json()["local_hits"])

    def remembered_there(self, product: int) -> dict[str, object]:
        """The same once it is in the other process's memory.

        It may yet hear of the change before, and forget the product once more.
        """
        deadline = time.monotonic() + 10
        while True:
            before = self.hits_there()
            shown = self.shown_there(product)
            if self.hits_there() > before:
                return shown
            assert time.monotonic() < deadline, "never answered from memory"

    def seconds_until(self, product: int, name: str, value: object) -> float:
        """How long after now the other process still shows something else."""
        began = last_old = time.monotonic()
        while True:
            asked = time.monotonic()
            if self.shown_there(product).get(name) == value:
                return last_old - began
            last_old = asked
            assert asked - began < 10, f"{name} is not {value!r} after ten seconds"
            time.sleep(0.01)


@pytest.fixture(scope="module", params=KINDS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Two servers on one database, with or without Redis."""
    kind, with_redis = request.param
    folder: Path = tmp_path_factory.mktemp("pair")
    with empty_database(kind, folder) as url:
        redis = {"redis": {"url": shared_redis_url()}} if with_redis else {}
        installation = Installation(folder / "installation", url, **redis)
        installation.environ["TESSERA_MODULES__CACHE__LOCAL_TTL"] = HOUR
        installation.environ["TESSERA_MODULES__CACHE__PREFIX"] = f"test:{uuid.uuid4().hex}"
        assert installation.run("db", "upgrade").returncode == 0
        installation.create_admin()
        with installation.serving_many(2) as (here, there):
            yield Pair(here, there, here.login(EMAIL))


def test_a_changed_product_is_new_in_every_process(pair: Pair) -> None:
    """A price that one process changes is what the other shows within a second, each time."""
    product = pair.here.product(pair.admin)
    for cents in (1, 2, 3):
        pair.remembered_there(product)
        body = {"price_cents": cents}
        path = f"/v1/products/{product}"
        assert pair.here.call("PATCH", path, json=body, headers=pair.admin).status_code == 200
        price = {"amount": f"0.0{cents}", "currency": "USD"}
        assert pair.seconds_until(product, "price", price) < AFTER_COMMIT


def test_sold_pieces_are_gone_in_every_process(pair: Pair) -> None:
    """Stock that an order takes, and that a cancelled one gives back, is seen as soon."""
    tea, jam = (pair.here.product(pair.admin, stock=10) for _ in range(2))
    _, buyer = pair.here.register()
    assert [pair.remembered_there(it)["stock"] for it in (tea, jam)] == [10, 10]
    lines = [{"product_id": tea, "quantity": 1}, {"product_id": jam, "quantity": 2}]
    order = pair.here.call("POST", "/v2/orders", json={"lines": lines}, headers=buyer).json()
    assert pair.seconds_until(tea, "stock", 9) < AFTER_COMMIT
    assert pair.seconds_until(jam, "stock", 8) < AFTER_COMMIT
    pair.remembered_there(tea)
    pair.here.call("POST", f"/v2/orders/{order['id']}/cancel", headers=buyer)
    assert pair.seconds_until(tea, "stock", 10) < AFTER_COMMIT


def test_a_deleted_product_is_gone_in_every_process(pair: Pair) -> None:
    """A product that one process deletes is a 404 in the other within a second."""
    product = pair.here.product(pair.admin)
    pair.remembered_there(product)
    path = f"/v2/products/{product}"
    assert pair.here.call("DELETE", path, headers=pair.admin).status_code == 204
    assert pair.seconds_until(product, "status", 404) < AFTER_COMMIT
