"""The cache as services see it: a port that a module may stand behind, and nothing if none does.

Core knows no cache. The cache module offers a service of the type `Cache`; where it is disabled,
`NO_CACHE` loads every time, so that switching the cache off changes nothing but speed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, runtime_checkable

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="HasCache")


@runtime_checkable
class Cache(Protocol):
    """Loads through a cache.

    Values must survive JSON by their type (`as_type`, any type that pydantic can validate).
    """

    async def get_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[R]],
        *,
        as_type: Any,
        ttl: float,
        tags: Iterable[str] = (),
    ) -> R:
        """The cached value of `key`, or what `load` gives, kept for `ttl` seconds under `tags`.

        Concurrent callers of one key wait for one load. Errors of `load` are raised and not kept.
        """
        ...

    async def invalidate(self, *tags: str) -> None:
        """Forget everything under any of `tags`. To be called after the commit, never before."""
        ...


class _NoCache:
    async def get_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[R]],
        *,
        as_type: Any,
        ttl: float,
        tags: Iterable[str] = (),
    ) -> R:
        return await load()

    async def invalidate(self, *tags: str) -> None:
        return None


NO_CACHE: Cache = _NoCache()
"""What stands behind the port when no module does."""


class HasCache(Protocol):
    """A service whose methods are `cached`: it holds the cache that its factory was given."""

    @property
    def cache(self) -> Cache: ...


def cached(
    key: str, *, ttl: float, tags: Iterable[str] = ()
) -> Callable[
    [Callable[Concatenate[S, P], Awaitable[R]]], Callable[Concatenate[S, P], Awaitable[R]]
]:
    """Cache what a service's async method returns, by its arguments.

    `key` and `tags` are format strings over the method's parameters; `ttl` is in seconds. The
    return annotation tells how a value is read back. The service has an attribute ``cache``::

        @cached("catalog:product:{product_id}", ttl=60, tags=["catalog:product:{product_id}"])
        async def product(self, session: Session, product_id: int) -> ProductDTO: ...
    """
    templates = tuple(tags)

    def decorate(
        method: Callable[Concatenate[S, P], Awaitable[R]],
    ) -> Callable[Concatenate[S, P], Awaitable[R]]:
        signature = inspect.signature(method)
        annotation: list[Any] = []

        @functools.wraps(method)
        async def through_cache(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
            cache = self.cache
            if cache is NO_CACHE:
                return await method(self, *args, **kwargs)
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            if not annotation:  # resolved late: annotations may be strings
                annotation.append(inspect.get_annotations(method, eval_str=True)["return"])
            return await cache.get_or_load(
                key.format_map(bound.arguments),
                lambda: method(self, *args, **kwargs),
                as_type=annotation[0],
                ttl=ttl,
                tags=[tag.format_map(bound.arguments) for tag in templates],
            )

        return through_cache

    return decorate
