"""What the cache offers beside core's port `Cache`: a look inside, and forgetting by hand."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

RedisState = Literal["off", "up", "down"]
EVERYTHING = "*"
"""The tag that every value has: ``invalidate("*")`` forgets all of them."""


class CacheStats(BaseModel):
    """What the cache of one process did since its generation began."""

    model_config = ConfigDict(frozen=True)

    local_hits: int = Field(description="calls answered from this process's memory")
    redis_hits: int = Field(description="calls answered from Redis")
    misses: int = Field(description="calls that found no fresh value")
    waits: int = Field(description="misses answered by a load that another caller had begun")
    loads: int = Field(description="loads that ran, early ones included")
    early: int = Field(description="loads that ran before the value's end, so that nobody waited")
    stale: int = Field(description="calls given an old value because the load was Unavailable")
    failures: int = Field(description="loads that raised")
    invalidations: int = Field(description="tags that were invalidated")
    evictions: int = Field(description="values that made room for others in this process's memory")
    entries: int = Field(description="values in this process's memory now, old ones included")
    owed: int = Field(description="tags that Redis, being down, has yet to be told to forget")
    redis: RedisState = Field(
        description="off: values stay in this process; down: Redis is passed by until it answers"
    )

    @property
    def hits(self) -> int:
        """Calls that were answered at once."""
        return self.local_hits + self.redis_hits

    @property
    def hit_ratio(self) -> float:
        """Hits among all calls; 0 before the first."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0


class CacheControl(Protocol):
    """The cache for whoever runs the deployment."""

    def stats(self) -> CacheStats: ...

    async def invalidate(self, *tags: str) -> None:
        """Forget everything under any of `tags`."""
        ...
