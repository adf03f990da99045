"""``serve``: run the application under uvicorn."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Annotated, Any

import structlog
import typer

from core import ending, restart, watchdog
from core.errors import ConfigurationError, Refused, TesseraError
from core.logs import configure_logging
from core.reload import NOT_TAKEN, refuse_blank
from core.settings import Settings, load_settings
from core.settings_models import Role

log = structlog.get_logger("tessera.serve")

ROLE = "TESSERA_SERVER__ROLE"
END_SECONDS = 30.0
"""What modules may take to end once the last request is answered."""

Host = Annotated[str | None, typer.Option(help="Address to listen on; default server.host.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port; default server.port. 0: any free one.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; default server.workers.")]
RoleOption = Annotated[
    Role | None,
    typer.Option("--role", help="all; api: HTTP; worker: events. Default server.role."),
]
Reload = Annotated[bool, typer.Option("--reload", help="Start anew when a source file changes.")]


def serve(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    role: RoleOption = None,
    reload: Reload = False,
) -> None:
    """Run the API, the delivery of events, or both.

    In development the database is migrated first; elsewhere the start is refused while
    migrations wait.
    """
    if role is not None:
        os.environ[ROLE] = role  # every process of this server loads the settings for itself
    settings = load_settings()
    configure_logging(settings)
    count = workers or settings.server.workers
    settings.refuse_unsafe(workers=count)
    watchdog.install(restart.leave if reload else restart.again)
    if count > 1:
        preflight(settings)  # else every worker would fail, and be started again, for ever
        configure_logging(settings)  # that was quiet; what is said from here on is wanted
    bound = bind(host or settings.server.host, settings.server.port if port is None else port)
    restart.keep(bound)
    try:
        run(bound, settings, workers=count, reload=reload)
    finally:
        bound.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to that address, or the one that this process was handed.

    Raises Refused with one clear line when it cannot be.
    """
    if (given := restart.handed_over()) is not None:
        return given
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        reason = error.strerror or str(error)
        raise Refused(
            f"cannot listen on {host}:{port}: {reason}; end what uses it, or choose another port "
            "with --port or TESSERA_SERVER__PORT"
        ) from None
    bound.set_inheritable(True)
    return bound


def preflight(settings: Settings) -> None:
    """Start and stop the application once, so that what would fail fails here. Raises Refused."""
    import asyncio

    from core.app import Tessera

    async def once() -> None:
        app = Tessera(settings, quiet=True)
        await app.start()
        await app.stop()

    asyncio.run(once())


def run(bound: socket.socket, settings: Settings, *, workers: int, reload: bool) -> None:
    """Serve on a bound socket until a signal comes; requests under way are answered first.

    Raises Refused when the application did not start.
    """
    import uvicorn
    from uvicorn.supervisors import ChangeReload

    alone = remembering_app() if workers == 1 and not reload else None
    options = uvicorn_options(settings, workers=workers, reload=reload)
    config = uvicorn.Config(alone or "main:app", **options)
    # uvicorn raises the signal again when it is done: without this the exit code would be 143.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    host, port = bound.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    log.info("listening", url=url, role=settings.server.role)
    server = uvicorn.Server(config)
    if reload:
        ChangeReload(config, target=server.run, sockets=[bound]).run()
    elif workers > 1:
        supervisor(config, bound, settings).run()
    else:
        with contextlib.suppress(SystemExit):  # uvicorn's word for a failed start is exit code 3
            server.run(sockets=[bound])
        if alone is not None and alone.failure is not None:
            raise alone.failure
        if not server.started:
            raise typer.Exit(1)  # the reason has been logged


def supervisor(config: Any, bound: socket.socket, settings: Settings) -> Any:
    """The parent of several workers; these are what they were started with."""
    from uvicorn.supervisors import Multiprocess

    class Supervisor(Multiprocess):
        settings: Settings

        def handle_hup(self) -> None:
            """Start the workers anew, unless their new settings cannot be those that are meant."""
            try:
                new = load_settings()
                refuse_blank(self.settings, new)
            except TesseraError as error:
                log.error(NOT_TAKEN, reason=str(error))
                return
            self.settings = new
            super().handle_hup()

    made = Supervisor(config, sockets=[bound])
    made.settings = settings
    return made


def remembering_app() -> Any:
    """The application; `failure` is why it did not start, as the command line tells it."""
    from core.app import Tessera

    class Remembering(Tessera):
        failure: TesseraError | None = None

        async def start(self) -> None:
            try:
                await super().start()
            except (ConfigurationError, Refused) as error:
                self.failure = error
                raise
            except TesseraError as error:
                self.failure = Refused(error.for_operators)
                raise

        async def stop(self) -> None:
            ending.insist(END_SECONDS)
            await super().stop()

    return Remembering()


def uvicorn_options(settings: Settings, *, workers: int, reload: bool) -> dict[str, Any]:
    """What uvicorn is told. Our own access line and headers replace its own."""
    return {
        "http": "core.http.protocol:HttpProtocol",
        "workers": workers,
        "reload": reload,
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "lifespan": "on",
        "proxy_headers": bool(settings.server.trusted_proxies),
        "forwarded_allow_ips": list(settings.server.trusted_proxies),
        "timeout_graceful_shutdown": settings.server.shutdown_seconds,
    }
