"""What a module is handed: its settings, the services of others, sessions, Redis, the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from core.caching import Cache
    from core.db.session import ReadableSession, WritableSession
    from core.extensions import Extension
    from core.redis import RedisPort
    from core.settings import Settings

T = TypeVar("T")


class Context(Protocol):
    """The world as one module sees it in one generation.

    Service factories, `lifespan`, `authenticators`, `readiness` and commands get it.
    """

    @property
    def module(self) -> str:
        """The module's id."""
        ...

    @property
    def settings(self) -> Any:
        """The module's own settings: an instance of what its `settings()` hook returned."""
        ...

    @property
    def app(self) -> Settings:
        """The settings of the whole deployment; frozen."""
        ...

    @property
    def cache(self) -> Cache:
        """The cache, or one that loads every time where no module offers one."""
        ...

    @property
    def redis(self) -> RedisPort:
        """Redis, whose `configured` is False where the deployment has none."""
        ...

    def settings_as(self, model: type[SettingsT]) -> SettingsT:
        """The module's own settings with their type."""
        ...

    def service(self, contract: type[T]) -> T:
        """The service behind a contract of a module that this one requires.

        Raises LookupError when no enabled module offers it.
        """
        ...

    def find(self, contract: type[T]) -> T | None:
        """The same, or None when no enabled module offers it (for `optional` modules)."""
        ...

    def extensions(self, point: Callable[..., Any]) -> Sequence[Extension[..., Any]]:
        """What enabled modules add to one of this module's extension points, in their order."""
        ...

    def permissions_of(self, role: str) -> frozenset[str]:
        """What a role may do in this generation."""
        ...

    def roles(self) -> tuple[str, ...]:
        """Every role that there is, the least powerful first."""
        ...

    def read(self) -> AbstractAsyncContextManager[ReadableSession]:
        """A read session outside of a request."""
        ...

    def write(self) -> AbstractAsyncContextManager[WritableSession]:
        """A write session outside of a request: commits at the end of the block, or rolls back."""
        ...


if TYPE_CHECKING:
    SettingsT = TypeVar("SettingsT", bound=BaseModel)
