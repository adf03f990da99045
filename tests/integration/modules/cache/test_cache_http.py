"""The cache over HTTP, and below the catalogue of a running application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.apps import serving
from tests.support.caches import RedisServer, shared_redis_url
from tests.support.people import QUICK, People, Person

SHOP = ("users", "auth", "catalog")


@pytest.fixture(scope="module", params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[People, Person]]:
    """A shop with a cache, and its admin."""
    folder = tmp_path_factory.mktemp("cache")
    redis = {"url": shared_redis_url()} if request.param == "redis" else {}
    modules = {"auth": QUICK, "cache": {"prefix": f"test:{folder.name}", "early": 0}}
    url = f"sqlite+aiosqlite:///{folder / 'tessera.db'}"
    with serving(url, *SHOP, "cache", modules=modules, redis=redis) as client:
        people = People(client)
        yield people, people.admin()


@pytest.fixture(params=["v1", "v2"])
def here(request: pytest.FixtureRequest, started: tuple[People, Person]) -> People:
    return People(started[0].client, request.param)


@pytest.fixture
def admin(started: tuple[People, Person]) -> Person:
    return started[1]


def stats(here: People, admin: Person) -> dict[str, Any]:
    answer = here.call("GET", "/cache/stats", by=admin)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def product(here: People, admin: Person) -> int:
    price: dict[str, Any] = {"price": {"amount": "1.00", "currency": "USD"}}
    if here.version == "v1":
        price = {"price_cents": 100, "currency": "USD"}
    body = {"sku": here.new_email(), "name": "Tea", **price}
    answer = here.call("POST", "/products", by=admin, json=body)
    assert answer.status_code == 201, answer.text
    made: int = answer.json()["id"]
    return made


def name_of(here: People, product_id: int) -> str:
    name: str = here.call("GET", f"/products/{product_id}").json()["name"]
    return name


def test_only_managers_look_and_forget(here: People, admin: Person) -> None:
    """Nobody gets a 401, a user and a moderator a 403, an admin an answer."""
    moderator = here.moderator(admin)
    for method, path in [("GET", "/cache/stats"), ("DELETE", "/cache?tag=x")]:
        assert here.call(method, path).status_code == 401
        assert here.call(method, path, by=here.somebody()).status_code == 403
        assert here.call(method, path, by=moderator).status_code == 403
        assert here.call(method, path, by=admin).is_success


def test_a_second_read_is_a_hit(here: People, admin: Person) -> None:
    """Reading a product twice loads it once, and the figures say so."""
    made = product(here, admin)
    before = stats(here, admin)
    assert [name_of(here, made) for _ in range(3)] == ["Tea"] * 3
    after = stats(here, admin)
    assert after["loads"] - before["loads"] == 1
    assert after["hits"] - before["hits"] == 2
    assert 0 < after["hit_ratio"] <= 1
    assert after["entries"] >= 1


def test_a_change_is_seen_at_once(here: People, admin: Person) -> None:
    """After a PATCH, whichever version it came through, no read of either gives the old value."""
    made, other = product(here, admin), People(here.client, "v2" if here.version == "v1" else "v1")
    for number in range(10):
        name_of(here, made)
        name_of(other, made)
        body = {"name": f"Tea {number}"}
        assert here.call("PATCH", f"/products/{made}", by=admin, json=body).is_success
        assert name_of(here, made) == name_of(other, made) == f"Tea {number}"


def test_forgetting_by_hand(here: People, admin: Person) -> None:
    """DELETE forgets what is under a tag, or everything under `*`; unknown tags are no error."""
    made = product(here, admin)
    for query in (f"tag=nothing&tag=catalog:product:{made}", "tag=*"):
        name_of(here, made)
        before = stats(here, admin)["loads"]
        answer = here.call("DELETE", f"/cache?{query}", by=admin)
        assert (answer.status_code, answer.content) == (204, b"")
        name_of(here, made)
        assert stats(here, admin)["loads"] == before + 1


@pytest.mark.parametrize(
    "query", ["", "?tag=", f"?tag={'x' * 201}", "?tag=%00", "?tag=x" + "&tag=x" * 100]
)
def test_a_tag_is_needed(here: People, admin: Person, query: str) -> None:
    """Without a tag, with an empty, an endless or an unstorable one, and with too many: 422."""
    answer = here.call("DELETE", f"/cache{query}", by=admin)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_figure_is_described(here: People) -> None:
    """The schema types and explains each field of the statistics, and the tag."""
    schema = here.call("GET", "/openapi.json").json()
    operation = schema["paths"]["/cache/stats"]["get"]
    name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    fields = schema["components"]["schemas"][name.rsplit("/", 1)[1]]["properties"]
    assert set(fields) >= {"hits", "misses", "loads", "stale", "entries", "invalidations", "redis"}
    assert all(field.get("description") for field in fields.values())
    (tag,) = schema["paths"]["/cache"]["delete"]["parameters"]
    assert (tag["name"], tag["required"], tag["schema"]["type"]) == ("tag", True, "array")


def test_a_disabled_cache_changes_nothing_but_speed(sqlite_url: str) -> None:
    """Without the module there is no route and no schema entry, and products read and change."""
    with serving(sqlite_url, *SHOP, modules={"auth": QUICK}) as client:
        here = People(client)
        admin = here.admin()
        assert here.call("GET", "/cache/stats", by=admin).status_code == 404
        assert "/cache/stats" not in here.call("GET", "/openapi.json").json()["paths"]
        made = product(here, admin)
        assert name_of(here, made) == "Tea"
        assert here.call("PATCH", f"/products/{made}", by=admin, json={"name": "Tee"}).is_success
        assert name_of(here, made) == "Tee"


@pytest.mark.redis
def test_a_dead_redis_makes_nobody_unready(sqlite_url: str, own_redis: RedisServer) -> None:
    """With Redis killed the process stays ready, answers, and says so in its statistics."""
    options: dict[str, Any] = {"modules": {"auth": QUICK}, "redis": {"url": own_redis.url}}
    with serving(sqlite_url, *SHOP, "cache", **options) as client:
        here = People(client)
        admin = here.admin()
        made = product(here, admin)
        assert name_of(here, made) == "Tea"
        assert stats(here, admin)["redis"] == "up"
        own_redis.kill()
        body = {"name": "Tee"}
        assert here.call("PATCH", f"/products/{made}", by=admin, json=body).is_success
        assert name_of(here, made) == "Tee"
        figures = stats(here, admin)
        assert figures["redis"] == "down"
        assert figures["owed"] >= 1
        assert client.get("/readyz").status_code == 200


def test_a_wrong_setting_takes_out_the_cache_alone(sqlite_url: str) -> None:
    """A cache that cannot be set up is a failed module; the others serve without it."""
    modules = {"auth": QUICK, "cache": {"max_entries": 0}}
    with serving(sqlite_url, *SHOP, "cache", modules=modules) as client:
        here = People(client)
        admin = here.admin()
        assert here.call("GET", "/cache/stats", by=admin).status_code == 404
        assert name_of(here, product(here, admin)) == "Tea"
