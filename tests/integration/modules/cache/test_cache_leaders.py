"""Who loads a value when several want it: early, in another's place, all at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.errors import NotFound, Unavailable
from modules.cache.service import CacheService
from tests.support.caches import Caches, Source


def call(cache: CacheService, source: Source, key: str = "k", **options: Any) -> Any:
    """A call that loads from the source, of an int unless said otherwise."""
    return cache.get_or_load(key, source.load, **{"as_type": int, "tags": ["t"], **options})


async def test_one_caller_renews_early_and_nobody_waits(caches: Caches) -> None:
    """Near its end a value is renewed by one caller, while the others are given it as it is."""
    cache, source = caches.make(early=100), Source(1)
    source.gate.clear()
    first = asyncio.create_task(call(cache, source, ttl=5))
    await asyncio.sleep(0.2)  # a load of 0.2 s at an eagerness of 100: due at once
    source.gate.set()
    await first
    source.gate.clear()
    source.started.clear()
    source.value = 2
    callers = []
    while not source.started.is_set():
        callers.append(asyncio.create_task(call(cache, source, ttl=5)))
        await asyncio.sleep(0.005)
    assert [await asyncio.wait_for(call(cache, source, ttl=5), 2) for _ in range(20)] == [1] * 20
    source.gate.set()
    assert sorted(await asyncio.gather(*callers))[-2:] in ([2], [1, 2])
    assert (source.loads, cache.stats().early) == (2, 1)


async def test_an_early_load_that_fails_costs_nobody(caches: Caches) -> None:
    """When the load of an early renewal is Unavailable, the value that is still good is given."""
    cache, source = caches.make(early=100), Source(1)
    source.gate.clear()
    first = asyncio.create_task(call(cache, source, ttl=5))
    await asyncio.sleep(0.2)
    source.gate.set()
    await first
    source.error = Unavailable("the database is away")
    assert [await call(cache, source, ttl=5) for _ in range(50)] == [1] * 50
    assert cache.stats().failures >= 1
    assert cache.stats().stale == 0


async def test_a_leader_that_waits_for_its_followers_is_helped(cache: CacheService) -> None:
    """Callers who hold all of a small pool while they wait for a load that needs it do not hang."""
    del cache  # patience is the test's own
    caches = Caches()
    cache, pool, loads = caches.make(patience=0.1), asyncio.Semaphore(2), 0
    leading = asyncio.Event()

    async def leader() -> int:
        async def load() -> int:
            nonlocal loads
            loads += 1
            leading.set()
            await asyncio.sleep(0.01)
            async with pool:
                return 7

        return await cache.get_or_load("k", load, as_type=int)

    async def follower() -> int:
        async def load() -> int:
            nonlocal loads
            loads += 1
            return 7

        async with pool:
            return await cache.get_or_load("k", load, as_type=int)

    tasks = [asyncio.create_task(leader())]
    await leading.wait()
    tasks += [asyncio.create_task(follower()) for _ in range(2)]
    async with asyncio.timeout(2):
        assert await asyncio.gather(*tasks) == [7, 7, 7]
    assert loads == 2
    await caches.close()


async def test_a_helper_that_fails_disturbs_nobody(caches: Caches) -> None:
    """A helper's error is its own: the leader goes on, and others still join it."""
    cache, source, broken = caches.make(patience=0.1), Source(7), Source()
    source.gate.clear()
    broken.error = NotFound("only the helper's")
    leader = asyncio.create_task(call(cache, source))
    await source.started.wait()
    with pytest.raises(NotFound):
        await call(cache, broken)
    late = asyncio.create_task(call(cache, source))
    await asyncio.sleep(0.01)
    source.gate.set()
    assert (await leader, await late) == (7, 7)
    assert (source.loads, broken.loads) == (1, 1)


async def test_a_helper_that_is_first_answers_for_all(caches: Caches) -> None:
    """The first answer counts; what the slow leader brings later is its own and is not kept."""
    cache, source, quick = caches.make(patience=0.1), Source(1), Source(2)
    source.gate.clear()
    leader = asyncio.create_task(call(cache, source))
    await source.started.wait()
    assert await call(cache, quick) == 2
    await cache.invalidate("t")
    quick.value = 3
    source.gate.set()
    assert await leader == 1
    assert await call(cache, quick) == 3


async def test_a_slow_load_is_not_begun_by_everybody(caches: Caches) -> None:
    """A load of many patiences is helped once a patience, not once a caller, and then kept."""
    cache, source = caches.make(patience=0.1), Source(7)
    source.gate.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    callers = [asyncio.create_task(call(cache, source)) for _ in range(50)]
    await asyncio.sleep(0.35)
    source.gate.set()
    assert await asyncio.gather(*callers) == [7] * 50
    assert 2 <= source.loads <= 1 + (loop.time() - began) / 0.1
    loads = source.loads
    assert await call(cache, source) == 7
    assert source.loads == loads
