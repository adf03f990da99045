"""Whatever one module does wrong, the host serves and says so; the others do not notice."""

from __future__ import annotations

import re

import pytest

from core.errors import Refused
from tests.support.apps import app_for, serving
from tests.support.broken import BROKEN
from tests.support.plants import Garden, minimal, with_route


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_module_is_a_fact_and_not_a_crash(
    fault: str, garden: Garden, sqlite_url: str
) -> None:
    """With any fault planted, the host is ready, serves the rest, and gives the reason."""
    source, reason = BROKEN[fault]
    garden.plant("good", with_route("good"))
    garden.plant("bad", source)
    garden.plant("needy", minimal("needy", manifest="requires=('bad',)"))
    with serving(sqlite_url, "good", "bad", "needy") as client:
        assert client.get("/v1/good").json() == {"module": "good"}
        assert client.get("/v1/bad").status_code == 404
        told = client.get("/readyz")
        assert told.status_code == 200
        modules = told.json()["modules"]
        assert modules["good"] == {"state": "enabled"}
        assert modules["bad"]["state"] == "failed"
        shown = f"{modules['bad']['reason']}; {modules['bad']['remedy']}"
        assert reason in shown
        assert modules["bad"]["remedy"]
        assert "requires 'bad', which failed" in modules["needy"]["reason"]
        assert "bad" not in str(client.get("/v1/openapi.json").json()["paths"])


def test_a_circle_takes_out_its_members_only(garden: Garden, sqlite_url: str) -> None:
    """Modules that require each other are out with the circle named; others serve."""
    garden.plant("good", with_route("good"))
    garden.plant("one", minimal("one", manifest="requires=('two',)"))
    garden.plant("two", minimal("two", manifest="requires=('one',)"))
    with serving(sqlite_url, "good", "one", "two") as client:
        modules = client.get("/readyz").json()["modules"]
        assert "one -> two -> one" in modules["one"]["reason"]
        assert client.get("/v2/good").status_code == 200


async def test_a_required_module_that_fails_refuses_the_start(
    garden: Garden, sqlite_url: str
) -> None:
    """With ``required = true`` a broken module ends the start with its reason."""
    garden.plant("bad", "raise RuntimeError('boom')")
    app = app_for(sqlite_url, modules={"bad": {"required": True}})
    with pytest.raises(Refused, match="'bad' is required and failed: .*boom"):
        await app.start()


def test_two_distributions_of_one_id_are_named(garden: Garden, sqlite_url: str) -> None:
    """Two installed distributions with one module id: neither is guessed, both are named."""
    garden.plant("twin", with_route("twin"), package="twin_a", distribution="twin-a")
    garden.plant("twin", with_route("twin"), package="twin_b", distribution="twin-b")
    with serving(sqlite_url, "twin") as client:
        reason = client.get("/readyz").json()["modules"]["twin"]["reason"]
        assert "twin-a, twin-b" in reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("core", "its id is that of core's own tables"),
        ("relay", "its id is that of the relay, which has dead letters and leases under this name"),
    ],
)
def test_an_id_that_is_core_s_own_is_refused(
    name: str, reason: str, garden: Garden, sqlite_url: str
) -> None:
    """A module may not be called what core calls a part of itself; the others serve."""
    garden.plant("good", with_route("good"))
    garden.plant(name, with_route(name))
    with serving(sqlite_url, "good", name) as client:
        entry = client.get("/readyz").json()["modules"][name]
        assert (entry["state"], entry["reason"]) == ("failed", reason)
        assert entry["remedy"] == "give it another id"
        assert client.get("/v1/good").json() == {"module": "good"}


def test_a_disabled_module_leaves_no_trace(garden: Garden, sqlite_url: str) -> None:
    """Installed but not enabled: not imported, no route, no schema entry, nothing in readiness."""
    garden.plant("good", with_route("good"))
    garden.plant("sleeper", "raise SystemExit('imported')")
    with serving(sqlite_url, "good", modules={"sleeper": {"enabled": False}}) as client:
        assert client.get("/v1/sleeper").status_code == 404
        assert "sleeper" not in client.get("/v2/openapi.json").text
        assert "sleeper" not in client.get("/readyz").text
        registry = client.app.generation.registry  # type: ignore[attr-defined]
        assert registry["sleeper"].state == "disabled"


def test_an_unknown_module_names_the_nearest(garden: Garden, sqlite_url: str) -> None:
    """A module that is enabled and not installed fails with the nearest name that is there."""
    garden.plant("loyalty", with_route("loyalty"))
    with serving(sqlite_url, "loyality") as client:
        entry = client.get("/readyz").json()["modules"]["loyality"]
        assert "did you mean 'loyalty'?" in entry["remedy"]


def test_what_both_routes_are_is_said(garden: Garden, sqlite_url: str) -> None:
    """Of two routes of one path and method, both places are named."""
    garden.plant("bad", BROKEN["a route that is declared twice"][0])
    with serving(sqlite_url, "bad") as client:
        reason = client.get("/readyz").json()["modules"]["bad"]["reason"]
        assert re.search(r"module\.py:\d+ and .*module\.py:\d+; only the first", reason)


SHARED = """
import planted_good.contracts as contracts

@hookimpl
def services(): return {contracts.Shared: lambda context: None}
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (with_route("first", access="") + SHARED, with_route("second") + SHARED),
        (
            with_route("first", access=""),
            with_route("second").replace('"1.0"', '"1.0", conflicts=("first",)'),
        ),
    ],
    ids=["a service", "a conflict"],
)
def test_who_fails_keeps_nobody_out(
    first: str, second: str, garden: Garden, sqlite_url: str
) -> None:
    """A module that fails after it has claimed a service, or that another one cannot live beside,
    does not keep that other one out."""
    garden.plant("good", with_route("good"))
    garden.file("planted_good", "contracts.py", "class Shared: pass\n")
    garden.plant("first", first)
    garden.plant("second", second)
    with serving(sqlite_url, "good", "first", "second") as client:
        modules = client.get("/readyz").json()["modules"]
        assert modules["first"]["state"] == "failed"
        assert "GET /first" in modules["first"]["reason"]
        assert modules["second"] == {"state": "enabled"}
        assert client.get("/v1/second").json() == {"module": "second"}


def test_a_chain_of_rivals_keeps_the_right_one_out(garden: Garden, sqlite_url: str) -> None:
    """Where one loses to another that fails by itself, it lives, and who cannot live beside it is
    out."""
    garden.plant("good", with_route("good"))
    garden.file("planted_good", "contracts.py", "class Shared: pass\n")
    garden.plant("first", with_route("first", access="") + SHARED)
    garden.plant("second", with_route("second") + SHARED)
    third = with_route("third").replace('"1.0"', '"1.0", conflicts=("second",)')
    garden.plant("third", third)
    with serving(sqlite_url, "good", "first", "second", "third") as client:
        modules = client.get("/readyz").json()["modules"]
        assert {name: it["state"] for name, it in modules.items()} == {
            "good": "enabled",
            "first": "failed",
            "second": "enabled",
            "third": "failed",
        }


def test_a_reason_is_short_and_tells_no_password(garden: Garden, sqlite_url: str) -> None:
    """What a module raises is cut, steers no terminal, and an address in it loses its password."""
    told = "cannot reach postgresql://shop:hunter2@db/shop \\x1b[31m"
    body = f"@hookimpl\ndef tables(): raise OSError('{told}' + 'x' * 100_000)"
    garden.plant("bad", minimal("bad", body))
    with serving(sqlite_url, "bad") as client:
        reason = client.get("/readyz").json()["modules"]["bad"]["reason"]
        assert "postgresql://shop:********@db/shop \\x1b[31mxxx" in reason
        assert len(reason) < 3_000
