"""The addresses outside of any version: the front page, health, the pages that explain problems."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from core.errors import NotFound, Problem
from core.events.asyncapi import asyncapi
from core.http import health, pages
from core.http.problems import all_problems, exception_handlers
from core.http.version import docs_on

if TYPE_CHECKING:
    from core.generation import Generation
    from core.http.metrics import Metrics

Current = Callable[[], "Generation"]


def root_app(current: Current, metrics: Metrics | None = None) -> Starlette:
    """The application for everything that carries no version; `current` gives the generation."""

    async def front(request: Request) -> Response:
        document = describe(current())
        return _negotiate(request, document, pages.front)

    async def readyz(_request: Request) -> Response:
        ready, document = await health.readiness(current())
        return JSONResponse(document, status_code=200 if ready else 503)

    async def events(_request: Request) -> Response:
        generation = current()
        if not docs_on(generation.settings):
            raise NotFound("The schemas are not served here.")
        catalog = generation.events.catalog
        return JSONResponse(asyncapi(generation.registry, catalog, generation.settings))

    async def problem(request: Request) -> Response:
        document = explain(request.path_params["slug"], current())
        return _negotiate(request, document, pages.problem)

    async def problems(request: Request) -> Response:
        document = {"problems": [_described(p) for p in _visible(current())]}
        return _negotiate(request, document, pages.problems)

    return Starlette(
        routes=[
            Route("/", front),
            Route("/health", health.health),
            Route("/livez", health.livez),
            Route("/readyz", readyz),
            Route("/asyncapi.json", events),
            Route("/problems", problems),
            Route("/problems/{slug}", problem),
            *([Route("/metrics", metrics.page)] if metrics else ()),
        ],
        exception_handlers=exception_handlers(),
    )


def _negotiate(
    request: Request, document: dict[str, Any], page: Callable[[dict[str, Any]], str]
) -> Response:
    """HTML to a browser, JSON to everybody else."""
    response: Response
    if "text/html" in request.headers.get("accept", ""):
        response = HTMLResponse(page(document))
        response.headers["Content-Security-Policy"] = pages.POLICY
    else:
        response = JSONResponse(document)
    response.headers["Vary"] = "Accept"
    return response


def describe(generation: Generation) -> dict[str, Any]:
    """Name, role, state, and where each version's docs are; a worker has no versions."""
    settings = generation.settings
    role = settings.server.role
    versions: dict[str, Any] = {}
    for name, configured in settings.api.versions.items() if role != "worker" else ():
        entry: dict[str, Any] = {"url": f"/{name}"}
        if docs_on(settings):
            entry |= {
                "docs": f"/{name}/docs",
                "redoc": f"/{name}/redoc",
                "openapi": f"/{name}/openapi.json",
            }
        if configured.deprecated:
            entry["deprecated"] = configured.deprecated.isoformat()
        if configured.sunset:
            entry["sunset"] = configured.sunset.isoformat()
        versions[name] = entry
    return {
        "name": settings.app.name,
        "role": role,
        "state": "degraded" if generation.registry.failed else "ok",
        "versions": versions,
        **({"asyncapi": "/asyncapi.json"} if docs_on(settings) else {}),
        "modules": {m.id: m.state for m in generation.registry if m.state != "disabled"},
        "health": "/health",
        "ready": "/readyz",
        "problems": "/problems",
    }


def _visible(generation: Generation) -> list[type[Problem]]:
    """Core's problem types and those of enabled modules: a disabled module leaves no trace."""
    packages = tuple(
        getattr(m.hooks.implementation, "__name__", "").rpartition(".")[0] + "."
        for m in generation.registry.enabled
        if m.hooks is not None
    )
    unique: dict[str, type[Problem]] = {}
    for problem in all_problems():  # a base before what is made of it: the base explains the slug
        if problem.__module__.startswith(("core.", *packages)):
            unique.setdefault(problem.slug, problem)
    return [unique[slug] for slug in sorted(unique)]


def _described(problem: type[Problem]) -> dict[str, Any]:
    return {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": int(problem.status),
        "explanation": " ".join((problem.__doc__ or "").split()),
    }


def explain(slug: str, generation: Generation) -> dict[str, Any]:
    """What a problem type means. Raises NotFound for one that this service never gives."""
    for problem in _visible(generation):
        if problem.slug == slug:
            return _described(problem)
    status = slug.removeprefix("http-")
    if slug.startswith("http-") and status.isdigit() and int(status) in list(HTTPStatus):
        meaning = HTTPStatus(int(status))
        return {
            "type": f"/problems/{slug}",
            "title": meaning.phrase,
            "status": int(meaning),
            "explanation": meaning.description or meaning.phrase,
        }
    raise NotFound(f"There is no problem type {slug!r} here.")
