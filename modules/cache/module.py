"""The cache as a module: what it is made of."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from core.plugin import Broadcast, Cache, Context, Manifest, Permission, broadcast, hookimpl
from modules.cache import handlers
from modules.cache.api.v1.router import router as v1
from modules.cache.api.v2.router import router as v2
from modules.cache.contracts import CacheControl
from modules.cache.service import CacheService
from modules.cache.settings import CacheSettings
from modules.catalog.events import ProductChanged

SHARED_LOCAL_TTL = 5.0


@hookimpl
def manifest() -> Manifest:
    return Manifest(
        id="cache",
        version="1.0.0",
        optional=("catalog",),
        summary="Loads once, remembers, forgets by tag.",
    )


@hookimpl
def settings() -> type[BaseModel]:
    return CacheSettings


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    build = {"v1": v1, "v2": v2}.get(version)
    return [build()] if build else []


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {Cache: make_cache, CacheControl: the_cache}


@hookimpl
def permissions() -> Sequence[Permission]:
    return [Permission("cache:manage", summary="See what the cache does; forget by tag.")]


@hookimpl
def subscriptions() -> Sequence[Broadcast]:
    return [broadcast(ProductChanged, handlers.product_changed)]


@hookimpl
def lifespan(context: Context) -> AbstractAsyncContextManager[None]:
    return _closing(the_cache(context))


def make_cache(context: Context) -> CacheService:
    """The generation's cache, over the process's Redis where there is one."""
    chosen = context.settings_as(CacheSettings)
    # Others may change what this process remembers. Of products it hears by broadcast; of what no
    # event tells, and of a broadcast that it missed, it learns by asking again soon.
    others = (context.redis.configured and chosen.redis) or context.app.server.workers > 1
    local_ttl = chosen.local_ttl or (SHARED_LOCAL_TTL if others else math.inf)
    return CacheService(chosen, context.redis, local_ttl=local_ttl)


def the_cache(context: Context) -> CacheService:
    """The one that `make_cache` made for this generation."""
    cache = context.cache
    if not isinstance(cache, CacheService):
        raise TypeError(f"context.cache is {type(cache).__name__}, not the cache module's")
    return cache


@contextlib.asynccontextmanager
async def _closing(cache: CacheService) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await cache.close()
