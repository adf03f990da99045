"""What the cache does, whatever it remembers things in."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from core.errors import NotFound, Unavailable
from modules.cache.service import CacheService
from tests.support.caches import Caches, Source


class Thing(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: int
    name: str | None = None


def call(cache: CacheService, source: Source, key: str = "k", **options: Any) -> Any:
    """A call that loads from the source, of an int unless said otherwise."""
    return cache.get_or_load(key, source.load, **{"as_type": int, "tags": ["t"], **options})


async def test_a_value_is_loaded_once(cache: CacheService) -> None:
    """A second call of a key gives the value without a load."""
    source = Source(7)
    assert [await call(cache, source) for _ in range(3)] == [7, 7, 7]
    assert source.loads == 1


async def test_keys_do_not_mix(cache: CacheService) -> None:
    """Two keys hold two values, also when one contains the other and both are unusual text."""
    keys = ["a", "a:b", "ü\n\0", "a" * 3000, "\ud800"]
    sources = {key: Source(number) for number, key in enumerate(keys)}
    for _ in range(2):
        assert [await call(cache, sources[key], key) for key in keys] == list(range(len(keys)))


async def test_a_value_ends_with_its_ttl(cache: CacheService) -> None:
    """After ttl seconds the value is loaded again."""
    source = Source(1)
    await call(cache, source, ttl=0.4)
    source.value = 2
    assert await call(cache, source, ttl=0.4) == 1
    await asyncio.sleep(0.45)
    assert await call(cache, source, ttl=0.4) == 2


async def test_without_a_ttl_the_settings_decide(caches: Caches) -> None:
    """A call that names no ttl gets that of the settings."""
    cache, source = caches.make(ttl=0.1), Source(1)
    await call(cache, source)
    await asyncio.sleep(0.15)
    await call(cache, source)
    assert source.loads == 2


async def test_a_tag_is_forgotten_and_others_stay(cache: CacheService) -> None:
    """Invalidating a tag forgets every value under it, and no other."""
    one, two, other = Source(1), Source(2), Source(3)

    async def all_three() -> None:
        await call(cache, one, "one", tags=["t", "u"])
        await call(cache, two, "two", tags=["t"])
        await call(cache, other, "other", tags=["u"])

    await all_three()
    await cache.invalidate("t")
    await all_three()
    assert (one.loads, two.loads, other.loads) == (2, 2, 1)


async def test_the_star_is_every_value(cache: CacheService) -> None:
    """Invalidating `*` forgets everything, values without a tag included."""
    tagged, bare = Source(1), Source(2)
    for _ in range(2):
        await call(cache, tagged, "tagged")
        await call(cache, bare, "bare", tags=[])
        await cache.invalidate("*")
    assert (tagged.loads, bare.loads) == (2, 2)


async def test_callers_at_once_share_one_load(cache: CacheService) -> None:
    """A hundred callers of a missing key wait for one load and all get its value."""
    source = Source(7)
    source.gate.clear()
    callers = [asyncio.create_task(call(cache, source)) for _ in range(100)]
    await source.started.wait()
    source.gate.set()
    assert await asyncio.gather(*callers) == [7] * 100
    assert source.loads == 1


async def test_a_cancelled_leader_fails_nobody(cache: CacheService) -> None:
    """When the caller who loads is cancelled, one of those who wait loads for the others."""
    source = Source(7)
    source.gate.clear()
    leader = asyncio.create_task(call(cache, source))
    await source.started.wait()
    followers = [asyncio.create_task(call(cache, source)) for _ in range(5)]
    await asyncio.sleep(0.01)
    leader.cancel()
    source.gate.set()
    assert await asyncio.gather(*followers) == [7] * 5
    assert leader.cancelled()
    assert source.loads == 2


async def test_a_cancelled_follower_disturbs_nobody(cache: CacheService) -> None:
    """When a caller who waits is cancelled, the load and the other callers go on."""
    source = Source(7)
    source.gate.clear()
    leader = asyncio.create_task(call(cache, source))
    await source.started.wait()
    gone, stays = (asyncio.create_task(call(cache, source)) for _ in range(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    source.gate.set()
    assert (await leader, await stays, source.loads) == (7, 7, 1)


async def test_an_error_reaches_all_and_is_not_kept(cache: CacheService) -> None:
    """A load that raises raises for everybody who waits for it; the next call loads again."""
    source = Source(7)
    source.gate.clear()
    source.error = NotFound("gone")
    callers = [asyncio.create_task(call(cache, source)) for _ in range(3)]
    await source.started.wait()
    source.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [NotFound] * 3
    source.error = None
    assert await call(cache, source) == 7
    assert source.loads == 2


async def test_an_old_value_stands_in(cache: CacheService) -> None:
    """A value past its ttl is given while its load is Unavailable, and a new one afterwards."""
    source = Source(1)
    await call(cache, source, ttl=0.05)
    await asyncio.sleep(0.1)
    source.value, source.error = 2, Unavailable("the database is away")
    assert [await call(cache, source, ttl=0.05) for _ in range(3)] == [1, 1, 1]
    assert cache.stats().stale >= 1
    source.error = None
    await asyncio.sleep(1.1)
    assert await call(cache, source, ttl=0.05) == 2


async def test_only_unavailable_lets_an_old_value_stand_in(cache: CacheService) -> None:
    """Any other error of a load is raised, however good the old value was."""
    source = Source(1)
    await call(cache, source, ttl=0.05)
    await asyncio.sleep(0.1)
    source.error = NotFound("deleted")
    with pytest.raises(NotFound):
        await call(cache, source, ttl=0.05)


async def test_what_was_invalidated_never_stands_in(cache: CacheService) -> None:
    """After an invalidation a failing load fails: the old value is known to be wrong."""
    source = Source(1)
    await call(cache, source)
    await cache.invalidate("t")
    source.error = Unavailable("the database is away")
    with pytest.raises(Unavailable):
        await call(cache, source)


async def test_what_is_invalidated_during_a_load_never_stands_in(cache: CacheService) -> None:
    """An old value that is invalidated while its load is failing is not given any more."""
    source = Source(1)
    await call(cache, source, ttl=0.05)
    await asyncio.sleep(0.1)
    source.gate.clear()
    source.started.clear()
    source.error = Unavailable("the database is away")
    late = asyncio.create_task(call(cache, source, ttl=0.05))
    await source.started.wait()
    await cache.invalidate("t")
    source.gate.set()
    with pytest.raises(Unavailable):
        await late


async def test_an_old_value_stands_in_only_so_long(caches: Caches) -> None:
    """Past ttl and stale seconds a failing load fails."""
    cache, source = caches.make(stale=0.05), Source(1)
    await call(cache, source, ttl=0.05)
    await asyncio.sleep(0.15)
    source.error = Unavailable("the database is away")
    with pytest.raises(Unavailable):
        await call(cache, source, ttl=0.05)


async def test_a_load_from_before_an_invalidation_is_not_kept(cache: CacheService) -> None:
    """A value that was read before its tag was invalidated is given to its caller and forgotten."""
    source = Source("old")
    ask = functools.partial(call, cache, source, as_type=str)
    source.gate.clear()
    early = asyncio.create_task(ask())
    await source.started.wait()
    source.value = "new"
    await cache.invalidate("t")
    source.gate.set()
    assert await early == "old"
    assert [await ask(), await ask()] == ["new", "new"]
    assert source.loads == 2


async def test_who_comes_after_an_invalidation_joins_no_older_load(cache: CacheService) -> None:
    """A caller who comes after an invalidation gets a value that was loaded after it."""
    source = Source("old")
    ask = functools.partial(call, cache, source, as_type=str)
    source.gate.clear()
    early = asyncio.create_task(ask())
    await source.started.wait()
    source.value = "new"
    await cache.invalidate("t")
    late = asyncio.create_task(ask())
    await asyncio.sleep(0.01)
    source.gate.set()
    assert (await early, await late) == ("old", "new")
    assert await ask() == "new"


@pytest.mark.parametrize(
    ("as_type", "value"),
    [
        (int | None, None),
        (Thing, Thing(id=1)),
        (Thing | None, Thing(id=1, name="x")),
        (list[Thing], [Thing(id=1), Thing(id=2)]),
        (dict[int, tuple[str, ...]], {1: ("a", "b")}),
        (str, "\x00\n“”"),
    ],
    ids=str,
)
async def test_types_survive(cache: CacheService, as_type: Any, value: Any) -> None:
    """What is remembered equals what was loaded, None included."""
    source = Source(value)
    assert [await call(cache, source, as_type=as_type) for _ in range(2)] == [value, value]
    assert source.loads == 1


async def test_a_type_that_cannot_be_read_back_is_told_at_once(cache: CacheService) -> None:
    """A type that pydantic does not know fails on the first call, with Redis or without."""
    with pytest.raises(Exception, match="Unable to generate pydantic-core schema"):
        await call(cache, Source(object()), as_type=asyncio.Event)


async def test_the_least_used_go_first(caches: Caches) -> None:
    """A full memory forgets the value that was not asked for the longest, and counts it."""
    cache = Caches().make(max_entries=2)
    sources = {key: Source(key) for key in "abc"}
    for key in "abaca":
        await call(cache, sources[key], key, as_type=str)
    assert sources["a"].loads == 1
    await call(cache, sources["b"], "b", as_type=str)
    assert sources["b"].loads == 2
    assert (cache.stats().entries, cache.stats().evictions) == (2, 2)


async def test_the_figures_add_up(cache: CacheService) -> None:
    """Every call is a hit or a miss, every miss a load or a wait, and a failed load is counted."""
    source = Source(1)
    source.gate.clear()
    callers = [asyncio.create_task(call(cache, source)) for _ in range(4)]
    await source.started.wait()
    source.gate.set()
    await asyncio.gather(*callers)
    for _ in range(3):
        await call(cache, source)
    broken = Source(2)
    broken.error = NotFound("no")
    with pytest.raises(NotFound):
        await call(cache, broken, "broken")
    await cache.invalidate("t", "u")
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.waits) == (3, 5, 2, 3)
    assert (stats.failures, stats.invalidations) == (1, 2)
    assert stats.hit_ratio == 3 / 8
