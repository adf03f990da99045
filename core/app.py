"""``create_app``: the ASGI application, which builds nothing until its lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from core import collector, ending, watchdog
from core.errors import TesseraError, text_of
from core.events import recording
from core.generation import Generation
from core.http.cors import Cors
from core.http.edge import Edge
from core.http.metrics import Metrics
from core.http.root import root_app
from core.identity import Authenticator
from core.lifecycle import Lifecycle
from core.logs import configure_logging
from core.process import Resources
from core.reload import Hangup, reload
from core.settings import Settings, load_settings
from core.steps import own_tasks

log = structlog.get_logger("tessera.app")


class Tessera:
    """The ASGI application: it holds the process's resources and the life of its generations.

    `dependency_overrides` set in a test reach every version, as they do on a FastAPI application.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        migrate: bool | None = None,
        quiet: bool = False,
        authenticators: Sequence[Authenticator] = (),
    ) -> None:
        """Without `settings`, they are loaded from their files when the lifespan starts.

        `migrate` says whether a start migrates the database; by default in development only.
        `quiet` keeps the log to warnings, for commands. `authenticators` are asked who calls before
        those of the modules: for a host that knows it otherwise, as tests do.
        """
        self._given = settings
        self._migrate = migrate
        self._quiet = quiet
        self._authenticators = tuple(authenticators)
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self.resources: Resources | None = None
        self.lifecycle: Lifecycle | None = None
        self._edge: ASGIApp | None = None
        self._hangup: Hangup | None = None

    @property
    def generation(self) -> Generation:
        """The generation that new requests belong to. Raises RuntimeError before the start."""
        if self.lifecycle is None:
            raise RuntimeError("the application has not been started: run its lifespan first")
        return self.lifecycle.current

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
            await send({"type": "lifespan.startup.failed", "message": error.for_operators})
            return
        except BaseException as error:
            log.exception("start failed")
            await send(
                {"type": "lifespan.startup.failed", "message": f"start failed: {text_of(error)}"}
            )
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Load settings, migrate or refuse, build the first generation and start it.

        Raises ConfigurationError, Refused or Unavailable, and leaves nothing open then. Raises
        RuntimeError while it runs.
        """
        if self.lifecycle is not None:
            raise RuntimeError("the application runs already: stop it before it starts once more")
        settings = self._given or load_settings()
        if self._given is None:  # a process of its own, not one of many applications in a test
            watchdog.install()
        own_tasks(asyncio.get_running_loop())
        configure_logging(settings, quiet=self._quiet)
        if not settings.events.recording:
            log.warning("events are not recorded", reason=recording.OFF)
        self.resources = Resources(settings)
        # A command leaves the delivering to servers.
        self.resources.events.role = "none" if self._quiet else settings.server.role
        self.lifecycle = Lifecycle(
            resources=self.resources,
            overrides=self.dependency_overrides,
            migrate=self._migrate,
            authenticators=self._authenticators,
        )
        try:
            await self.lifecycle.begin(settings)
        except BaseException:
            await self.stop()
            raise
        self.resources.events.start()
        self._edge = self._build_edge(settings, self.lifecycle)
        if self._given is None:
            self._hangup = Hangup(partial(reload, self.lifecycle))
            self._hangup.install()
            collector.spare()

    async def stop(self) -> None:
        """End the generations, then give the process's connections back."""
        if self._hangup is not None:
            self._hangup.remove()
        lifecycle, resources = self.lifecycle, self.resources
        self._edge = self.lifecycle = self.resources = None
        if lifecycle is not None:
            await lifecycle.end()
        if resources is not None:
            await resources.close()
        if self._given is None:
            ending.leave_executor()

    def _build_edge(self, settings: Settings, lifecycle: Lifecycle) -> ASGIApp:
        def current() -> Generation:
            return lifecycle.current

        metrics = Metrics(current) if metrics_on(settings) else None
        return Edge(
            current=current,
            cors=Cors(settings.cors) if settings.cors.allowed_origins else None,
            root=root_app(current, metrics),
            metrics=metrics,
            api=settings.server.role != "worker",
            access=settings.server.access_log,
            hsts=settings.app.environment == "production",
            max_body_bytes=settings.server.max_body_bytes,
        )


def metrics_on(settings: Settings) -> bool:
    """Whether ``/metrics`` is served: as told, else everywhere but in production."""
    if settings.server.metrics is not None:
        return settings.server.metrics
    return settings.app.environment != "production"


def create_app(settings: Settings | None = None, *, migrate: bool | None = None) -> Tessera:
    """The application as an ASGI server wants it; nothing is built before its lifespan."""
    return Tessera(settings, migrate=migrate)
