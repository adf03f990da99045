"""The `Context` that core hands to a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import svcs
from pydantic import BaseModel

from core.caching import NO_CACHE, Cache
from core.db.session import ReadableSession, WritableSession
from core.extensions import Extension
from core.process import Resources
from core.redis import RedisPort
from core.registry import ADMIN, Registry
from core.settings import Settings

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=BaseModel)


class Roles:
    """Which role has which permissions in a generation: the declared defaults, admin everything."""

    def __init__(self, registry: Registry) -> None:
        granted: dict[str, set[str]] = {}
        permissions = registry.permissions()
        for permission in permissions.values():
            for role in permission.roles:
                granted.setdefault(role, set()).add(permission.name)
        granted[ADMIN] = set(permissions)
        # The least powerful first: by how much a role may do, then by name.
        ranked = sorted(granted, key=lambda role: (role == ADMIN, len(granted[role]), role))
        self._granted = {role: frozenset(granted[role]) for role in ranked}

    def names(self) -> tuple[str, ...]:
        """Every role, the least powerful first, admin last."""
        return tuple(self._granted)

    def permissions_of(self, role: str) -> frozenset[str]:
        """What a role may do; nothing for an unknown one."""
        return self._granted.get(role, frozenset())


class World:
    """What all modules of one generation share."""

    def __init__(self, *, settings: Settings, registry: Registry, resources: Resources) -> None:
        self.settings = settings
        self.registry = registry
        self.resources = resources
        self.roles = Roles(registry)
        self.services = svcs.Registry()
        self.container = svcs.Container(self.services)
        self.extensions: dict[str, list[Extension[..., Any]]] = {}


class ModuleContext:
    """One module's view of the world; see `core.context.Context`."""

    def __init__(self, module: str, world: World) -> None:
        self._module = module
        self._world = world

    @property
    def module(self) -> str:
        return self._module

    @property
    def settings(self) -> Any:
        return self._world.registry[self._module].declared.settings

    @property
    def app(self) -> Settings:
        return self._world.settings

    @property
    def cache(self) -> Cache:
        return self.find(Cache) or NO_CACHE  # type: ignore[type-abstract]

    @property
    def redis(self) -> RedisPort:
        return self._world.resources.redis

    def settings_as(self, model: type[SettingsT]) -> SettingsT:
        settings = self.settings
        if not isinstance(settings, model):
            raise TypeError(f"the settings of {self._module} are {type(settings).__name__}")
        return settings

    def service(self, contract: type[T]) -> T:
        found = self.find(contract)
        if found is None:
            raise LookupError(
                f"{self._module} asks for {contract.__qualname__}, which no enabled module offers"
            )
        return found

    def find(self, contract: type[T]) -> T | None:
        if contract not in self._world.services:
            return None
        return self._world.container.get(contract)

    def extensions(self, point: Callable[..., Any]) -> Sequence[Extension[..., Any]]:
        return self._world.extensions.get(point.__name__, ())

    def permissions_of(self, role: str) -> frozenset[str]:
        return self._world.roles.permissions_of(role)

    def roles(self) -> tuple[str, ...]:
        return self._world.roles.names()

    def read(self) -> AbstractAsyncContextManager[ReadableSession]:
        return self._world.resources.database.read()

    def write(self) -> AbstractAsyncContextManager[WritableSession]:
        return self._world.resources.database.write()
