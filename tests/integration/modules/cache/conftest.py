"""One suite for every level: this process's memory, Redis alone, and one over the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modules.cache.service import CacheService
from tests.support.caches import AT_ONCE, Caches, RedisServer, shared_redis_url


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("memory over redis", marks=pytest.mark.redis),
    ]
)
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[CacheService]:
    """A cache of each kind."""
    caches = Caches("" if request.param == "memory" else shared_redis_url())
    yield caches.make(**({"local_ttl": AT_ONCE} if request.param == "redis" else {}))
    await caches.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def caches(request: pytest.FixtureRequest) -> AsyncIterator[Caches]:
    """A maker of caches with settings of the test's own."""
    made = Caches("" if request.param == "memory" else shared_redis_url())
    yield made
    await made.close()


@pytest.fixture
async def processes() -> AsyncIterator[Caches]:
    """A maker of caches that share one Redis."""
    made = Caches(shared_redis_url())
    yield made
    await made.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may hurt."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
