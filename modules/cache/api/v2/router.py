"""Version 2 of the cache's routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from core.plugin import Text, requires, service
from modules.cache.api.v2.schemas import Stats
from modules.cache.contracts import CacheControl

Control = Annotated[CacheControl, service(CacheControl)]
Tag = Annotated[Text, Query(min_length=1, max_length=200)]
Tags = Annotated[
    list[Tag],
    Query(alias="tag", min_length=1, max_length=100, description="repeatable; `*` is every value"),
]


def router() -> APIRouter:
    """Fresh at every call, as a generation needs it."""
    routes = APIRouter(prefix="/cache", tags=["cache"], dependencies=[requires("cache:manage")])
    routes.get("/stats")(cache_stats)
    routes.delete("", status_code=204)(forget)
    return routes


async def cache_stats(cache: Control) -> Stats:
    """What the cache does, in the process that answers."""
    return Stats.of(cache.stats())


async def forget(cache: Control, tags: Tags) -> None:
    """Forget every value under any of the tags. While Redis is down it is told when it is back."""
    await cache.invalidate(*tags)
