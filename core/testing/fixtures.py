"""The kit's fixtures, thin over what they give; importing them imports no application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from core.testing.clock import FrozenTime, frozen

if TYPE_CHECKING:
    from core.identity import Principal
    from core.testing.app import RunningApp
    from core.testing.client import Client
    from core.testing.events import Events, Scenario
    from core.testing.sessions import KitSession, SyncKitSession

try:
    from pytest_asyncio import fixture as async_fixture
except ModuleNotFoundError:  # only tests that are coroutines themselves need it
    async_fixture = pytest.fixture  # type: ignore[assignment]  # more overloads, same use

NO_APP = "there is no application yet: call app_factory(modules=[...]) first, or in a fixture"


class AppFactory:
    """``app_factory(modules=["loyalty"])``: starts applications that end with the test."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._apps: list[RunningApp] = []

    def __call__(
        self,
        modules: Iterable[str] = (),
        settings: Mapping[str, Any] | None = None,
        database_url: str | None = None,
        by_hand: bool = False,
    ) -> RunningApp:
        """A started and migrated application of `modules` and all that they require.

        `settings` has the tables of settings.toml: ``{"modules": {"loyalty": {"rate": 2}}}``.
        Without `database_url` it has an empty SQLite file of its own. With `by_hand`, subscribers
        are given events when ``app.events.deliver()`` says so, and never else. Raises Refused with
        the reason when one of the modules cannot start, ConfigurationError for wrong settings.
        """
        from core.testing.app import start_app

        app = self._stack.enter_context(
            start_app(modules, settings=settings, database_url=database_url, by_hand=by_hand)
        )
        self._apps.append(app)
        return app

    @property
    def newest(self) -> RunningApp:
        """The application started last. Raises LookupError before there is one."""
        if not self._apps:
            raise LookupError(NO_APP)
        return self._apps[-1]

    def close(self) -> None:
        """End them all, the last one first."""
        self._stack.close()


class SignIn(Protocol):
    """``as_user("moderator")``: see the fixture."""

    def __call__(
        self,
        role: str | None = "user",
        permissions: Collection[str] | None = None,
        id: int = 1,  # the name that `Principal` gives it
    ) -> Principal | None: ...


@pytest.fixture
def app_factory() -> Iterator[AppFactory]:
    """Starts applications of chosen modules; see `AppFactory`."""
    factory = AppFactory()
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture
def client(app_factory: AppFactory) -> Callable[..., Client]:
    """``client(version="v1")``: a client of the newest application whose paths begin below it.

    ``client(version=None)`` begins at the root: for ``/readyz`` and the like.
    """

    def make(version: str | None = "v1") -> Client:
        return app_factory.newest.client(version)

    return make


@pytest.fixture
def as_user(app_factory: AppFactory) -> SignIn:
    """``as_user("user", id=7)``: the following requests of all clients come from that principal.

    `permissions` None means those of the role. ``as_user(None)`` signs out. No module is asked and
    no token checked, so it works with `auth` and without; a client that has somebody of its own
    (``client().as_user(...)``) keeps that.
    """

    def sign_in(
        role: str | None = "user", permissions: Collection[str] | None = None, id: int = 1
    ) -> Principal | None:
        return app_factory.newest.sign_in(role, permissions=permissions, id=id)

    return sign_in


@async_fixture
async def session(app_factory: AppFactory) -> AsyncIterator[KitSession]:
    """A write session on the newest application's database, for tests that are coroutines.

    What it wrote is seen by requests after ``await session.commit()``, and rolled back at the end
    of the test otherwise.
    """
    from core.testing.sessions import KitSession

    made = KitSession(lambda: app_factory.newest.settings.database)
    try:
        yield made
    finally:
        await made.finish()


@pytest.fixture
def sync_session(app_factory: AppFactory) -> Iterator[SyncKitSession]:
    """`session` for plain ``def`` tests: no method of it is awaited."""
    from core.testing.sessions import KitSession, SyncKitSession

    made = KitSession(lambda: app_factory.newest.settings.database)

    def run(function: Callable[..., Any], *args: Any) -> Any:
        return app_factory.newest.run(function, *args)

    try:
        yield SyncKitSession(made, run=run)
    finally:
        if made.is_used:
            run(made.finish)


@pytest.fixture
def published(app_factory: AppFactory) -> Events:
    """The events that the newest application has published, as a list that grows; see `Events`."""
    from core.testing.events import Events

    return Events(lambda: app_factory.newest)


@pytest.fixture
def scenario(app_factory: AppFactory) -> Callable[[], Scenario]:
    """``with scenario() as then:`` a request; ``then.event(PointsGiven)``; see `Scenario`."""
    from core.testing.events import Scenario

    return lambda: Scenario(lambda: app_factory.newest)


@pytest.fixture
def frozen_time() -> Iterator[FrozenTime]:
    """The clock stands still at the present second and moves when told; see `FrozenTime`."""
    with frozen() as clock:
        yield clock
