"""The smallest valid request of an operation, made from its schema."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

Operation = dict[str, Any]
_numbers = itertools.count(1)
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def operations(schema: Mapping[str, Any]) -> dict[tuple[str, str], Operation]:
    """{(method, path): operation} of a version."""
    return {
        (method.upper(), path): item[method]
        for path, item in schema["paths"].items()
        for method in METHODS
        if method in item
    }


class RequestMaker:
    """Fills in what operations need; `known` are values by name that a schema cannot know."""

    def __init__(
        self, schema: Mapping[str, Any], known: Mapping[str, Any], *, full: bool = False
    ) -> None:
        """`full` fills in what may be left out, too."""
        self._schemas = schema["components"]["schemas"]
        self._known = known
        self._full = full

    def query(self, operation: Operation) -> dict[str, Any]:
        """The query parameters that must be there."""
        needed = [p for p in operation.get("parameters", ()) if p["in"] == "query"]
        return {p["name"]: self.value(p["name"], p["schema"]) for p in needed if p["required"]}

    def body(self, operation: Operation) -> dict[str, Any]:
        """The body as a keyword of the client: ``json`` or ``data``; none where none is wanted."""
        if "requestBody" not in operation:
            return {}
        [(media, content)] = operation["requestBody"]["content"].items()
        keyword = "json" if media == "application/json" else "data"
        return {keyword: self.value("", content["schema"])}

    def value(self, name: str, schema: Mapping[str, Any]) -> Any:
        """A value that the schema takes."""
        if name in self._known:
            return self._known[name]
        if "$ref" in schema:
            return self.value(name, self._schemas[schema["$ref"].rpartition("/")[2]])
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self.value(name, schema[several][0])
        if "enum" in schema or "const" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        return getattr(self, f"_{schema['type']}")(name, schema)

    def _object(self, _name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        # Where nothing is required (PATCH) one field is sent, so that something happens.
        wanted = schema.get("required") or list(properties)[:1]
        if self._full:
            wanted = list(properties)
        return {name: self.value(name, properties[name]) for name in wanted}

    def _array(self, name: str, schema: Mapping[str, Any]) -> list[Any]:
        return [self.value(name, schema["items"]) for _ in range(max(1, schema.get("minItems", 0)))]

    def _string(self, name: str, schema: Mapping[str, Any]) -> str:
        number = next(_numbers)
        if schema.get("format") == "email":
            return f"made{number}@requests.example"
        if schema.get("format") == "date-time":
            return "1997-08-25T12:00:00Z"
        if "examples" in schema and name != "sku":
            return str(schema["examples"][0])
        return f"{name}-{number}".ljust(schema.get("minLength", 0), "x")

    def _integer(self, _name: str, schema: Mapping[str, Any]) -> int:
        return int(schema.get("minimum", 1))

    def _number(self, _name: str, schema: Mapping[str, Any]) -> float:
        return float(schema.get("minimum", 1))

    def _boolean(self, _name: str, _schema: Mapping[str, Any]) -> bool:
        return True
