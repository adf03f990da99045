"""Redis as the house sees it: one client a process, and what happens without one.

Down is a state, not an error: a call answers within `LIMIT` seconds or raises `RedisDown`, and for
`PAUSE` seconds after a failure calls fail at once, so that nobody queues behind a dead server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from core.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from core.settings import RedisSettings

T = TypeVar("T")
log = structlog.get_logger("tessera.redis")

LIMIT: Final = 0.25
"""Seconds that a call may take in all: waiting for a connection, connecting, command, answer."""

PAUSE: Final = 2.0
"""Seconds after a failure in which calls fail at once; the next one then is the probe."""

MAX_CONNECTIONS: Final = 20
"""More than a process can keep busy; callers beyond wait. Few, because a rush opens them all."""

REFUSAL_LOG_EVERY: Final = 60.0


class RedisDown(Unavailable):
    """Redis is not configured, cannot be reached just now, or will not do what was asked of it."""

    slug = "redis-down"
    title = "Redis is not available just now"


class RedisPort:
    """The process's Redis client behind time limits and a circuit breaker.

    Connects on the first call and never when no address is configured. A change of its state is
    logged once.
    """

    def __init__(self, settings: RedisSettings, *, limit: float = LIMIT) -> None:
        """`limit`: seconds a call may take. Raises ConfigurationError for an impossible address."""
        self._limit = limit
        self._client = _make_client(settings.url, limit) if settings.url else None
        self._closed_until = 0.0
        self._refusal_told = -REFUSAL_LOG_EVERY

    @property
    def configured(self) -> bool:
        """Whether the deployment has a Redis. Without one every call is refused at once."""
        return self._client is not None

    @property
    def available(self) -> bool:
        """Whether the last call was answered, or none was made yet."""
        return self._client is not None and not self._closed_until

    @property
    def client(self) -> Redis:
        """The client itself, for what does not fit into `call`. Raises RedisDown without one."""
        if self._client is None:
            raise RedisDown("No Redis is configured.")
        return self._client

    async def call(self, operation: Callable[[Redis], Awaitable[T]]) -> T:
        """What `operation` gives: ``await redis.call(lambda r: r.get("key"))``.

        At most the limit, tried once. Raises RedisDown: at once while the breaker is open;
        also for an answer that refuses (READONLY, OOM), which opens nothing: Redis is alive.
        """
        from redis.exceptions import ResponseError

        client = self.client
        self._admit()
        try:
            async with asyncio.timeout(self._limit):
                result = await operation(client)
        except ResponseError as error:
            self._refused(error)
            raise RedisDown(f"Redis refused: {error}") from error
        except _failures() as error:
            self._failed(error)
            raise RedisDown("Redis cannot be reached just now.") from error
        self._answered()
        return result

    async def ping(self) -> None:
        """Raises RedisDown when Redis does not answer."""
        await self.call(lambda client: client.echo("ping"))

    async def close(self) -> None:
        """Give the connections back; safe to call twice."""
        if self._client is not None:
            try:
                async with asyncio.timeout(self._limit):
                    await self._client.aclose()
            except _failures() as error:
                log.warning("redis connections were not closed cleanly", reason=_describe(error))

    def _admit(self) -> None:
        if not self._closed_until:
            return
        now = time.monotonic()
        if now < self._closed_until:
            raise RedisDown("Redis could not be reached a moment ago.")
        # This call is the probe; the others go on failing until it has an answer.
        self._closed_until = now + PAUSE

    def _answered(self) -> None:
        if self._closed_until:
            log.info("redis is back")
            self._closed_until = 0.0

    def _refused(self, error: Exception) -> None:
        self._answered()
        now = time.monotonic()
        if now - self._refusal_told >= REFUSAL_LOG_EVERY:
            self._refusal_told = now
            log.warning("redis refuses a command", reason=_describe(error))

    def _failed(self, error: Exception) -> None:
        if not self._closed_until:
            log.warning("redis is down and will be passed by", reason=_describe(error))
        self._closed_until = time.monotonic() + PAUSE


def _make_client(url: str, limit: float) -> Redis:
    # Imported here: half a second that a deployment without Redis does not pay.
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.maint_notifications import MaintNotificationsConfig

    try:
        pool = BlockingConnectionPool.from_url(
            url,
            protocol=3,
            max_connections=MAX_CONNECTIONS,
            timeout=limit,
            socket_timeout=limit,
            socket_connect_timeout=limit,
            retry=Retry(NoBackoff(), 0),
            # Spares a command on each connect, and an enlarged time limit that we do not want.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError as error:
        raise ConfigurationError(f"redis.url: {error}") from None
    return Redis.from_pool(pool)


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import ConnectionError as Broken
    from redis.exceptions import InvalidResponse
    from redis.exceptions import TimeoutError as TooSlow

    return Broken, TooSlow, InvalidResponse, OSError, TimeoutError


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
