"""An application of a few modules, started on an empty database of its own."""

from __future__ import annotations

import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from core import discovery
from core.app import Tessera
from core.context import Context
from core.errors import ModuleFailure
from core.events.by_hand import Waiting
from core.generation import Generation
from core.hooks import Hooks
from core.identity import Principal
from core.settings import Settings
from core.testing.client import Client, kit_authenticator
from core.testing.events import Events

T = TypeVar("T")
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory: a new database takes half the time


class RunningApp:
    """A started application on a loop of its own, in a thread beside the test's."""

    def __init__(self, asgi: Tessera, portal: BlockingPortal, settings: Settings) -> None:
        self.asgi = asgi
        self.portal = portal
        self.settings = settings
        self.signed_in: Principal | None = None
        """Who sends the requests of clients that have nobody of their own."""
        self.events = Events(lambda: self)
        """What was published so far."""
        self.waiting: Mapping[Waiting, str] = {}
        """What waited for a server when events were delivered by hand last; see `events.failed`."""

    @property
    def generation(self) -> Generation:
        """The modules at work."""
        return self.asgi.generation

    @property
    def dependency_overrides(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """As on a FastAPI application: what stands in for a dependency, in every version."""
        return self.asgi.dependency_overrides

    def client(self, version: str | None = "v1") -> Client:
        """A client whose paths begin below a version; None: at the root.

        Raises LookupError for a version that there is not.
        """
        if version is not None and version not in self.generation.versions:
            known = ", ".join(self.generation.versions)
            raise LookupError(f"there is no version {version!r}; there are {known}")
        return Client(self, version)

    def context(self, module: str) -> Context:
        """What core hands to an enabled module. Raises LookupError for any other."""
        if module not in self.generation.contexts:
            known = ", ".join(self.generation.contexts)
            raise LookupError(f"no module {module!r} is enabled; there are {known}")
        return self.generation.contexts[module]

    def service(self, contract: type[T]) -> T:
        """The service behind a contract. Raises LookupError when no enabled module offers it."""
        for context in self.generation.contexts.values():
            found = context.find(contract)
            if found is not None:
                return found
        raise LookupError(f"no enabled module offers {contract.__qualname__}")

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await ``function(*args)`` on the application's loop, and give its result."""
        return self.portal.call(function, *args)

    def sign_in(
        self, role: str | None, *, permissions: Collection[str] | None = None, id: int = 1
    ) -> Principal | None:
        """From now on requests come from that principal; from nobody for the role None."""
        self.signed_in = (
            None if role is None else self.principal(role, permissions=permissions, id=id)
        )
        return self.signed_in

    def principal(
        self, role: str, *, permissions: Collection[str] | None = None, id: int = 1
    ) -> Principal:
        """A caller with these permissions, or those of the role.

        Raises LookupError for a permission that no enabled module declares, and for a role that
        nobody has, unless its permissions are given.
        """
        if permissions is None:
            roles = self.generation.registry.roles()
            if role not in roles:
                raise LookupError(f"nobody has the role {role!r}; there are {_list(roles)}")
            return Principal(id, role, self.generation.world.roles.permissions_of(role))
        declared = self.generation.registry.permissions()
        unknown = sorted(set(permissions) - set(declared))
        if unknown:
            raise LookupError(
                f"no enabled module declares {_list(unknown)}; there are {_list(declared)}"
            )
        return Principal(id, role, frozenset(permissions))


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


@contextmanager
def start_app(
    modules: Iterable[str] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    database_url: str | None = None,
    by_hand: bool = False,
) -> Iterator[RunningApp]:
    """An application of `modules` and all that they require, until the end of the block.

    As `AppFactory` gives it to a test; for a fixture of one's own scope, when several tests share
    an application. Raises Refused, and ConfigurationError for wrong settings.
    """
    sections = dict(settings or {})
    if by_hand:
        sections["server"] = {**sections.get("server", {}), "role": "api"}
    with ExitStack() as stack:
        url = database_url or stack.enter_context(_empty_sqlite())
        chosen = settings_for(modules, sections, url)
        asgi = Tessera(chosen, migrate=True, authenticators=[kit_authenticator])
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        stack.enter_context(portal.wrap_async_context_manager(_running(asgi)))
        yield RunningApp(asgi, portal, chosen)


@asynccontextmanager
async def _running(asgi: Tessera) -> AsyncIterator[None]:
    await asgi.start()
    try:
        yield
    finally:
        await asgi.stop()


@contextmanager
def _empty_sqlite() -> Iterator[str]:
    memory = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="tessera-kit-", dir=memory) as folder:
        yield f"sqlite+aiosqlite:///{folder}/tessera.db"


def settings_for(
    modules: Iterable[str], sections: Mapping[str, Any], database_url: str
) -> Settings:
    """Settings that enable `modules` and what they require, and refuse to start without them.

    Raises TypeError for a text, which would be the names of its letters.
    """
    if isinstance(modules, str):
        raise TypeError(f"modules is a list of names: write [{modules!r}]")
    tables = dict(sections)
    options = dict(tables.pop("modules", {}))
    wanted = with_requirements([*modules, *options])
    chosen = {name: {"enabled": True, "required": True, **options.get(name, {})} for name in wanted}
    database = {"url": database_url, **tables.pop("database", {})}
    return Settings.for_tests(database=database, modules=chosen, **tables)


def with_requirements(modules: Iterable[str]) -> list[str]:
    """The modules with all that their manifests require, each after what it requires.

    One that cannot be loaded stays in the list: the start says what is wrong with it.
    """
    found = discovery.find()
    ordered: dict[str, None] = {}
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in visiting:
            return
        visiting.add(name)
        for needed in _requirements(found.get(name)):
            visit(needed)
        ordered[name] = None

    for name in modules:
        visit(name)
    return list(ordered)


def _requirements(module: discovery.Found | None) -> tuple[str, ...]:
    if module is None:
        return ()
    try:
        return Hooks(module.id, discovery.load(module)).manifest().requires
    except ModuleFailure:
        return ()
