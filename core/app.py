"""``create_app``: the ASGI application, which builds nothing until its lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import ModuleFailure, TesseraError
from core.generation import Generation, StartFailure, compose
from core.http.edge import Edge
from core.http.root import root_app
from core.lifecycle import prepare_database
from core.logs import configure_logging
from core.process import Resources
from core.settings import Settings, load_settings

log = structlog.get_logger("tessera.app")


class Tessera:
    """The ASGI application: it holds the process's resources and points at the generation at work.

    `dependency_overrides` set in a test reach every version, as they do on a FastAPI application.
    """

    def __init__(
        self, settings: Settings | None = None, *, migrate: bool | None = None, quiet: bool = False
    ) -> None:
        """Without `settings`, they are loaded from their files when the lifespan starts.

        `migrate` says whether a start migrates the database; by default in development only.
        `quiet` keeps the log to warnings, for commands.
        """
        self._quiet = quiet
        self._given = settings
        self._migrate = migrate
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self.resources: Resources | None = None
        self._generation: Generation | None = None
        self._edge: ASGIApp | None = None

    @property
    def generation(self) -> Generation:
        """The generation that new requests belong to. Raises RuntimeError before the start."""
        if self._generation is None:
            raise RuntimeError("the application has not been started: run its lifespan first")
        return self._generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if self._edge is None:
            raise RuntimeError("the application has not been started: run its lifespan first")
        await self._edge(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except TesseraError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        except BaseException as error:
            log.exception("start failed")
            await send({"type": "lifespan.startup.failed", "message": f"start failed: {error}"})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Load settings, migrate or refuse, build the first generation and start it.

        Raises ConfigurationError or Refused, and leaves nothing open then.
        """
        settings = self._given or load_settings()
        configure_logging(settings, quiet=self._quiet)
        self.resources = Resources(settings)
        try:
            generation = await self._first_generation(settings, self.resources)
        except BaseException:
            await self.resources.close()
            self.resources = None
            raise
        self._generation = generation
        self._edge = self._build_edge(settings)
        _tell(generation)

    async def stop(self) -> None:
        """Stop the generation, then give the process's connections back."""
        generation, resources = self._generation, self.resources
        self._edge = self._generation = self.resources = None
        if generation is not None:
            await generation.stop()
        if resources is not None:
            await resources.close()

    async def _first_generation(self, settings: Settings, resources: Resources) -> Generation:
        excluded: dict[str, ModuleFailure] = {}
        migrate = self._migrate
        if migrate is None:
            migrate = settings.app.environment == "development"
        while True:
            generation = await asyncio.to_thread(self._build, settings, resources, dict(excluded))
            failures = await prepare_database(generation, resources.database, migrate=migrate)
            try:
                if failures:
                    raise StartFailure(*next(iter(failures.items())))
                await generation.start()
            except StartFailure as failed:
                log.error("module failed", module=failed.module_id, reason=str(failed.failure))
                excluded[failed.module_id] = failed.failure
                continue
            return generation

    def _build(
        self, settings: Settings, resources: Resources, excluded: dict[str, ModuleFailure]
    ) -> Generation:
        generation = compose(
            settings,
            resources=resources,
            overrides=self.dependency_overrides,
            excluded=excluded,
        )
        generation.warm()
        return generation

    def _build_edge(self, settings: Settings) -> ASGIApp:
        edge: ASGIApp = Edge(
            current=lambda: self.generation,
            root=root_app(lambda: self.generation),
            access=settings.server.access_log,
            hsts=settings.app.environment == "production",
            max_body_bytes=settings.server.max_body_bytes,
        )
        if settings.cors.allowed_origins:
            edge = CORSMiddleware(
                edge,
                allow_origins=list(settings.cors.allowed_origins),
                allow_credentials=settings.cors.allow_credentials,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "X-Process-Time", "Deprecation", "Sunset", "Link"],
            )
        return edge


def _tell(generation: Generation) -> None:
    for module in generation.registry.failed:
        log.error(
            "module failed",
            module=module.id,
            reason=module.reason,
            remedy=module.remedy,
            exc_info=module.cause,
        )
    log.info(
        "ready",
        modules=[m.id for m in generation.registry.enabled],
        versions=list(generation.versions),
    )


def create_app(settings: Settings | None = None, *, migrate: bool | None = None) -> Tessera:
    """The application as an ASGI server wants it; nothing is built before its lifespan."""
    return Tessera(settings, migrate=migrate)
