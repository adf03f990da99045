"""Deny by default: a route that does not say who may call it makes its module fail at build time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute

from core.errors import ModuleFailure
from core.identity import Access
from core.services import ServiceDependency


def dependencies_of(dependant: Dependant) -> Iterator[Any]:
    """Every callable that a route depends on, however deep."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from dependencies_of(dependency)


def access_of(route: RouteContext) -> Access | None:
    """What a route says of who may call it; None when it says nothing.

    Of several answers the strictest counts: permissions add up, and public gives way.
    """
    dependant = getattr(route, "dependant", None)
    if dependant is None:
        return None
    said = [call for call in dependencies_of(dependant) if isinstance(call, Access)]
    if not said:
        return None
    strict = [access for access in said if not access.public]
    if not strict:
        return said[0]
    names = tuple(dict.fromkeys(p for access in strict for p in access.permissions))
    return Access(public=False, permissions=names)


def describe_route(route: RouteContext) -> str:
    """``GET /products/{product_id}``, for messages."""
    methods = ",".join(sorted(route.methods or ())) or "WEBSOCKET"
    return f"{methods} {route.path}"


def check_routes(
    routes: Iterable[BaseRoute], *, permissions: Iterable[str], contracts: Iterable[type[Any]]
) -> None:
    """Hold every route against the rules. Raises ModuleFailure naming the first that breaks one.

    `permissions` and `contracts` are what the enabled modules declare and offer.
    """
    known, offered = set(permissions), set(contracts)
    for route in iter_route_contexts(list(routes)):
        access = access_of(route)
        if access is None:
            raise ModuleFailure(
                f"the route {describe_route(route)} does not say who may call it",
                remedy="add `public` or `requires(...)` to its dependencies or to its router's",
            )
        _check_permissions(route, access, known)
        _check_services(route, offered)


def _check_permissions(route: RouteContext, access: Access, known: set[str]) -> None:
    for permission in access.permissions:
        if permission not in known:
            raise ModuleFailure(
                f"the route {describe_route(route)} requires the permission {permission!r}, "
                "which no enabled module declares",
                remedy="declare it in permissions(), or require the module that does",
            )


def _check_services(route: RouteContext, offered: set[type[Any]]) -> None:
    for call in dependencies_of(route.dependant):
        if isinstance(call, ServiceDependency) and call.contract not in offered:
            raise ModuleFailure(
                f"the route {describe_route(route)} needs a service {call.contract.__qualname__}, "
                "which no enabled module offers",
                remedy="offer it in services(), or require the module that does",
            )
