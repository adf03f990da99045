"""The cache: this process's memory over Redis over the load.

Who calls `get_or_load` gets, in this order: a fresh value of this process; the answer of a load
that another caller of the key has begun; a fresh value from Redis; the answer of its own load; and,
if that was `Unavailable`, an older value. A load runs in its caller's task, because it uses that
caller's session: nothing is loaded behind a request's back.

Values are handed out as they are, the same object to many callers: they are frozen DTOs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter

from core.plugin import RedisPort, Unavailable
from modules.cache.contracts import EVERYTHING, CacheStats, RedisState
from modules.cache.counts import Counts
from modules.cache.entry import Entry
from modules.cache.flight import Flight
from modules.cache.local import LocalLevel
from modules.cache.settings import CacheSettings
from modules.cache.shared import NOTHING, Found, SharedLevel

R = TypeVar("R")

HOLD = 1.0
"""Seconds for which a stand-in is given without trying the load again."""


@dataclass(slots=True)
class _Call:
    key: str
    load: Callable[[], Awaitable[Any]]
    as_type: Any
    ttl: float
    tags: frozenset[str]
    renew: Entry | None = None
    """The fresh entry that this call renews early."""


class CacheService:
    """Implements `Cache` and `CacheControl` for one generation."""

    def __init__(
        self,
        settings: CacheSettings,
        redis: RedisPort,
        *,
        local_ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`local_ttl`: seconds for which a value is served without asking Redis (inf: no limit)."""
        self._settings = settings
        self._redis = redis
        self._local_ttl = local_ttl
        self._clock = clock
        self._local = LocalLevel(max_entries=settings.max_entries)
        self._shared: SharedLevel | None = None
        if settings.redis and redis.configured:
            self._shared = SharedLevel(redis, prefix=settings.prefix, stale=settings.stale)
        self._flights: dict[str, Flight] = {}
        self._adapters: dict[Any, TypeAdapter[Any]] = {}
        self._counts = Counts()

    async def get_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[R]],
        *,
        as_type: Any,
        ttl: float | None = None,
        tags: Iterable[str] = (),
    ) -> R:
        """See `core.caching.Cache.get_or_load`."""
        entry = self._local.get(key)
        if entry is not None and self._clock() < entry.quiet_until:
            self._counts.local_hits += 1
            value: R = entry.value
            return value
        life = self._settings.ttl if ttl is None else ttl
        call = _Call(key, load, as_type, life, frozenset(tags))
        found: R = await self._near_the_end(call, entry)
        return found

    async def invalidate(self, *tags: str) -> None:
        """See `core.caching.Cache.invalidate`."""
        if not tags:
            return
        self._counts.invalidations += len(tags)
        # Between these two nothing is awaited: who reads Redis after the drop finds the debt noted,
        # and pays it first.
        self._drop(tags)
        if self._shared is not None:
            await self._shared.forget(tags)

    def stats(self) -> CacheStats:
        """See `CacheControl`."""
        return CacheStats(
            **self._counts.as_dict(),
            evictions=self._local.evictions,
            entries=len(self._local),
            owed=self._shared.owed if self._shared is not None else 0,
            redis=self._redis_state(),
        )

    async def close(self) -> None:
        """Tell Redis what it is still owed, and end the task that would."""
        if self._shared is not None:
            await self._shared.close()

    def _redis_state(self) -> RedisState:
        if self._shared is None:
            return "off"
        return "up" if self._redis.available else "down"

    def _drop(self, tags: tuple[str, ...]) -> None:
        """Forget values, and see to it that loads that began before now are not kept nor joined."""
        self._local.drop(tags)
        gone = set(tags)
        for key, flight in tuple(self._flights.items()):
            if EVERYTHING in gone or not gone.isdisjoint(flight.tags):
                flight.dropped = True
                del self._flights[key]

    async def _near_the_end(self, call: _Call, entry: Entry | None) -> Any:
        now = self._clock()
        if entry is None or now >= entry.fresh_until:
            return await self._miss(call)
        under_way = call.key in self._flights
        if under_way or not entry.is_due(now, chance=random.random()):  # noqa: S311 (no secret)
            self._counts.local_hits += 1
            return entry.value
        call.renew = entry
        return await self._lead(call, self._begin(call))

    async def _miss(self, call: _Call) -> Any:
        patience = self._settings.patience
        while True:
            flight = self._flights.get(call.key)
            if flight is None:
                return await self._lead(call, self._begin(call))
            await flight.ended(within=patience)
            if flight.answered:
                self._counts.wait()
                return flight.result()
            if self._wants_help(call, flight):
                return await self._lead(call, flight)
            entry = self._local.get(call.key)
            if entry is not None and self._clock() < entry.fresh_until:  # the next was very quick
                self._counts.wait()
                return entry.value

    def _wants_help(self, call: _Call, flight: Flight) -> bool:
        """Whether a flight takes so long that one more caller shall load for it.

        It may be waiting for the very connection that a waiting caller holds. One helper each time
        that patience ends, so that a slow load does not become as many loads as there are callers.
        """
        waited = self._clock() - flight.helped
        return self._flights.get(call.key) is flight and waited >= self._settings.patience

    def _begin(self, call: _Call) -> Flight:
        flight = self._flights[call.key] = Flight(call.tags)
        return flight

    async def _lead(self, call: _Call, flight: Flight) -> Any:
        flight.join(now=self._clock())
        try:
            return await self._answer(call, flight)
        except Exception as error:
            flight.fail(call, error)
            raise
        finally:
            if flight.leave(call) and self._flights.get(call.key) is flight:
                del self._flights[call.key]

    async def _answer(self, call: _Call, flight: Flight) -> Any:
        adapter = self._adapter(call.as_type)  # also without Redis: a wrong type is told at once
        asked = self._clock()
        found = await self._shared.read(call.key, adapter, call.tags) if self._shared else NOTHING
        entry = self._entry_of(call, found, asked)
        if entry is not None and self._is_good(entry, call):
            self._counts.redis_hits += 1
            return self._keep(call, flight, entry)
        self._count_load(early=call.renew or entry)
        try:
            loaded = await self._load(call)
        except Unavailable:
            older = self._older(call, flight, entry)
            if older is None:
                raise
            return self._keep(call, flight, older)
        if flight.succeed(call, loaded.value) and await self._share(call, loaded, adapter, found):
            self._keep(call, flight, loaded)
        return loaded.value

    async def _load(self, call: _Call) -> Entry:
        began = self._clock()
        try:
            value = await call.load()
        except Exception:
            self._counts.failures += 1
            raise
        ended = self._clock()
        expires, stale = ended + call.ttl, self._settings.stale
        mark = f"{random.getrandbits(64):x}"
        return self._entry(
            call, value, delta=ended - began, expires=expires, stale=stale, mark=mark
        )

    async def _share(
        self, call: _Call, entry: Entry, adapter: TypeAdapter[Any], found: Found
    ) -> bool:
        """Give the value to Redis; False when another process has invalidated it meanwhile."""
        if self._shared is None or found.versions is None:
            return True
        return await self._shared.write(
            call.key,
            entry.value,
            adapter,
            versions=found.versions,
            ttl=call.ttl,
            delta=entry.delta,
            mark=entry.mark,
        )

    def _count_load(self, *, early: Entry | None) -> None:
        self._counts.loads += 1
        self._counts.misses += 1
        if early is not None and self._clock() < early.expires:
            self._counts.early += 1

    def _entry_of(self, call: _Call, found: Found, asked: float) -> Entry | None:
        if not found.hit:
            return None
        return self._entry(
            call,
            found.value,
            delta=found.delta,
            expires=asked + found.life,
            stale=found.stale,
            mark=found.mark,
        )

    def _entry(
        self, call: _Call, value: Any, *, delta: float, expires: float, stale: float, mark: str
    ) -> Entry:
        return Entry(
            value=value,
            tags=call.tags,
            delta=delta,
            expires=expires,
            stale_until=expires + stale,
            mark=mark,
            fresh_until=self._clock() + self._local_ttl,
            early=self._settings.early,
        )

    def _is_good(self, entry: Entry, call: _Call) -> bool:
        """Whether what Redis has saves the load."""
        now = self._clock()
        if now >= entry.expires:
            return False
        if call.renew is not None:  # the dice have fallen; good only if another process renewed it
            return entry.mark != call.renew.mark
        return not entry.is_due(now, chance=random.random())  # noqa: S311

    def _keep(self, call: _Call, flight: Flight, entry: Entry) -> Any:
        if flight.succeed(call, entry.value) and not flight.dropped:
            self._local.put(call.key, entry)
        return entry.value

    def _older(self, call: _Call, flight: Flight, shared: Entry | None) -> Entry | None:
        """What can stand in for a load that is Unavailable just now."""
        now = self._clock()
        local = self._local.get(call.key)  # looked up now: an invalidation may have taken it
        candidates = [local, None if flight.dropped else shared]
        usable = [entry for entry in candidates if entry is not None and now < entry.stale_until]
        if not usable:
            return None
        best = max(usable, key=lambda entry: entry.expires)
        if now >= best.expires:
            self._counts.stale += 1
        return Entry(
            value=best.value,
            tags=call.tags,
            delta=0.0,
            expires=now + HOLD,
            stale_until=max(best.stale_until, now + HOLD),
        )

    def _adapter(self, as_type: Any) -> TypeAdapter[Any]:
        adapter = self._adapters.get(as_type)
        if adapter is None:
            adapter = self._adapters[as_type] = TypeAdapter(as_type)
        return adapter
