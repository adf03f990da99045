"""What lives as long as the process: the database's engines and the Redis client.

A generation borrows them; a swap never doubles them.
"""

from __future__ import annotations

from core.db.engine import Database
from core.redis import RedisPort
from core.settings import Settings


class Resources:
    """The process's connections to servers; made once, closed once, connecting on first use."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings.database)
        self.redis = RedisPort(settings.redis)

    async def close(self) -> None:
        """Give every connection back."""
        try:
            await self.redis.close()
        finally:
            await self.database.close()
