"""The cache over HTTP, and below the catalogue of a running application."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.testing import AppFactory, Client, RunningApp, start_app
from tests.support.caches import RedisServer, shared_redis_url

_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApp]:
    """A catalogue with a cache."""
    redis = {"url": shared_redis_url()} if request.param == "redis" else {}
    cache = {"prefix": f"test:{tmp_path_factory.mktemp('cache').name}", "early": 0}
    settings = {"modules": {"cache": cache}, "redis": redis}
    with start_app(["catalog", "cache"], settings=settings) as started:
        yield started


@pytest.fixture(params=["v1", "v2"])
def here(request: pytest.FixtureRequest, app: RunningApp) -> Client:
    """An admin at one version."""
    return app.client(request.param).as_user("admin")


def stats(here: Client) -> dict[str, Any]:
    answer = here.get("/cache/stats")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def product(here: Client) -> int:
    price: dict[str, Any] = {"price": {"amount": "1.00", "currency": "USD"}}
    if here.version == "v1":
        price = {"price_cents": 100, "currency": "USD"}
    body = {"sku": f"TEA-{next(_numbers)}", "name": "Tea", **price}
    answer = here.post("/products", json=body)
    assert answer.status_code == 201, answer.text
    made: int = answer.json()["id"]
    return made


def settled_product(here: Client) -> int:
    """A product of which the cache has heard: at the commit, and by the broadcast that follows."""
    before = stats(here)["invalidations"]
    made = product(here)
    deadline = time.monotonic() + 30
    while stats(here)["invalidations"] < before + 2:
        assert time.monotonic() < deadline, "the broadcast did not come"
        time.sleep(0.02)
    return made


def name_of(here: Client, product_id: int) -> str:
    name: str = here.get(f"/products/{product_id}").json()["name"]
    return name


def test_only_managers_look_and_forget(app: RunningApp, here: Client) -> None:
    """Nobody gets a 401, a user and a moderator a 403, an admin an answer."""
    nobody = app.client(here.version)
    for method, path in [("GET", "/cache/stats"), ("DELETE", "/cache?tag=x")]:
        assert nobody.request(method, path).status_code == 401
        assert here.as_user("user").request(method, path).status_code == 403
        assert here.as_user("moderator").request(method, path).status_code == 403
        assert here.request(method, path).is_success


def test_a_second_read_is_a_hit(here: Client) -> None:
    """Reading a product twice loads it once, and the figures say so."""
    made = settled_product(here)
    before = stats(here)
    assert [name_of(here, made) for _ in range(3)] == ["Tea"] * 3
    after = stats(here)
    assert after["loads"] - before["loads"] == 1
    assert after["hits"] - before["hits"] == 2
    assert 0 < after["hit_ratio"] <= 1
    assert after["entries"] >= 1


def test_a_change_is_seen_at_once(app: RunningApp, here: Client) -> None:
    """After a PATCH, whichever version it came through, no read of either gives the old value."""
    made, other = product(here), app.client("v2" if here.version == "v1" else "v1")
    for number in range(10):
        name_of(here, made)
        name_of(other, made)
        body = {"name": f"Tea {number}"}
        assert here.patch(f"/products/{made}", json=body).is_success
        assert name_of(here, made) == name_of(other, made) == f"Tea {number}"


def test_forgetting_by_hand(here: Client) -> None:
    """DELETE forgets what is under a tag, or everything under `*`; unknown tags are no error."""
    made = settled_product(here)
    for query in (f"tag=nothing&tag=catalog:product:{made}", "tag=*"):
        name_of(here, made)
        before = stats(here)["loads"]
        answer = here.delete(f"/cache?{query}")
        assert (answer.status_code, answer.content) == (204, b"")
        name_of(here, made)
        assert stats(here)["loads"] == before + 1


@pytest.mark.parametrize(
    "query", ["", "?tag=", f"?tag={'x' * 201}", "?tag=%00", "?tag=x" + "&tag=x" * 100]
)
def test_a_tag_is_needed(here: Client, query: str) -> None:
    """Without a tag, with an empty, an endless or an unstorable one, and with too many: 422."""
    answer = here.delete(f"/cache{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_figure_is_described(here: Client) -> None:
    """The schema types and explains each field of the statistics, and the tag."""
    schema = here.get("/openapi.json").json()
    operation = schema["paths"]["/cache/stats"]["get"]
    name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    fields = schema["components"]["schemas"][name.rsplit("/", 1)[1]]["properties"]
    assert set(fields) >= {"hits", "misses", "loads", "stale", "entries", "invalidations", "redis"}
    assert all(field.get("description") for field in fields.values())
    (tag,) = schema["paths"]["/cache"]["delete"]["parameters"]
    assert (tag["name"], tag["required"], tag["schema"]["type"]) == ("tag", True, "array")


def test_a_disabled_cache_changes_nothing_but_speed(app_factory: AppFactory) -> None:
    """Without the module there is no route and no schema entry, and products read and change."""
    here = app_factory(["catalog"]).client().as_user("admin")
    assert here.get("/cache/stats").status_code == 404
    assert "/cache/stats" not in here.get("/openapi.json").json()["paths"]
    made = product(here)
    assert name_of(here, made) == "Tea"
    assert here.patch(f"/products/{made}", json={"name": "Tee"}).is_success
    assert name_of(here, made) == "Tee"


@pytest.mark.redis
def test_a_dead_redis_makes_nobody_unready(app_factory: AppFactory, own_redis: RedisServer) -> None:
    """With Redis killed the process stays ready, answers, and says so in its statistics."""
    app = app_factory(["catalog", "cache"], {"redis": {"url": own_redis.url}})
    here = app.client().as_user("admin")
    made = product(here)
    assert name_of(here, made) == "Tea"
    assert stats(here)["redis"] == "up"
    own_redis.kill()
    assert here.patch(f"/products/{made}", json={"name": "Tee"}).is_success
    assert name_of(here, made) == "Tee"
    figures = stats(here)
    assert figures["redis"] == "down"
    assert figures["owed"] >= 1
    assert app.client(None).get("/readyz").status_code == 200


def test_a_wrong_setting_takes_out_the_cache_alone(app_factory: AppFactory) -> None:
    """A cache that cannot be set up is a failed module; the others serve without it."""
    wrong = {"max_entries": 0, "required": False}
    app = app_factory(["catalog"], {"modules": {"cache": wrong}})
    here = app.client().as_user("admin")
    assert here.get("/cache/stats").status_code == 404
    assert name_of(here, product(here)) == "Tea"
