"""Whether payloads of an earlier form of an event still decode: its JSON Schema then and now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
DESCRIBES = ("title", "description", "examples")
"""What may change freely: nothing is read by it."""
PARTS = ("properties", "items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties")
"""What is looked into where both forms have it."""
BESIDES = ("$defs", "$ref", "required")


def breaking_changes(then: Schema, now: Schema) -> list[str]:
    """What changed that is no mere addition of an optional field; empty when all is well."""
    return [*_Comparison(then, now).of("", then, now)]


class _Comparison:
    """Two schemas side by side; a definition that leads back to itself is compared once.

    What was seen are the two places, not the names at them: a definition on one side may stand
    against anything on the other, and what is beside a reference belongs to its place.
    """

    def __init__(self, then: Schema, now: Schema) -> None:
        self._then, self._now = then.get("$defs", {}), now.get("$defs", {})
        self._seen: set[tuple[int, int]] = set()

    def of(self, at: str, then: Any, now: Any) -> Iterator[str]:
        """What broke at one place and below it."""
        if isinstance(then, Mapping) and isinstance(now, Mapping):
            pair = id(then), id(now)
            if pair in self._seen:
                return
            self._seen.add(pair)
            then, now = _resolved(then, self._then), _resolved(now, self._now)
            shared = [it for it in PARTS if _is_looked_into(then.get(it), now.get(it))]
            before, after = _bare(then, shared), _bare(now, shared)
            if before == after:
                for part in shared:
                    yield from self._of_part(at, part, then, now)
                return
        else:
            before, after = then, now
        if before != after:
            yield f"{at or 'the payload'} was {before}, is {after}"

    def _of_part(self, at: str, part: str, then: Schema, now: Schema) -> Iterator[str]:
        if part == "properties":
            yield from self._of_object(f"{at}." if at else "", then, now)
        elif isinstance(then[part], list):
            for one, other in zip(then[part], now[part], strict=True):
                yield from self.of(at, one, other)
        else:
            yield from self.of(f"{at}{'[]' if part == 'items' else '{}'}", then[part], now[part])

    def _of_object(self, at: str, then: Schema, now: Schema) -> Iterator[str]:
        before, after = then["properties"], now["properties"]
        for name in before:
            if name not in after:
                yield f"{at}{name} is gone"
            else:
                yield from self.of(f"{at}{name}", before[name], after[name])
        for name in now.get("required", ()):
            if name not in then.get("required", ()):
                yield f"{at}{name} is required now"


def _is_looked_into(then: Any, now: Any) -> bool:
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now)
    return isinstance(then, Mapping) and isinstance(now, Mapping)


def _resolved(schema: Schema, defs: Schema) -> Schema:
    """The definition that a reference leads to, with what stands beside the reference."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**defs[name], **schema} if name else schema


def _bare(schema: Schema, looked_into: list[str]) -> dict[str, Any]:
    """Without what only describes, and what is compared by itself."""
    without = {*DESCRIBES, *BESIDES, *looked_into}
    return {name: it for name, it in schema.items() if name not in without}
