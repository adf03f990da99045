"""Whether payloads of an earlier form of an event still decode: its JSON Schema then and now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def breaking_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed that is no mere addition of an optional field; empty when all is well."""
    return [*_of_object("", then, now, (then.get("$defs", {}), now.get("$defs", {})))]


def _of_object(
    at: str, then: Mapping[str, Any], now: Mapping[str, Any], defs: tuple[Any, Any]
) -> Iterator[str]:
    before, after = then.get("properties", {}), now.get("properties", {})
    for name in before:
        if name not in after:
            yield f"{at}{name} is gone"
        else:
            yield from _of_field(f"{at}{name}", before[name], after[name], defs)
    for name in now.get("required", ()):
        if name not in then.get("required", ()):
            yield f"{at}{name} is required now"


def _of_field(at: str, then: Any, now: Any, defs: tuple[Any, Any]) -> Iterator[str]:
    then, now = _resolved(then, defs[0]), _resolved(now, defs[1])
    if "properties" in then and "properties" in now:
        yield from _of_object(f"{at}.", then, now, defs)
    elif "items" in then and "items" in now:
        yield from _of_field(f"{at}[]", then["items"], now["items"], defs)
    elif _bare(then) != _bare(now):
        yield f"{at} was {_bare(then)}, is {_bare(now)}"


def _resolved(schema: Any, defs: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = defs[name] if name else schema
    return found


def _bare(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only describes."""
    return {k: v for k, v in schema.items() if k not in ("title", "description", "examples")}
