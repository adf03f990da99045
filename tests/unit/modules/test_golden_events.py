"""Every event ever published still decodes, and none changes without a new version."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from core.events.catalog import EventCatalog
from core.events.compatibility import breaking_changes
from core.plugin import Event

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = sorted((ROOT / "modules").glob("*/golden/*.json"))
PUBLISHERS = ("users", "catalog", "orders")


def published() -> list[type[Event]]:
    """What the shipped modules declare."""
    modules = [importlib.import_module(f"modules.{name}.module") for name in PUBLISHERS]
    return [event for module in modules for event in module.events()]


def test_every_published_version_has_a_golden_payload() -> None:
    """There is one golden file an event type, beside the module that publishes it, and no other."""
    files = {path.stem: path.parent.parent.name for path in GOLDEN}
    assert files == {event.event_type: event.event_module for event in published()}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_payloads_decode_and_their_schemas_hold(path: Path) -> None:
    """A payload as it was first published decodes to itself, and its schema has not been broken."""
    golden = json.loads(path.read_text(encoding="utf-8"))
    catalog = EventCatalog(published(), ())
    event = catalog.decode(path.stem, json.dumps(golden["payload"]))
    assert json.loads(event.model_dump_json()) == golden["payload"]
    assert breaking_changes(golden["schema"], catalog.schemas()[path.stem]) == []


class Line(Event, type="shop.line_added.v1", aggregate="line", key="line_id"):
    """Only nested below."""

    line_id: int


def changed(**fields: Any) -> dict[str, Any]:
    """The schema of an event with these fields."""
    annotations = {name: it if isinstance(it, type) else it[0] for name, it in fields.items()}
    defaults = {name: it[1] for name, it in fields.items() if not isinstance(it, type)}
    body = {"__annotations__": annotations, "__module__": __name__, **defaults}
    keywords = {"type": "shop.thing_sold.v1", "aggregate": "thing", "key": "id"}
    made = type(Event)("Sold", (Event,), body, **keywords)
    return dict(made.model_json_schema())


@pytest.mark.parametrize(
    ("now", "breaches"),
    [
        (changed(id=int, price=int), []),
        (changed(id=int, price=int, note=(str, "")), []),
        (changed(id=int), ["price is gone"]),
        (changed(id=int, price=str), ["price was {'type': 'integer'}, is {'type': 'string'}"]),
        (changed(id=int, price=int, note=str), ["note is required now"]),
        (changed(id=int, price=(int, 0)), ["price was {'type': 'integer'}, is"]),
    ],
    ids=["same", "optional more", "one less", "another type", "required more", "a default"],
)
def test_a_changed_schema_without_a_new_version_fails(
    now: dict[str, Any], breaches: list[str]
) -> None:
    """An optional field may come; whatever else changes is named."""
    found = breaking_changes(changed(id=int, price=int), now)
    assert len(found) == len(breaches)
    assert all(it.startswith(breach) for it, breach in zip(found, breaches, strict=True))


def test_a_change_deep_inside_is_found() -> None:
    """A line of an order is held to as the order is."""
    golden = json.loads((ROOT / "modules/orders/golden/orders.order_created.v1.json").read_text())
    now = json.loads(json.dumps(golden["schema"]))
    now["$defs"]["OrderedLine"]["properties"]["quantity"]["type"] = "string"
    assert breaking_changes(golden["schema"], now) == [
        "lines[].quantity was {'type': 'integer'}, is {'type': 'string'}"
    ]
