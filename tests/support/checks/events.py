"""T7: events that differ from what was published of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.support.checks.plots import Case, Plot, module

EVENT = """
from pydantic import Field

class {0}(Event, type="bad.thing_sold.v{1}", aggregate="{3}", key="id"):{4}
    id: int
    {2}
"""
LIFT = """
@upcast(Sold, SoldNow)
def lifted(old: Sold) -> SoldNow:
    {0}
"""
SCHEMA = {
    "additionalProperties": False,
    "properties": {"id": {"type": "integer"}, "price": {"type": "integer"}},
    "required": ["id", "price"],
    "type": "object",
}


def event(
    name: str = "Sold",
    *,
    version: int = 1,
    fields: str = "price: int",
    aggregate: str = "thing",
    mark: str = "",
) -> str:
    """The source of an event class."""
    return EVENT.format(name, version, fields, aggregate, mark)


def publishing(*things: str, classes: str) -> Plot:
    """Module `bad` that lists these in events()."""
    hook = f"\n@hookimpl\ndef events():\n    return [{', '.join(things)}]\n"
    return Plot(module(classes + hook))


def keeping(plot: Plot, *, version: int = 1, **changes: Any) -> Plot:
    """With a golden file of what `event()` is."""
    kept = {"aggregate": "thing", "key": "id", "payload": {"id": 1, "price": 2}, "schema": SCHEMA}
    text = json.dumps({name: it for name, it in (kept | changes).items() if it is not None})
    return replace(plot, files={**plot.files, f"golden/bad.thing_sold.v{version}.json": text})


SOLD = publishing("Sold", classes=event())
NEXT = event() + event("SoldNow", version=2, fields="price: int\n    currency: str")
NEXT_SCHEMA = {
    **SCHEMA,
    "properties": {**SCHEMA["properties"], "currency": {"type": "string"}},  # type: ignore[dict-item]
    "required": ["id", "price", "currency"],
}
LIFTING = LIFT.format("return SoldNow(id=old.id, price=old.price, currency='USD')")
FAILING = LIFT.format("return SoldNow(id=old.id, price=old.price, currency=None)")
STUCK = LIFT.format("return old")
FILE = "planted_bad/golden/bad.thing_sold.v1.json:1"


def both(plot: Plot) -> Plot:
    """With golden files of both versions."""
    payload = {"id": 1, "price": 2, "currency": "EUR"}
    return keeping(keeping(plot), version=2, payload=payload, schema=NEXT_SCHEMA)


EVENTS = [
    Case(
        "T701",
        "a field that is gone",
        keeping(publishing("Sold", classes=event(fields="pass", mark="  #<"))),
        keeping(SOLD),
    ),
    Case(
        "T701",
        "a field of another type",
        keeping(publishing("Sold", classes=event(fields="price: str", mark="  #<"))),
        keeping(publishing("Sold", classes=event(fields="price: int = Field(title='Price')"))),
    ),
    Case(
        "T701",
        "another aggregate",
        keeping(publishing("Sold", classes=event(aggregate="goods", mark="  #<"))),
        keeping(SOLD),
    ),
    Case(
        "T702",
        "an event of which nothing is kept",
        publishing("Sold", classes=event(mark="  #<")),
        keeping(SOLD),
    ),
    Case(
        "T703",
        "a damaged file",
        replace(SOLD, files={"golden/bad.thing_sold.v1.json": "{"}),
        replace(
            keeping(SOLD), files={**keeping(SOLD).files, "golden/other.thing_sold.v1.json": "{}"}
        ),
        at=FILE,
    ),
    Case(
        "T703",
        "a payload that the class refuses now",
        keeping(
            publishing(
                "Sold",
                classes=event(
                    fields="price: int\n\n    def model_post_init(self, context):\n"
                    "        if self.price < 3:\n            raise ValueError('too cheap')"
                ),
            )
        ),
        keeping(
            publishing(
                "Sold",
                classes=event(
                    fields="price: int\n\n    def model_post_init(self, context):\n"
                    "        if self.price < 1:\n            raise ValueError('too cheap')"
                ),
            )
        ),
        at=FILE,
    ),
    Case(
        "T703",
        "an upcaster that fails on what was published",
        both(publishing("Sold", "SoldNow", "lifted", classes=NEXT + FAILING)),
        both(publishing("Sold", "SoldNow", "lifted", classes=NEXT + LIFTING)),
        at=FILE,
    ),
    Case(
        "T703",
        "an upcaster that gives the old version again",
        both(publishing("Sold", "SoldNow", "lifted", classes=NEXT + STUCK)),
        both(publishing("Sold", "SoldNow", "lifted", classes=NEXT + LIFTING)),
        at=FILE,
    ),
    Case(
        "T704",
        "a second version without an upcaster",
        both(publishing("Sold", "SoldNow", classes=NEXT)),
        both(publishing("Sold", "SoldNow", "lifted", classes=NEXT + LIFTING)),
        at=FILE,
    ),
    Case(
        "T704",
        "a published event that is declared no more",
        keeping(publishing(classes="")),
        publishing(classes=""),
        at=FILE,
    ),
    Case(
        "T705",
        "a field that came and is not kept yet",
        keeping(
            publishing("Sold", classes=event(fields="price: int\n    note: str = ''", mark="  #<"))
        ),
        keeping(
            publishing("Sold", classes=event(fields="price: int\n    note: str = ''")),
            schema={
                **SCHEMA,
                "properties": {
                    **SCHEMA["properties"],  # type: ignore[dict-item]
                    "note": {"default": "", "type": "string"},
                },
            },
        ),
    ),
]
