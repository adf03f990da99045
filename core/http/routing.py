"""The routes below one first path segment, found without trying them one after another.

FastAPI walks its tree of included routers twice for a request (to match, then to handle) and runs a
regular expression for each route on the way. Here the effective routes that FastAPI built are laid
out once, by the number of segments in their path; text is compared where a path has no parameter.
The order of declaration still decides, as it does in FastAPI, and what answers is the application
that FastAPI made for the route.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, RouteContext, iter_route_contexts
from starlette.convertors import PathConvertor
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import NotFound
from core.http.problems import problem_response
from core.identity import Access, is_public_marker
from core.request import SCOPE_REQUEST

_PLAIN = {
    APIRoute: (APIRoute.matches, APIRoute.handle),
    APIWebSocketRoute: (APIWebSocketRoute.matches, APIWebSocketRoute.handle),
}


def dependencies_of(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    """Every callable that a route depends on, however deep."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from dependencies_of(dependency)


class Entry:
    """One effective route: how to match it, what answers, who may call."""

    __slots__ = (
        "_convertors",
        "_regex",
        "access",
        "app",
        "calls",
        "context",
        "endpoint",
        "methods",
        "path",
        "route",
        "slashes",
    )

    def __init__(self, context: RouteContext) -> None:
        self.context = context
        self.path: str = context.path_format or ""
        self.methods: frozenset[str] | None = (
            frozenset(context.methods) if context.methods else None
        )
        dependant: Dependant | None = getattr(context, "dependant", None)
        self.calls = tuple(dependencies_of(dependant)) if dependant else ()
        self.access = _access(self.calls)
        self.app: ASGIApp = context.app
        # A context looks these two up through its properties, each time anew.
        self.endpoint = context.endpoint
        self.route: str | None = getattr(context, "path", None)
        self._convertors = dict(getattr(context, "param_convertors", None) or {})
        self._regex = getattr(context, "path_regex", None) if self._convertors else None
        greedy = any(isinstance(c, PathConvertor) for c in self._convertors.values())
        self.slashes = None if greedy else self.path.count("/")
        if dependant is not None:
            # Already told, and solving a dependency that does nothing costs a tenth of a request.
            dependant.dependencies[:] = [
                d for d in dependant.dependencies if not is_public_marker(d.call)
            ]

    @property
    def kind(self) -> str:
        """Its methods, or what else it is: a socket, or an application that is mounted."""
        socket = isinstance(self.context.original_route, APIWebSocketRoute | WebSocketRoute)
        return ",".join(sorted(self.methods or ())) or ("WEBSOCKET" if socket else "MOUNT")

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    @property
    def pattern(self) -> str:
        """Two routes with one pattern match the same paths, however their parameters are called."""
        regex = getattr(self.context, "path_regex", None)
        return re.sub(r"\?P<\w+>", "", regex.pattern) if regex is not None else self.path

    @property
    def place(self) -> str:
        """``file:line`` of the function; its name where it has none."""
        endpoint: Any = self.endpoint
        code = getattr(inspect.unwrap(endpoint), "__code__", None) if endpoint else None
        if code is None:
            return str(getattr(endpoint, "__qualname__", endpoint))
        return f"{code.co_filename}:{code.co_firstlineno}"

    def match(self, path: str) -> dict[str, Any] | None:
        """The path's parameters; None when the path is another."""
        if self._regex is None:
            return {} if path == self.path else None
        found = self._regex.match(path)
        if found is None:
            return None
        return {k: self._convertors[k].convert(v) for k, v in found.groupdict().items()}


def _access(calls: Iterable[Any]) -> Access | None:
    """Who may call; None when no dependency says it. Permissions add up, and public gives way."""
    said = [call for call in calls if isinstance(call, Access)]
    strict = [access for access in said if not access.public]
    if not strict:
        return said[0] if said else None
    names = tuple(dict.fromkeys(p for access in strict for p in access.permissions))
    return Access(public=False, permissions=names)


class RouteTable:
    """ASGI: the routes of one module below one first path segment."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.entries: list[Entry] = []
        self.included: list[BaseRoute] = []
        self._plain = True
        self._by_slashes: dict[int, list[Entry]] = {}
        self._greedy: list[Entry] = []

    def add(self, router: APIRouter, included: BaseRoute) -> None:
        """Lay out what `include_router` made of `router`; raises what FastAPI raises of it."""
        self.included.append(included)
        self.entries += [Entry(context) for context in iter_route_contexts([included])]
        self._plain = self._plain and _is_plain(router, self.entries)
        self._greedy = [entry for entry in self.entries if entry.slashes is None]
        for count in {entry.slashes for entry in self.entries if entry.slashes is not None}:
            self._by_slashes[count] = [e for e in self.entries if e.slashes in (None, count)]

    def clear(self) -> None:
        """Let go of every route; there is nothing to answer any more."""
        self.entries.clear()
        self.included.clear()
        self._by_slashes.clear()
        self._greedy.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise the 404 or 405 that the version's handlers turn into a problem."""
        if not self._plain:
            await self._as_fastapi_does(scope, receive, send)
            return
        path: str = scope["path"][len(scope["root_path"]) :]
        method: str | None = scope.get("method")
        allowed: set[str] = set()
        for entry in self._by_slashes.get(path.count("/"), self._greedy):
            parameters = entry.match(path)
            if parameters is None:
                continue
            methods = entry.methods
            if (methods is None) if method is None else (methods is not None and method in methods):
                scope["path_params"] = parameters
                scope["endpoint"] = entry.endpoint
                scope["route"] = entry.context
                scope[SCOPE_REQUEST].route = entry.route
                await entry.app(scope, receive, send)
                return
            allowed |= methods or set()
        if allowed:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        await nothing_here(scope, receive, send)

    async def _as_fastapi_does(self, scope: Scope, receive: Receive, send: Send) -> None:
        finder = APIRouter(redirect_slashes=False)
        finder.routes.extend(self.included)
        await finder.app(scope, receive, send)


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """The 404 of a path that no route matches, told to a socket's handshake as well."""
    if scope["type"] == "http":
        raise HTTPException(404)
    if "websocket.http.response" in scope.get("extensions", {}):
        problem = NotFound(f"There is no socket at {scope['path']}.")
        await problem_response(problem, scope)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1000, "reason": "not found"})


def _is_plain(router: APIRouter, entries: Sequence[Entry]) -> bool:
    """Whether nothing in a router asks for FastAPI's own way of finding and handling routes."""
    if router.form_limits:
        return False
    for entry in entries:
        route = entry.context.original_route
        kind = APIRoute if isinstance(route, APIRoute) else APIWebSocketRoute
        if (type(route).matches, type(route).handle) != _PLAIN[kind]:
            return False
    return all(_is_plain(inner, ()) for inner in map(_original, router.routes) if inner is not None)


def _original(route: BaseRoute) -> APIRouter | None:
    found = getattr(route, "original_router", None)
    return found if isinstance(found, APIRouter) else None
