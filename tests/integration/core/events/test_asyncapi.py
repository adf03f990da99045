"""``/asyncapi.json``: what AsyncAPI's own parser, and a reader, find in it."""

from __future__ import annotations

from typing import Any

import pytest

from core.events.asyncapi import asyncapi as describe
from core.events.groups import plan_of
from core.registry import load
from tests.support import asyncapi, tower
from tests.support.apps import serving, settings_for
from tests.support.plants import HEAD, Garden

SHIPPED = ("users", "auth", "catalog", "orders", "analytics", "cache", "notifications")


def served(url: str, *modules: str, **sections: Any) -> dict[str, Any]:
    """The document of these modules."""
    with serving(url, *modules, **sections) as client:
        answer = client.get("/asyncapi.json")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


@pytest.mark.timeout(600)
def test_the_parser_of_asyncapi_finds_no_fault(sqlite_url: str) -> None:
    """The shipped modules' document is AsyncAPI 3.0; orders sends, and analytics receives it."""
    found = asyncapi.parse(served(sqlite_url, *SHIPPED))
    assert [it for it in found["told"] if it["code"] != "asyncapi-latest-version"] == []
    assert found["version"] == "3.0.0"
    operations = {it["id"]: it for it in found["operations"]}
    sent, received = operations["orders.send"], operations["analytics.receive.orders"]
    assert (sent["action"], received["action"]) == ("send", "receive")
    assert sent["channels"] == received["channels"] == ["tessera.orders"]
    assert sent["messages"] == ["orders.order_created.v1", "orders.order_status_changed.v1"]
    assert set(received["messages"]) <= set(sent["messages"])


@pytest.mark.timeout(600)
def test_the_parser_sees_what_is_wrong(sqlite_url: str) -> None:
    """A document with a reference that leads nowhere is an error: the parser is really asked."""
    document = served(sqlite_url, *SHIPPED)
    document["operations"]["orders.send"]["channel"] = {"$ref": "#/channels/nowhere"}
    found = asyncapi.parse(document)
    assert [it["path"] for it in found["told"] if it["severity"] == "error"] != []


def test_a_message_is_a_cloud_event_with_its_payload(sqlite_url: str) -> None:
    """Headers carry CloudEvents' attributes; the payload's schema is whole, its models beside."""
    document = served(sqlite_url, *SHIPPED)
    message = document["components"]["messages"]["orders.order_created.v1"]
    headers = message["headers"]["properties"]
    assert headers["ce_type"]["const"] == "orders.order_created.v1"
    assert headers["ce_source"]["const"] == "/tessera/orders"
    assert {"ce_id", "ce_time", "ce_subject", "ce_specversion"} <= set(
        message["headers"]["required"]
    )
    line = "orders.order_created.v1.OrderedLine"
    assert message["payload"]["properties"]["lines"]["items"] == {
        "$ref": f"#/components/schemas/{line}"
    }
    assert "quantity" in document["components"]["schemas"][line]["properties"]
    assert "bindings" not in document["channels"]["orders"]


@pytest.mark.timeout(600)
def test_kafka_is_told_of_where_it_is_configured(sqlite_url: str) -> None:
    """With a broker there are servers, topics, keys and consumer groups; the parser agrees."""
    kafka = {"bootstrap_servers": "127.0.0.1:1, 127.0.0.1:2", "topic_prefix": "shop"}
    settings = settings_for(sqlite_url, *SHIPPED, kafka=kafka)
    registry = load(settings)
    document = describe(registry, plan_of(registry).catalog, settings)
    assert [it["host"] for it in document["servers"].values()] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert document["channels"]["orders"]["bindings"]["kafka"]["topic"] == "shop.orders"
    group = document["operations"]["analytics.receive.orders"]["bindings"]["kafka"]["groupId"]
    assert group["enum"] == ["shop.analytics"]
    found = asyncapi.parse(document)
    assert [it for it in found["told"] if it["code"] != "asyncapi-latest-version"] == []
    assert {it["id"]: it for it in found["operations"]}["orders.send"]["channels"] == [
        "shop.orders"
    ]


VERSIONS = (
    HEAD
    + """
class StruckV1(Event, type="belfry.bell_struck.v1", aggregate="bell", key="bell"):
    bell: str

class Struck(Event, type="belfry.bell_struck.v2", aggregate="bell", key="bell"):
    bell: str
    pair: tuple[int, str] | None = None

@upcast(StruckV1, Struck)
def lifted(old: StruckV1) -> Struck:
    return Struck(bell=old.bell)

async def hear(event, delivery): ...

async def count(session, event, delivery): ...

@hookimpl
def manifest():
    return Manifest("belfry", "1.0")

@hookimpl
def events():
    return [StruckV1, Struck, lifted]

@hookimpl
def subscriptions():
    return [on(Struck, count), broadcast(Struck, hear)]
"""
)


@pytest.mark.timeout(600)
def test_versions_and_broadcasts_are_told(garden: Garden, sqlite_url: str) -> None:
    """A group that wants the new version is given the old one too; a broadcast is an operation."""
    garden.plant("belfry", VERSIONS)
    document = served(sqlite_url, "belfry")
    both = {"belfry.bell_struck.v1", "belfry.bell_struck.v2"}
    assert set(document["channels"]["belfry"]["messages"]) == both
    for name in ("belfry.receive.belfry", "belfry.hear.belfry"):
        told = {it["$ref"].rpartition("/")[2] for it in document["operations"][name]["messages"]}
        assert told == both
    assert "In every process" in document["operations"]["belfry.hear.belfry"]["description"]
    assert [it for it in asyncapi.parse(document)["told"] if it["severity"] == "error"] == []


def test_disabled_modules_leave_no_trace(garden: Garden, sqlite_url: str) -> None:
    """What is not enabled neither sends nor receives."""
    tower.plant(garden)
    document = served(sqlite_url, "tower")
    assert set(document["channels"]) == {"tower"}
    assert set(document["operations"]) == {"tower.send"}
    assert "orders" not in str(document)


def test_it_is_found_from_the_front_page_and_off_with_the_docs(sqlite_url: str) -> None:
    """`/` leads to it, in JSON and in HTML; where docs are off there is neither link nor page."""
    with serving(sqlite_url) as client:
        assert client.get("/").json()["asyncapi"] == "/asyncapi.json"
        assert 'href="/asyncapi.json"' in client.get("/", headers={"Accept": "text/html"}).text
    with serving(sqlite_url, server={"docs": False}) as client:
        assert "asyncapi" not in client.get("/").json()
        answer = client.get("/asyncapi.json")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
