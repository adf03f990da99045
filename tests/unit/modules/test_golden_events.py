"""Every event ever published still decodes, and none changes without a new version."""

from __future__ import annotations

import importlib
import json
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from core.events.catalog import EventCatalog
from core.events.compatibility import breaking_changes
from core.events.golden import read
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
    """A payload as it was first published decodes to itself, and its class has broken nothing."""
    golden = read(path)
    event = EventCatalog(published(), ()).decode(path.stem, json.dumps(golden.payload))
    assert golden.payload.items() <= json.loads(event.model_dump_json()).items()
    assert golden.breaches(type(event)) == []
    assert not golden.is_behind(type(event))


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


class Line(BaseModel):
    """Only nested below."""

    line_id: int


class Item(BaseModel):
    """The same, of another type within."""

    model_config = {"title": "Line"}
    line_id: str


class Tree(BaseModel):
    """It leads back to itself."""

    branches: tuple[Tree, ...] = ()


@pytest.mark.parametrize(
    ("then", "now", "breach"),
    [
        (Line | None, Item | None, "price.line_id was {'type': 'integer'}"),
        (dict[str, Line], dict[str, Item], "price{}.line_id was"),
        (tuple[Line, int], tuple[Item, int], "price.line_id was"),
        (tuple[Line, int], tuple[Line], "price was"),
        (list[Line], dict[str, Line], "price was"),
        (int | None, int, "price was"),
        (Literal["paid"], Literal["paid", "sent"], "price was"),
        (Tree, Tree, ""),
        (dict[str, int], dict[str, int], ""),
    ],
)
def test_a_change_is_found_wherever_it_is(then: Any, now: Any, breach: str) -> None:
    """Behind `None`, in mappings, in tuples: what is nested is held to as what is not."""
    found = breaking_changes(changed(id=int, price=(then, ...)), changed(id=int, price=(now, ...)))
    assert bool(found) == bool(breach)
    assert all(it.startswith(breach) for it in found)


class Size(StrEnum):
    """A definition of its own in the schema."""

    a = "a"
    b = "b"


KINDS = (Size, Literal["a", "b"], Literal["a"], list[Size], Line, Item, Tree, Tree | None)


@pytest.mark.parametrize("then", KINDS, ids=str)
def test_a_change_is_found_whatever_stands_before_it(then: Any) -> None:
    """Two fields of one type may become anything: something is said where either broke alone."""
    broken = {
        now: bool(breaking_changes(changed(id=int, z=(then, ...)), changed(id=int, z=(now, ...))))
        for now in KINDS
    }
    was = changed(id=int, y=(then, ...), z=(then, ...))
    for one, other in product(KINDS, KINDS):
        found = breaking_changes(was, changed(id=int, y=(one, ...), z=(other, ...)))
        assert bool(found) == (broken[one] or broken[other]), (one, other)


def test_a_narrower_field_is_found_behind_one_that_only_looks_otherwise() -> None:
    """An enum that is written out in one field, as it was, hides no other that takes less now."""
    then = changed(id=int, old=(Size, ...), new=(Size, ...))
    same, less = Literal["a", "b"], Literal["a"]
    assert breaking_changes(then, changed(id=int, old=(same, ...), new=(same, ...))) == []
    [found] = breaking_changes(then, changed(id=int, old=(same, ...), new=(less, ...)))
    assert found.startswith("new was {'enum': ['a', 'b']")


def test_what_stands_beside_a_reference_is_held_to() -> None:
    """Another default of an enum is told, also of the second field of that enum."""
    then = changed(id=int, old=(Size, Size.a), new=(Size, Size.a))
    [found] = breaking_changes(then, changed(id=int, old=(Size, Size.a), new=(Size, Size.b)))
    assert found.startswith("new was ")


def test_definitions_that_never_meet_are_compared_to_an_end() -> None:
    """Types that lead back to themselves, each where the other does not: equal, and an end."""
    even = TypeAliasType("even", "list[list[even]]")  # type: ignore[misc]
    odd = TypeAliasType("odd", "list[list[odd]]")  # type: ignore[misc]
    then, now = changed(id=int, tree=(even, ...)), changed(id=int, tree=(list[odd], ...))
    assert breaking_changes(then, now) == []
