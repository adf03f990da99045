"""Bodies of version 1 of the cache's routes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from core.plugin import Schema
from modules.cache.contracts import CacheStats


class Stats(Schema):
    """What the cache of the process that answers did since it began with these modules."""

    hits: int = Field(description="calls answered at once, from memory or from Redis")
    local_hits: int = Field(description="those answered from this process's memory")
    redis_hits: int = Field(description="those answered from Redis")
    misses: int = Field(description="calls that had to wait for a load")
    waits: int = Field(description="those that waited for a load that another caller had begun")
    hit_ratio: float = Field(ge=0, le=1, description="hits among all calls; 0 before the first")
    loads: int = Field(description="loads that ran")
    early: int = Field(description="those that renewed a value before its end")
    failures: int = Field(description="those that failed")
    stale: int = Field(description="calls given an old value because the load was not available")
    invalidations: int = Field(description="tags that were invalidated")
    evictions: int = Field(description="values that made room for others in memory")
    entries: int = Field(description="values in memory now, old ones included")
    owed: int = Field(description="tags that Redis, being down, has yet to be told to forget")
    redis: Literal["off", "up", "down"] = Field(
        description="off: not used; down: passed by until it answers"
    )

    @classmethod
    def of(cls, stats: CacheStats) -> Self:
        """From the service's own."""
        return cls(hits=stats.hits, hit_ratio=stats.hit_ratio, **stats.model_dump())
