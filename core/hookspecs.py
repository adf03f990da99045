"""Every hook that a module may implement; all but one are optional, each returns fresh objects.

Core calls each module's implementation by itself, so that one that raises takes only its own module
out. An implementation may leave out parameters that it does not need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import typer
    from fastapi import APIRouter
    from pydantic import BaseModel
    from sqlmodel import SQLModel

    from core.checks.context import CheckContext
    from core.checks.finding import Finding
    from core.context import Context
    from core.events.event import Event, Upcaster
    from core.events.subscription import Broadcast, Replayable, Subscription
    from core.identity import Authenticator, Permission
    from core.manifest import Manifest

NAMESPACE = "tessera"
hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@hookspec
def manifest() -> Manifest:  # type: ignore[empty-body]
    """Who the module is and what it needs; the only hook that every module has."""


@hookspec
def settings() -> type[BaseModel]:  # type: ignore[empty-body]
    """The class of the module's own settings, extra keys forbidden."""


@hookspec
def routers(version: str) -> Sequence[APIRouter]:  # type: ignore[empty-body]
    """The routers for one API version ("v1", "v2"), each with a prefix that no other module has."""


@hookspec
def tables() -> Sequence[type[SQLModel]]:  # type: ignore[empty-body]
    """The module's tables, named ``<module id>_<plural>``."""


@hookspec
def migrations() -> str:  # type: ignore[empty-body]
    """Where the module's Alembic revisions lie: ``"package:folder"``."""


@hookspec
def services() -> Mapping[type[Any], Callable[[Context], Any]]:  # type: ignore[empty-body]
    """What the module offers to others: {contract: factory}; one instance a generation."""


@hookspec
def permissions() -> Sequence[Permission]:  # type: ignore[empty-body]
    """The permissions that the module's routes ask for, and the roles that have them by default."""


@hookspec
def events() -> Sequence[type[Event] | Upcaster[Any, Any]]:  # type: ignore[empty-body]
    """Every event type that the module publishes or ever did, and what lifts old versions."""


@hookspec
def subscriptions() -> Sequence[Subscription | Broadcast | Replayable]:  # type: ignore[empty-body]
    """What the module does when something happened: ``on`` and ``broadcast`` (Event, handler)."""


@hookspec
def lifespan(context: Context) -> AbstractAsyncContextManager[None]:  # type: ignore[empty-body]
    """An async context manager around the time in which the module serves."""


@hookspec
def authenticators(context: Context) -> Sequence[Authenticator]:  # type: ignore[empty-body]
    """Callables (connection) that say who calls: a Principal, or None when they cannot tell."""


@hookspec
def readiness(context: Context) -> Mapping[str, Callable[[], Awaitable[None]]]:  # type: ignore[empty-body]
    """Named checks for ``/readyz``; one that raises makes the process not ready."""


@hookspec
def commands() -> typer.Typer:  # type: ignore[empty-body]
    """Commands under ``tessera <module id> …``; their typer context's `obj` runs in a context.

    Asked by the command line only: where it fails the module serves, without these verbs.
    """


@hookspec
def hookspecs() -> ModuleType:  # type: ignore[empty-body]
    """The Python module that holds the module's own extension points."""


@hookspec
def checks() -> Sequence[Callable[[CheckContext], Iterable[Finding]]]:  # type: ignore[empty-body]
    """The module's own checks for ``tessera check``; codes are its id in capitals and 3 digits."""


HOOKS: Iterable[str] = (
    "manifest",
    "settings",
    "routers",
    "tables",
    "migrations",
    "services",
    "permissions",
    "events",
    "subscriptions",
    "lifespan",
    "authenticators",
    "readiness",
    "commands",
    "hookspecs",
    "checks",
)
"""The names above, in the order in which a generation asks for them."""
