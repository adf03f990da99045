"""What a version's schema says beyond FastAPI's own: problems, who may call, how to sign in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    Problem,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)
from core.http.problems import MEDIA_TYPE
from core.http.routing import Entry
from core.identity import Access

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details; `type` leads to a page that explains it.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/not-found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "description": "where and why, for 422",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
    },
}


def enrich(
    schema: dict[str, Any],
    entries: Iterable[Entry],
    *,
    security_schemes: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Add to a version's schema what holds for every operation of Tessera."""
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["schemas"] = dict(sorted(schemas.items()))
    if security_schemes:
        components["securitySchemes"] = {k: dict(v) for k, v in security_schemes.items()}
    for entry in entries:
        _enrich_entry(schema, entry, list(security_schemes))
    return schema


def _enrich_entry(schema: dict[str, Any], entry: Entry, schemes: list[str]) -> None:
    item = schema.get("paths", {}).get(entry.path)
    if entry.access is None or item is None:
        return
    for method in entry.methods or ():
        operation = item.get(method.lower())
        if operation is not None:
            _enrich_operation(operation, entry.access, schemes)


def _enrich_operation(operation: dict[str, Any], access: Access, schemes: list[str]) -> None:
    operation["x-access"] = access.describe()
    if not access.public and schemes:
        operation["security"] = [{name: []} for name in schemes]
    responses = operation["responses"]
    for problem in _problems_of(operation, access):
        responses[str(int(problem.status))] = {"description": problem.title}
    for status, response in responses.items():
        if status[:1] in "45":
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = dict(sorted(responses.items()))


def _problems_of(operation: Mapping[str, Any], access: Access) -> list[type[Problem]]:
    found: list[type[Problem]] = [Unavailable]
    parameters = operation.get("parameters", ())
    if not access.public:
        found += [Unauthenticated, Forbidden]
    # One that a module wrote may be a reference (OpenAPI 3.1, Reference Object).
    if any(parameter.get("in") == "path" for parameter in parameters):
        found.append(NotFound)
    if parameters or "requestBody" in operation:
        found.append(Unprocessable)
    if "requestBody" in operation:
        found += [BadRequest, PayloadTooLarge]
    return [
        p for p in found if str(int(p.status)) not in operation["responses"] or p is Unprocessable
    ]
