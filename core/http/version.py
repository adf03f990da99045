"""One API version: a FastAPI application whose schema is whole and whose routing is by dictionary.

FastAPI tries routes one after another: with 1,000 of them the last answered 14 times slower than
the first. The application is built by `include_router`, so that schema, overrides and dependencies
are FastAPI's own; innermost, in place of the router's linear search, a dictionary leads from the
first segment of the path to the routers of the one module that owns it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import ModuleFailure
from core.http.docs import add_docs
from core.http.openapi import enrich
from core.http.problems import exception_handlers
from core.request import SCOPE_REQUEST

if TYPE_CHECKING:
    from core.settings import Settings, VersionSettings

Headers = list[tuple[bytes, bytes]]


class VersionApp(FastAPI):
    """The sub-application of one version. Modules are added while it is built, never afterwards."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        overrides: dict[Callable[..., Any], Callable[..., Any]],
    ) -> None:
        """`overrides` is shared by all versions, so that a test's override reaches each of them."""
        self.lock = threading.Lock()
        self.version_name = name
        self.segments: dict[str, Segment] = {}
        self.security_schemes: dict[str, Mapping[str, Any]] = {}
        super().__init__(
            title=f"{settings.app.name} {name}",
            version=name.removeprefix("v"),
            description="Errors are problem details (RFC 9457). Other versions: see [/](/).",
            docs_url=None,
            redoc_url=None,
            openapi_url=None,  # served by core.http.docs, with assets of our own
            exception_handlers=exception_handlers(),
            redirect_slashes=False,
            max_body_size=settings.server.max_body_bytes,
            generate_unique_id_function=lambda route: f"{route.name}_{name}",
        )
        self.dependency_overrides = overrides
        self.own_routes = list(add_docs(self)) if docs_on(settings) else []
        self.lifetime_headers = lifetime_headers(name, settings)
        # Starlette calls this innermost, behind the error handlers and FastAPI's exit stacks.
        self.router.middleware_stack = SegmentDispatch(
            self.segments, Router(routes=self.own_routes, redirect_slashes=False)
        )

    def add_module(self, module_id: str, routers: Sequence[APIRouter]) -> list[BaseRoute]:
        """Include a module's routers; gives the included routes, for the checks.

        Raises ModuleFailure when a router has no prefix or a prefix that another module owns;
        nothing of the module is included then.
        """
        wanted = {}
        for router in routers:
            segment = first_segment(router.prefix)
            self._refuse_taken(segment, module_id)
            wanted.setdefault(segment, Segment(module_id))
        before = len(self.router.routes)
        try:
            for router in routers:
                self.include_router(router)
                wanted[first_segment(router.prefix)].routes.append(self.router.routes[-1])
            included = self.router.routes[before:]
            list(iter_route_contexts(included))  # what FastAPI would raise at the first request
        except BaseException:
            del self.router.routes[before:]
            raise
        self.segments.update(wanted)
        return included

    def remove_module(self, module_id: str) -> None:
        """Take back what `add_module` added, while the generation is still being built."""
        for segment in [s for s, owner in self.segments.items() if owner.module == module_id]:
            for route in self.segments.pop(segment).routes:
                self.router.routes.remove(route)

    def _refuse_taken(self, segment: str, module_id: str) -> None:
        owner = self.segments.get(segment)
        if owner is not None and owner.module != module_id:
            raise ModuleFailure(
                f"the prefix '/{segment}' in {self.version_name} already belongs to {owner.module!r}",
                remedy="choose another prefix, or disable one of the two modules",
            )
        if segment in RESERVED:
            raise ModuleFailure(
                f"the prefix '/{segment}' is reserved", remedy="choose another prefix"
            )

    def openapi(self) -> dict[str, Any]:
        """The version's schema, made once; safe from several threads."""
        with self.lock:
            if self.openapi_schema is None:
                schema = super().openapi()
                routes = [r for segment in self.segments.values() for r in segment.routes]
                self.openapi_schema = enrich(schema, routes, security_schemes=self.security_schemes)
            return self.openapi_schema

    def allowed_methods(self, scope: Scope) -> set[str]:
        """The methods that the path of `scope` knows, over all routes of its segment (RFC 9110)."""
        segment = self.segments.get(first_segment(_path_below(scope)))
        found: set[str] = set()
        for context in iter_route_contexts(segment.routes if segment else self.own_routes):
            if context.methods and context.matches(dict(scope))[0] is not Match.NONE:
                found |= context.methods
        return found


def docs_on(settings: Settings) -> bool:
    """Whether schema and pages are served: as told, else everywhere but in production."""
    if settings.server.docs is not None:
        return settings.server.docs
    return settings.app.environment != "production"


RESERVED = frozenset({"docs", "redoc", "openapi.json", "assets"})


class Segment:
    """What lies below one first path segment: a module and its included routers."""

    __slots__ = ("module", "routes")

    def __init__(self, module: str) -> None:
        self.module = module
        self.routes: list[BaseRoute] = []


class SegmentDispatch:
    """ASGI: from the first path segment straight to its module's routes."""

    def __init__(self, segments: Mapping[str, Segment], own: ASGIApp) -> None:
        self._segments = segments
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        segment = self._segments.get(first_segment(_path_below(scope)))
        if segment is None:
            await self._own(scope, receive, send)
            return
        scope[SCOPE_REQUEST].module = segment.module
        routes = segment.routes
        if len(routes) == 1:
            # `handle` of an included router matches once; `matches` before it would match twice.
            await routes[0].handle(scope, receive, send)
            return
        await _first_match(routes, scope).handle(scope, receive, send)


def _first_match(routes: list[BaseRoute], scope: Scope) -> BaseRoute:
    partial: BaseRoute | None = None
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route
        if match is Match.PARTIAL and partial is None:
            partial = route
    return partial or routes[0]


def first_segment(path: str) -> str:
    """``products`` of ``/products/7``."""
    end = path.find("/", 1)
    return path[1:end] if end != -1 else path[1:]


def _path_below(scope: Scope) -> str:
    path: str = scope["path"]
    return path[len(scope["root_path"]) :]


def lifetime_headers(name: str, settings: Settings) -> Headers:
    """``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594) and the successor of a version that ends."""
    version: VersionSettings = settings.api.versions[name]
    headers: Headers = []
    if version.deprecated is not None:
        stamp = int(_midnight(version.deprecated).timestamp())
        headers.append((b"deprecation", f"@{stamp}".encode()))
    if version.sunset is not None:
        moment = format_datetime(_midnight(version.sunset), usegmt=True)
        headers.append((b"sunset", moment.encode()))
    successor = _successor(name, list(settings.api.versions))
    if headers and successor:
        headers.append((b"link", f'</{successor}>; rel="successor-version"'.encode()))
    return headers


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _successor(name: str, versions: list[str]) -> str | None:
    later = sorted(versions, key=version_number)
    index = later.index(name)
    return later[index + 1] if index + 1 < len(later) else None


def version_number(name: str) -> int:
    """2 of ``v2``."""
    return int(name.removeprefix("v"))
