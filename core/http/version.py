"""One API version: a FastAPI application whose schema is whole and whose routing is by dictionary.

FastAPI tries routes one after another: with 1,000 of them the last answered 14 times slower than
the first. The application is built by `include_router`, so that schema, overrides and dependencies
are FastAPI's own; innermost, in place of the router's linear search, a dictionary leads from the
first segment of the path to the routers of the one module that owns it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from opentelemetry import metrics, trace
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import ModuleFailure
from core.http.docs import add_docs
from core.http.openapi import enrich
from core.http.problems import exception_handlers
from core.http.routing import Entry, RouteTable, nothing_here
from core.http.schema_names import settle
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
        self.tables: dict[str, RouteTable] = {}
        self._named: dict[str, str] = {}
        self.security_schemes: dict[str, Mapping[str, Any]] = {}
        super().__init__(
            title=f"{settings.app.name} {name}",
            version=name.removeprefix("v"),
            description="Errors are problem details (RFC 9457). Other versions: see [/](/).",
            docs_url=None,
            redoc_url=None,
            openapi_url=None,  # served by core.http.docs, with assets of our own
            exception_handlers=exception_handlers(),
            telemetry=None if telemetry_is_set_up() else TELEMETRY_OFF,
            redirect_slashes=False,
        )
        self.dependency_overrides = overrides
        pages = list(add_docs(self)) if docs_on(settings) else []
        self.own_routes = [Route("/", self._front), *pages]
        self.lifetime_headers = lifetime_headers(name, settings)
        lifetime = settings.api.versions[name].model_dump(mode="json", exclude_none=True)
        self._told: dict[str, str] = lifetime
        self._pages = PAGES if pages else {}
        # Starlette calls this innermost, behind the error handlers and FastAPI's exit stacks.
        self.router.middleware_stack = SegmentDispatch(
            self.tables, Router(routes=self.own_routes, redirect_slashes=False)
        )

    def add_module(self, module_id: str, routers: Sequence[APIRouter]) -> list[Entry]:
        """Include a module's routers; gives its routes, for the checks.

        Raises ModuleFailure when a router has a prefix that another module owns, and whatever
        FastAPI finds wrong with a route; nothing of the module is included then.
        """
        wanted: dict[str, RouteTable] = {}
        for router in routers:
            self._refuse_taken(first_segment(router.prefix), module_id)
        before = len(self.router.routes)
        try:
            for router in routers:
                self.include_router(
                    router, generate_unique_id_function=self._operation_ids(module_id)
                )
                table = wanted.setdefault(first_segment(router.prefix), RouteTable(module_id))
                table.add(router, self.router.routes[-1])
        except BaseException:
            del self.router.routes[before:]
            raise
        self.tables.update(wanted)
        return [entry for table in wanted.values() for entry in table.entries]

    def _operation_ids(self, module_id: str) -> Callable[[APIRoute], str]:
        """Names for client generators, such as ``orders_create_order_v2``.

        With the module in them, so that two strangers may both call a function ``read``. What one
        module calls twice has its method and path in it from the second on.
        """

        def name_of(route: APIRoute) -> str:
            name = f"{module_id}_{route.name}_{self.version_name}"
            place = f"{'_'.join(sorted(route.methods or ())).lower()}{route.path_format}"
            if self._named.setdefault(name, place) == place:
                return name
            return f"{name}_{re.sub(r'[^a-zA-Z0-9]+', '_', place).strip('_')}"

        return name_of

    def remove_module(self, module_id: str) -> None:
        """Take back what `add_module` added, while the generation is still being built."""
        for segment in [s for s, table in self.tables.items() if table.module == module_id]:
            for route in self.tables.pop(segment).included:
                self.router.routes.remove(route)

    def _refuse_taken(self, segment: str, module_id: str) -> None:
        owner = self.tables.get(segment)
        if owner is not None and owner.module != module_id:
            raise ModuleFailure(
                f"the prefix '/{segment}' in {self.version_name} "
                f"belongs to {owner.module!r} already",
                remedy="choose another prefix, or disable one of the two modules",
                code="T004",
                rival=owner.module,
            )
        if segment in RESERVED:
            raise ModuleFailure(
                f"the prefix '/{segment}' is reserved", remedy="choose another prefix"
            )

    async def _front(self, request: Request) -> Response:
        """``GET /v1``: where this version's documents are, and how long it lives."""
        root = request.scope["root_path"]
        document = {"name": self.title, "version": self.version_name, **self._told}
        for name, path in self._pages.items():
            document[name] = f"{root}{path}"
        return JSONResponse(document)

    def openapi_of(self, *modules: str) -> dict[str, Any]:
        """The schema of some modules' routes alone, to find out whose fault it is."""
        tables = [table for table in self.tables.values() if table.module in modules]
        routes = [route for table in tables for route in table.included]
        made = get_openapi(title=self.title, version=self.version, routes=routes)
        return self._finished(made, tables)

    def openapi(self) -> dict[str, Any]:
        """The version's schema, made once; safe from several threads."""
        with self.lock:
            if self.openapi_schema is None:
                self.openapi_schema = self._finished(super().openapi(), self.tables.values())
            return self.openapi_schema

    def _finished(self, schema: dict[str, Any], tables: Iterable[RouteTable]) -> dict[str, Any]:
        """FastAPI's schema with what holds for every operation of Tessera."""
        entries = [entry for table in tables for entry in table.entries]
        return enrich(settle(schema), entries, security_schemes=self.security_schemes)


def docs_on(settings: Settings) -> bool:
    """Whether schema and pages are served: as told, else everywhere but in production."""
    if settings.server.docs is not None:
        return settings.server.docs
    return settings.app.environment != "production"


TELEMETRY_OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


def telemetry_is_set_up() -> bool:
    """Whether somebody installed an OpenTelemetry provider before the application was built.

    FastAPI would ask anew at each request, which costs a tenth of an empty one.
    """
    providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
    return not all("Proxy" in type(provider).__name__ for provider in providers)


PAGES = {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"}
RESERVED = frozenset({"docs", "redoc", "openapi.json", "assets"})


class SegmentDispatch:
    """ASGI: from the first path segment straight to its module's routes."""

    def __init__(self, tables: Mapping[str, RouteTable], own: ASGIApp) -> None:
        self._tables = tables
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        table = self._tables.get(first_segment(scope["path"][len(scope["root_path"]) :]))
        if table is None:
            own = self._own if scope["type"] == "http" else nothing_here
            await own(scope, receive, send)
            return
        scope[SCOPE_REQUEST].module = table.module
        await table(scope, receive, send)


def first_segment(path: str) -> str:
    """``products`` of ``/products/7``."""
    end = path.find("/", 1)
    return path[1:end] if end != -1 else path[1:]


def lifetime_headers(name: str, settings: Settings) -> Headers:
    """``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594), and the successor of one that ends."""
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
