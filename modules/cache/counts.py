"""What the cache counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counts:
    """Since the generation began; see `modules.cache.contracts.CacheStats` for what they mean."""

    local_hits: int = 0
    redis_hits: int = 0
    misses: int = 0
    waits: int = 0
    loads: int = 0
    early: int = 0
    stale: int = 0
    failures: int = 0
    invalidations: int = 0

    def wait(self) -> None:
        """A call was answered by another's load."""
        self.misses += 1
        self.waits += 1

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)
