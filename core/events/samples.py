"""A made-up payload of an event, for its golden file: every field there, each of its type."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from core.errors import Refused
from core.events.event import Event

DEPTH = 8
"""How far a schema that leads back to itself is followed."""
TEXTS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "uuid": "6f1c0a52-8d0b-4f5e-9c56-0d2f7f3f2a11",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
Schema = dict[str, Any]


def sample_of(event: type[Event]) -> dict[str, Any]:
    """A payload as the event's publisher would write it.

    Raises Refused for an event whose fields cannot be made up from their schema alone.
    """
    schema = event.model_json_schema()
    try:
        made = event.model_validate(_value(schema, schema.get("$defs", {}), DEPTH))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the payload"
        raise Refused(
            f"no payload of {event.event_type} can be made up: {place}: {first['msg']}; "
            "write one into a file and name it with --payload"
        ) from error
    payload: dict[str, Any] = json.loads(made.model_dump_json())
    return payload


def _value(schema: Schema, defs: Schema, depth: int) -> Any:
    if "$ref" in schema:
        return _value(defs[schema["$ref"].rpartition("/")[2]], defs, depth - 1)
    for given in ("examples", "enum"):
        if schema.get(given):
            return schema[given][0]
    if "const" in schema:
        return schema["const"]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            options = [it for it in schema[choice] if depth > 0 or it.get("type") == "null"]
            some = [it for it in options if it.get("type") != "null"] or options
            return _value(some[0], defs, depth) if some else None
    return _of_type(schema, defs, depth)


def _of_type(schema: Schema, defs: Schema, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, defs, depth)
    if kind == "array":
        return _array(schema, defs, depth)
    if kind in ("integer", "number"):
        return _number(schema)
    if kind == "string":
        return _text(schema)
    return True if kind == "boolean" else None


def _object(schema: Schema, defs: Schema, depth: int) -> Schema:
    fields = schema.get("properties", {})
    more = schema.get("additionalProperties")
    made = {name: _value(it, defs, depth) for name, it in fields.items()}
    if not fields and isinstance(more, dict) and depth > 0:
        made["key"] = _value(more, defs, depth)
    return made


def _array(schema: Schema, defs: Schema, depth: int) -> list[Any]:
    if "prefixItems" in schema:
        return [_value(it, defs, depth) for it in schema["prefixItems"]]
    count = max(schema.get("minItems", 0), 1 if depth > 0 else 0)
    return [_value(schema.get("items", {}), defs, depth) for _ in range(count)]


def _number(schema: Schema) -> int | float:
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + step)
    below = schema.get("exclusiveMaximum")
    if schema["type"] == "number" and below is not None and least >= below:
        return float(schema.get("exclusiveMinimum", below - step) + below) / 2
    most = schema.get("maximum", least if below is None else below - step)
    chosen: int | float = min(least, most)
    return chosen


def _text(schema: Schema) -> str:
    text = TEXTS.get(schema.get("format", ""), "text")
    padded = text.ljust(schema.get("minLength", 0), "x")
    return padded[: schema.get("maxLength", len(padded))]
