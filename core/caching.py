"""The cache as services see it: a port that a module may stand behind, and nothing if none does.

Core knows no cache. The cache module offers a service of the type `Cache`; where it is disabled,
`NO_CACHE` loads every time, so that switching the cache off changes nothing but speed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, runtime_checkable

from core.caching_keys import Template, cache_key
from core.db.session import WritableSession

__all__ = ["NO_CACHE", "Cache", "HasCache", "cache_key", "cached"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="HasCache")


@runtime_checkable
class Cache(Protocol):
    """Loads through a cache.

    Values must survive JSON by their type (`as_type`, any type that pydantic can validate), and
    must be immutable: one object may be handed to many callers.
    """

    async def get_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[R]],
        *,
        as_type: Any,
        ttl: float | None = None,
        tags: Iterable[str] = (),
    ) -> R:
        """The cached value of `key`, or what `load` gives, kept for `ttl` seconds under `tags`.

        `ttl` None is what the deployment's settings say; `tags` is read only when needed. `load`
        runs in the task of one of its callers and never outlives it, so it may use that caller's
        session. Concurrent callers of one key wait for one load. Errors of `load` are raised and
        not kept; on `Unavailable` an older value may be given instead.
        """
        ...

    async def invalidate(self, *tags: str) -> None:
        """Forget everything under any of `tags`; never raises.

        To be called after the commit, never before:
        ``session.after_commit(lambda: cache.invalidate(f"catalog:product:{product_id}"))``.
        """
        ...


class _NoCache:
    async def get_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[R]],
        *,
        as_type: Any,
        ttl: float | None = None,
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
    key: str,
    *,
    ttl: float | None = None,
    tags: Iterable[str] = (),
    leaving_out: Collection[str] = ("session",),
) -> Callable[
    [Callable[Concatenate[S, P], Awaitable[R]]],
    Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
]:
    """Cache what a service's async method returns, by its arguments.

    `key` and `tags` are format strings over the method's parameters, rendered by `cache_key`: text
    appears in JSON quotes, so that no argument can imitate another key. The key names every
    parameter but those in `leaving_out`. `ttl` is in seconds. The return annotation tells how a
    value is read back. The service has an attribute ``cache``::

        @cached("catalog:product:{product_id}", ttl=60, tags=["catalog:product:{product_id}"])
        async def product(self, session: Session, product_id: int) -> ProductDTO: ...

    With a write session the method is called directly: a transaction sees its own changes, and
    nothing uncommitted gets into the cache.

    Raises TypeError or ValueError, where the class is defined, for a template or a method that
    cannot be cached.
    """
    if ttl is not None and not ttl > 0:
        raise ValueError(f"ttl is a positive number of seconds, not {ttl!r}")
    key_template = Template(key)
    tag_templates = tuple(Template(tag) for tag in tags)

    def decorate(
        method: Callable[Concatenate[S, P], Awaitable[R]],
    ) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
        arguments = _Arguments(method)
        arguments.check(key_template, tag_templates, leaving_out)
        returned: list[Any] = []

        @functools.wraps(method)
        async def through_cache(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            cache = self.cache
            if cache is NO_CACHE or arguments.may_write(args, kwargs):
                return await method(self, *args, **kwargs)
            named = arguments.by_name(args, kwargs)
            if not returned:  # resolved late: annotations may be strings that name later classes
                returned.append(_return_type(method))
            return await cache.get_or_load(
                key_template.render(named),
                lambda: method(self, *args, **kwargs),
                as_type=returned[0],
                ttl=ttl,
                tags=(template.render(named) for template in tag_templates),
            )

        return through_cache

    return decorate


class _Arguments:
    """A method's parameters after self; several times faster than ``Signature.bind`` on a hit."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._name = getattr(method, "__qualname__", repr(method))
        if not inspect.iscoroutinefunction(method):
            raise TypeError(f"{self._name} is not an async method: only those can be cached")
        if "return" not in method.__annotations__:
            raise TypeError(f"{self._name} needs a return annotation: it says how values are read")
        self._signature = inspect.signature(method)
        parameters = list(self._signature.parameters.values())[1:]
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            raise TypeError(f"{self._name} takes *args or **kwargs, which no key can name")
        self._all = tuple(p.name for p in parameters)
        self._names = frozenset(self._all)
        self._positional = tuple(p.name for p in parameters if p.kind != p.KEYWORD_ONLY)
        self._defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self._session = self._all.index("session") if "session" in self._all else -1

    def check(self, key: Template, tags: Iterable[Template], leaving_out: Collection[str]) -> None:
        """Raises TypeError when a template names no parameter, or the key forgets one."""
        for template in (key, *tags):
            for name in template.names - self._names:
                raise TypeError(f"{template.text!r}: {self._name} has no parameter {name!r}")
        for name in self._all:
            if name not in key.names and name not in leaving_out:
                raise TypeError(
                    f"{key.text!r} leaves out {name!r} of {self._name}: calls that differ in it "
                    "would share one value; name it in the key, or in leaving_out"
                )

    def may_write(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether the call comes from a transaction that changes data."""
        if self._session < 0:
            return False
        session = args[self._session] if len(args) > self._session else kwargs.get("session")
        return isinstance(session, WritableSession)

    def by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Every argument by its name. Raises TypeError as the call itself would."""
        taken = self._positional[: len(args)]
        if len(taken) == len(args) and (not kwargs or kwargs.keys().isdisjoint(taken)):
            named = {**self._defaults, **dict(zip(taken, args, strict=True)), **kwargs}
            if named.keys() == self._names:
                return named
        bound = self._signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        return bound.arguments


def _return_type(method: Callable[..., Any]) -> Any:
    """The return annotation, evaluated by itself: the others may need what is not imported."""

    def only_return() -> None: ...

    only_return.__annotations__ = {"return": method.__annotations__["return"]}
    scope = inspect.unwrap(method).__globals__
    return inspect.get_annotations(only_return, globals=scope, eval_str=True)["return"]
