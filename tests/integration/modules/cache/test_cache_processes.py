"""Several processes over one Redis: what one changes, the others see."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from core.redis import LIMIT
from modules.cache.service import CacheService
from modules.cache.shared import MAX_OWED
from tests.support.caches import AT_ONCE, Caches, RedisServer, Source, port_for

pytestmark = pytest.mark.redis


async def paid(cache: CacheService) -> None:
    """Until Redis knows of every invalidation."""
    for _ in range(200):
        if not cache.stats().owed:
            return
        await asyncio.sleep(0.05)
    pytest.fail("still owed after ten seconds")


def call(cache: CacheService, source: Source, key: str = "k", **options: Any) -> Any:
    return cache.get_or_load(key, source.load, **{"as_type": int, "tags": ["t"], **options})


async def keys_of(caches: Caches) -> dict[bytes, int]:
    """What the caches left in Redis, with the milliseconds that it will stay."""
    port = port_for(caches.url, limit=10)
    client = port.client
    found = {key: await client.pttl(key) async for key in client.scan_iter(f"{caches.prefix}:*")}
    await port.close()
    return found


async def test_what_one_process_loads_the_other_finds(processes: Caches) -> None:
    """A value that one process loaded is answered to another from Redis."""
    one, two, source = processes.make(), processes.make(), Source(7)
    assert [await call(one, source), await call(two, source)] == [7, 7]
    assert source.loads == 1
    assert (two.stats().redis_hits, two.stats().redis) == (1, "up")


async def test_what_another_process_renewed_is_not_loaded_again(processes: Caches) -> None:
    """A process whose dice fall takes a newer value from Redis before it loads one itself."""
    one, two = processes.make(early=100), processes.make()
    slow, quick = Source(1), Source(2)
    slow.gate.clear()
    first = asyncio.create_task(call(one, slow, ttl=20))
    await asyncio.sleep(0.5)
    slow.gate.set()
    await first
    await two.invalidate("t")
    await call(two, quick, ttl=20)
    assert 2 in [await call(one, slow, ttl=20) for _ in range(100)]
    assert (slow.loads, quick.loads, one.stats().redis_hits) == (1, 1, 1)


async def test_an_invalidation_reaches_the_other_process(processes: Caches) -> None:
    """When local memory is off, another process sees an invalidation with its next call."""
    one, two = processes.make(local_ttl=AT_ONCE), processes.make(local_ttl=AT_ONCE)
    source = Source(1)
    await call(two, source)
    source.value = 2
    await one.invalidate("t")
    assert await call(two, source) == 2


async def test_local_memory_asks_again_when_its_time_ends(processes: Caches) -> None:
    """A process sees another's invalidation when its local ttl has passed, long before the ttl."""
    one, two, source = processes.make(), processes.make(local_ttl=0.1), Source(1)
    await call(two, source)
    source.value = 2
    await one.invalidate("t")
    assert await call(two, source) == 1
    await asyncio.sleep(0.15)
    assert await call(two, source) == 2


@pytest.mark.parametrize("local_ttl", [AT_ONCE, 60.0], ids=["redis", "memory over redis"])
async def test_a_load_from_before_anothers_invalidation_is_not_kept(
    processes: Caches, local_ttl: float
) -> None:
    """A load that one process began before another's invalidation leaves its old value nowhere."""
    one, two = processes.make(), processes.make(local_ttl=local_ttl)
    source = Source(1)
    source.gate.clear()
    early = asyncio.create_task(call(two, source))
    await source.started.wait()
    source.value = 2
    await one.invalidate("t")
    source.gate.set()
    assert await early == 1
    assert [await call(two, source), await call(one, source)] == [2, 2]


async def test_another_operating_system_process_invalidates(processes: Caches) -> None:
    """An invalidation by a process of its own is seen by this one."""
    cache, source = processes.make(local_ttl=AT_ONCE), Source(1)
    await call(cache, source)
    source.value = 2
    program = (
        "import asyncio, sys\n"
        "from tests.support.caches import Caches\n"
        "async def main():\n"
        "    caches = Caches(sys.argv[1])\n"
        "    caches.prefix = sys.argv[2]\n"
        "    await caches.make().invalidate('t')\n"
        "asyncio.run(main())\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, processes.url, processes.prefix],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert await call(cache, source) == 2


async def test_everything_in_redis_ends(processes: Caches) -> None:
    """Every key begins with the prefix and has a time to live."""
    cache = processes.make()
    for number in range(5):
        await call(cache, Source(number), f"k{number}", tags=[f"t{number}", "all"])
    await cache.invalidate("t1")
    lives = await keys_of(processes)
    assert len(lives) == 5 + 4 + 2
    assert all(life > 0 for life in lives.values())


async def test_deployments_with_prefixes_of_their_own_do_not_meet(processes: Caches) -> None:
    """Two deployments share a Redis without sharing a value or an invalidation."""
    one = processes.make(local_ttl=AT_ONCE)
    two = processes.make(local_ttl=AT_ONCE, prefix=f"{processes.prefix}:other")
    mine, other = Source(1), Source(2)
    assert [await call(one, mine), await call(two, other)] == [1, 2]
    await one.invalidate("t")
    assert await call(two, other) == 2
    assert other.loads == 1


async def test_switched_off_redis_is_not_used(processes: Caches) -> None:
    """With `redis = false` nothing is written to Redis and the state is off."""
    cache, source = processes.make(redis=False), Source(1)
    assert [await call(cache, source), await call(cache, source)] == [1, 1]
    await cache.invalidate("t")
    assert await keys_of(processes) == {}
    assert cache.stats().redis == "off"


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\x80\xff", b"{}", b"[]\n1", b"null\n1", b'{"tags": 1}\n1', b'{"tags": {}}\n"x"'],
    ids=repr,
)
async def test_what_cannot_be_read_is_a_miss(processes: Caches, garbage: bytes) -> None:
    """Bytes that are no value of ours are loaded again and replaced."""
    cache, source = processes.make(local_ttl=AT_ONCE), Source(7)
    await call(cache, source)
    name = f"{processes.prefix}:k:k"
    await processes.port_of(cache).call(lambda client: client.set(name, garbage, ex=60))
    assert [await call(cache, source), await call(cache, source)] == [7, 7]
    assert source.loads == 2


async def test_a_key_of_another_kind_is_passed_by(processes: Caches) -> None:
    """A list where a value should be costs a load a call, and no error."""
    cache, source = processes.make(local_ttl=AT_ONCE), Source(7)
    name = f"{processes.prefix}:k:k"
    await processes.port_of(cache).call(lambda client: client.rpush(name, "x"))
    assert [await call(cache, source), await call(cache, source)] == [7, 7]


async def test_a_value_of_another_release_is_a_miss(processes: Caches) -> None:
    """A value that no longer fits its type, or lacks a tag that it has now, is loaded again."""
    cache, text, number = processes.make(local_ttl=AT_ONCE), Source("many"), Source(5)
    await call(cache, text, as_type=str)
    assert await call(cache, number, as_type=int) == 5
    assert await call(cache, number, as_type=int, tags=["t", "new"]) == 5
    assert number.loads == 2


async def test_evicted_tags_bring_nothing_old_back(processes: Caches) -> None:
    """When Redis evicts a tag, before an invalidation or after, no old value counts again."""
    cache, source = processes.make(local_ttl=AT_ONCE), Source(1)
    port = processes.port_of(cache)
    await call(cache, source)
    kept = await port.call(lambda client: client.get(f"{processes.prefix}:k:k"))
    for value in (2, 3):
        source.value = value
        await cache.invalidate("t")
        await call(cache, Source(0), "another of the tag")
        await port.call(lambda client: client.unlink(f"{processes.prefix}:t:t"))
        await port.call(lambda client: client.set(f"{processes.prefix}:k:k", kept, ex=60))
        assert await call(cache, source) == value


async def test_a_value_that_json_cannot_hold_stays_here(processes: Caches) -> None:
    """A value that is not of its type is given and remembered here, and not shared."""
    cache, source = processes.make(), Source(object())
    assert await call(cache, source) is source.value
    assert await call(cache, source) is source.value
    assert source.loads == 1
    assert f"{processes.prefix}:k:k".encode() not in await keys_of(processes)


async def test_a_killed_redis_is_passed_by(own_redis: RedisServer) -> None:
    """With Redis dead every call is answered within the time limit; once it is back, by Redis."""
    caches = Caches(own_redis.url, limit=LIMIT)
    cache, source = caches.make(local_ttl=AT_ONCE), Source(1)
    await call(cache, source)
    own_redis.kill()
    loop = asyncio.get_running_loop()
    for number in range(20):
        source.value = number
        began = loop.time()
        assert await call(cache, source) == number
        assert loop.time() - began < LIMIT + 0.5
    assert cache.stats().redis == "down"
    own_redis.start()
    async with asyncio.timeout(10):
        while cache.stats().redis == "down":
            await asyncio.sleep(0.1)
            await call(cache, source)
    loads = source.loads
    assert [await call(cache, source), await call(cache, source)] == [19, 19]
    assert source.loads <= loads + 1
    await caches.close()


async def test_redis_may_be_dead_from_the_start(own_redis: RedisServer) -> None:
    """A process that never met its Redis answers, and uses it when it comes."""
    own_redis.kill()
    caches = Caches(own_redis.url, limit=LIMIT)
    cache, source = caches.make(local_ttl=AT_ONCE), Source(1)
    assert await call(cache, source) == 1
    own_redis.start()
    async with asyncio.timeout(10):
        while not cache.stats().redis_hits:
            await asyncio.sleep(0.1)
            await call(cache, source)
    await caches.close()


async def test_a_frozen_redis_costs_one_time_limit(own_redis: RedisServer) -> None:
    """With Redis frozen a hundred callers at once wait a quarter second, and later ones not."""
    caches = Caches(own_redis.url, limit=LIMIT)
    cache, sources = caches.make(), [Source(n) for n in range(100)]
    await call(cache, sources[0], "0")
    own_redis.freeze()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(call(cache, source, f"{n}") for n, source in enumerate(sources)))
    assert loop.time() - began < LIMIT + 1
    began = loop.time()
    await call(cache, Source(1), "another")
    assert loop.time() - began < LIMIT
    own_redis.thaw()
    await caches.close()


async def test_what_a_frozen_redis_was_not_told_is_told_later(own_redis: RedisServer) -> None:
    """An invalidation while Redis is away is made up for by itself: other processes see it."""
    caches = Caches(own_redis.url, limit=LIMIT)
    one, two = caches.make(local_ttl=AT_ONCE), caches.make(local_ttl=AT_ONCE)
    source = Source(1)
    await call(two, source)
    own_redis.freeze()
    source.value = 2
    await one.invalidate("t")
    assert one.stats().owed == 1
    assert await call(one, source) == 2
    own_redis.thaw()
    await paid(one)
    assert [await call(one, source), await call(two, source)] == [2, 2]
    await caches.close()


async def test_who_owes_reads_nothing_old(own_redis: RedisServer) -> None:
    """A process that could not tell Redis tells it before it reads there again."""
    caches = Caches(own_redis.url, limit=LIMIT)
    cache, source = caches.make(local_ttl=AT_ONCE), Source(1)
    await call(cache, source)
    own_redis.freeze()
    source.value = 2
    await cache.invalidate("t")
    own_redis.thaw()
    for _ in range(300):
        assert await call(cache, source) == 2
        await asyncio.sleep(0.01)
    assert cache.stats().redis == "up"
    await caches.close()


async def test_a_redis_that_only_reads_brings_nothing_old_back(own_redis: RedisServer) -> None:
    """While Redis refuses to forget (a replica after a failover), who owes does not read there."""
    caches = Caches(own_redis.url)
    one, two = caches.make(local_ttl=AT_ONCE), caches.make(local_ttl=AT_ONCE)
    source, port = Source(1), caches.port_of(one)
    await call(one, source)
    await port.call(lambda client: client.replicaof("127.0.0.1", 1))
    source.value = 2
    await one.invalidate("t")
    assert one.stats().owed == 1
    assert await call(one, source) == 2
    await port.call(lambda client: client.replicaof("NO", "ONE"))
    await paid(one)
    assert await call(two, source) == 2
    await caches.close()


async def test_debts_are_bounded(own_redis: RedisServer) -> None:
    """A long outage with many changes ends in one debt: everything is forgotten."""
    caches = Caches(own_redis.url, limit=LIMIT)
    one, two = caches.make(), caches.make(local_ttl=AT_ONCE)
    source = Source(1)
    await call(two, source, tags=["a tag that was invalidated first"])
    own_redis.freeze()
    source.value = 2
    await one.invalidate("a tag that was invalidated first")
    await one.invalidate(*(f"t{number}" for number in range(MAX_OWED)))
    assert one.stats().owed == 1
    own_redis.thaw()
    await paid(one)
    assert await call(two, source, tags=["a tag that was invalidated first"]) == 2
    await caches.close()


async def test_a_cancelled_invalidation_is_made_up_for(own_redis: RedisServer) -> None:
    """A client that goes away while its change is being told to Redis does not take that along."""
    caches = Caches(own_redis.url, limit=LIMIT)
    one, two = caches.make(), caches.make(local_ttl=AT_ONCE)
    source = Source(1)
    await call(two, source)
    await one.invalidate("connected")
    own_redis.freeze()
    source.value = 2
    telling = asyncio.create_task(one.invalidate("t"))
    await asyncio.sleep(0.05)
    telling.cancel()
    await asyncio.wait([telling])
    own_redis.thaw()
    await paid(one)
    assert await call(two, source) == 2
    await caches.close()


async def test_closing_pays_what_is_owed(own_redis: RedisServer) -> None:
    """A process that ends while it owes tries once more, and leaves no task behind."""
    caches = Caches(own_redis.url, limit=LIMIT)
    one, two = caches.make(), caches.make(local_ttl=AT_ONCE)
    source = Source(1)
    await call(two, source)
    own_redis.freeze()
    source.value = 2
    await one.invalidate("t")
    own_redis.thaw()
    await asyncio.sleep(2.05)  # the breaker lets the next call through
    await one.close()
    assert one.stats().owed == 0
    assert await call(two, source) == 2
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "tessera-cache-payer" not in names
    await caches.close()


async def test_values_are_json(processes: Caches) -> None:
    """What lies in Redis is one line of JSON header and one JSON value: nothing that could run."""
    cache = processes.make()
    await call(cache, Source({"a": [1, None]}), as_type=dict[str, list[int | None]])
    name = f"{processes.prefix}:k:k"
    blob = await processes.port_of(cache).call(lambda client: client.get(name))
    assert isinstance(blob, bytes)
    header, body = (json.loads(line) for line in blob.splitlines())
    assert set(header["tags"]) == {"*", "t"}
    assert body == {"a": [1, None]}
