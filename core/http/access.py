"""Deny by default: a route that does not say who may call it fails its module at build time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi.routing import APIRoute, APIWebSocketRoute

from core.errors import ModuleFailure
from core.http.routing import Entry
from core.services import ServiceDependency


def check_routes(
    entries: Iterable[Entry], *, permissions: Iterable[str], contracts: Iterable[type[Any]]
) -> None:
    """Hold every route against the rules. Raises ModuleFailure naming the first that breaks one.

    `permissions` and `contracts` are what the enabled modules declare and offer.
    """
    known, offered = set(permissions), set(contracts)
    before: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        _refuse_twice(entry, before)
        if entry.access is None:
            raise _unguarded(entry)
        for permission in entry.access.permissions:
            if permission not in known:
                raise ModuleFailure(
                    f"the route {entry} requires the permission {permission!r}, "
                    "which no enabled module declares",
                    remedy="declare it in permissions(), or require the module that does",
                )
        for call in entry.calls:
            if isinstance(call, ServiceDependency) and call.contract not in offered:
                raise ModuleFailure(
                    f"the route {entry} needs a service {call.contract.__qualname__}, "
                    "which no enabled module offers",
                    remedy="offer it in services(), or require the module that does",
                )


def _unguarded(entry: Entry) -> ModuleFailure:
    """What Starlette adds has no dependencies, and so no way to say who may call it."""
    if entry.kind == "MOUNT":
        what = f"what is mounted at {entry.path.removesuffix('/{path}')}"
    elif isinstance(entry.context.original_route, APIRoute | APIWebSocketRoute):
        return ModuleFailure(
            f"the route {entry} does not say who may call it",
            remedy="add `public` or `requires(...)` to its dependencies or to its router's",
        )
    else:
        what = f"Starlette's route {entry}"
    return ModuleFailure(
        f"{what} cannot say who may call it",
        remedy="answer from a route of FastAPI's (@router.get, @router.websocket …), with `public` "
        "or `requires(...)`",
    )


def _refuse_twice(entry: Entry, before: dict[tuple[str, str], Entry]) -> None:
    """FastAPI would call the first of two routes for ever, and show both in the schema."""
    for method in entry.methods or {entry.kind}:
        earlier = before.setdefault((method, entry.pattern), entry)
        if earlier is not entry:
            places = f"{earlier.place} and {entry.place}"
            raise ModuleFailure(
                f"two routes are {method} {entry.path}: {places}; only the first would be called",
                remedy="take one of them away",
                code="T101",
                place=f"{entry} ({entry.place})",
            )
