"""What lives as long as the process: the database's engines, the Redis client, the relay.

A generation borrows them; a swap never doubles them.
"""

from __future__ import annotations

from core.db.engine import Database
from core.events.bell import Bell
from core.events.lookout import Lookout
from core.events.recording import Recorder
from core.events.runtime import EventRuntime
from core.redis import RedisPort
from core.settings import Settings


class Resources:
    """The process's connections to servers; made once, closed once, connecting on first use."""

    def __init__(self, settings: Settings) -> None:
        bell = Bell()
        recorder = Recorder(bell=bell, enabled=settings.events.recording)
        self.database = Database(settings.database, recorder=recorder)
        self.events = EventRuntime(
            self.database, settings=settings.events, kafka=settings.kafka, bell=bell
        )
        self.lookout = Lookout(self.database, kafka=settings.kafka)
        self.redis = RedisPort(settings.redis)

    async def close(self) -> None:
        """Give every connection back."""
        try:
            await self.lookout.close()
            await self.events.stop()
            await self.redis.close()
        finally:
            await self.database.close()
