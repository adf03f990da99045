"""The cache's settings: ``[modules.cache]``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CacheSettings(BaseModel):
    """All times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ttl: float = Field(60.0, gt=0, le=86_400, description="life of a value that names no ttl")
    max_entries: int = Field(
        10_000, ge=1, le=10_000_000, description="values kept in each process; least used go first"
    )
    local_ttl: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="how long a process serves a value without asking Redis: the longest time for "
        "which another process's change goes unseen that no event tells of (of products one does, "
        "within a second). Left out: 5 where other processes are likely (Redis is configured, or "
        "several workers), else as long as the value lives",
    )
    redis: bool = Field(
        True, description="share values between processes where Redis is configured"
    )
    stale: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="how long after its end a value may still be given when a load is Unavailable",
    )
    early: float = Field(
        1.0, ge=0, le=100, description="eagerness of early refresh (XFetch's beta); 0: never early"
    )
    patience: float = Field(
        2.0, gt=0, le=60, description="how long a caller waits for another's load before its own"
    )
    prefix: str = Field(
        "tessera:cache",
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="what every key in Redis begins with; one for each deployment that shares it",
    )
