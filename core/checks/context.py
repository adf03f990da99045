"""What a check is handed: one enabled module with its routes, tables, settings and source."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.checks import sources
from core.checks.code import Code
from core.checks.finding import Finding, found
from core.checks.sources import Source

if TYPE_CHECKING:
    from sqlmodel import SQLModel

    from core.events.event import Event, Upcaster
    from core.http.routing import Entry
    from core.identity import Permission
    from core.manifest import Manifest
    from core.settings import Settings


@dataclass(frozen=True)
class Route:
    """One effective route of a version: ``GET /v1/orders``."""

    version: str
    entry: Entry

    @property
    def methods(self) -> frozenset[str]:
        """Its HTTP methods; none for a socket."""
        return self.entry.methods or frozenset()

    @property
    def path(self) -> str:
        """Its path, version included."""
        return f"/{self.version}{self.entry.path}"

    @property
    def endpoint(self) -> Callable[..., Any] | None:
        """The function that answers."""
        return self.entry.context.endpoint

    def __str__(self) -> str:
        return f"{self.entry.kind} {self.path}"


@dataclass(frozen=True)
class CheckContext:
    """One module as a check sees it.

    `settings` are the module's own, `app` those of the deployment, `deploy` says whether the
    deployment is judged as production. A check looks and changes nothing; it has no database.
    """

    module: str
    manifest: Manifest
    settings: Any
    app: Settings
    deploy: bool = False
    tables: Sequence[type[SQLModel]] = ()
    permissions: Sequence[Permission] = ()
    routes: Sequence[Route] = ()
    events: Sequence[type[Event]] = ()
    upcasters: Sequence[Upcaster[Any, Any]] = ()
    package: str = ""
    only: str = field(default="", repr=False)
    neighbours: Mapping[str, str] = field(default_factory=dict, repr=False)
    everybody: Sequence[CheckContext] = field(default=(), repr=False)

    @cached_property
    def sources(self) -> Sequence[Source]:
        """The module's Python files."""
        return sources.read(self.package, only=self.only)

    @cached_property
    def code(self) -> Code:
        """The module's functions, and who calls whom."""
        return Code(self.sources)

    def at(self, file: str | Path, line: int) -> str:
        """``orders/service.py:12``: told from the folder that holds the package."""
        root, path = sources.root_of(self.package), Path(file)
        shown = path.relative_to(root) if root and path.is_relative_to(root) else path
        return f"{shown.as_posix()}:{line}"

    def place_of(self, route: Route) -> str:
        """A route and where its function stands."""
        code = getattr(inspect.unwrap(route.endpoint), "__code__", None) if route.endpoint else None
        where = f" ({self.at(code.co_filename, code.co_firstlineno)})" if code else ""
        return f"{route}{where}"

    def found(self, code: str, place: str, reason: str, remedy: str) -> Finding:
        """A finding of core's own about this module."""
        return found(code, module=self.module, place=place, reason=reason, remedy=remedy)

    def owns(self, thing: object) -> bool:
        """Whether a class or function was written in this module's package."""
        name = getattr(thing, "__module__", None) or ""
        if self.only:
            return name == self.only
        return name == self.package or name.startswith(f"{self.package}.")


Check = Callable[[CheckContext], "Sequence[Finding]"]
