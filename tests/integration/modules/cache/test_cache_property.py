"""Whatever happens in whatever order, a cached answer is one that was true while it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modules.cache.service import CacheService
from tests.support.caches import AT_ONCE, Caches, shared_redis_url

KEYS = 3


@dataclass(frozen=True)
class Step:
    """A read or a write of a key by one of two processes; `pauses` are turns given to others."""

    kind: str
    key: int
    process: int
    pauses: tuple[int, int, int]
    cancel: bool


STEPS = st.builds(
    Step,
    kind=st.sampled_from(["read", "read", "write", "all"]),
    key=st.integers(0, KEYS - 1),
    process=st.integers(0, 1),
    pauses=st.tuples(*[st.integers(0, 4)] * 3),
    cancel=st.booleans(),
)


@dataclass
class World:
    """The uncached truth, versions that only grow, and how far invalidation has come."""

    caches: list[CacheService]
    truth: list[int] = field(default_factory=lambda: [0] * KEYS)
    told: list[int] = field(default_factory=lambda: [0] * KEYS)

    async def run(self, step: Step) -> None:
        await pause(step.pauses[0])
        await (self.read(step) if step.kind == "read" else self.write(step))

    async def read(self, step: Step) -> None:
        oldest = self.told[step.key]

        async def load() -> int:
            await pause(step.pauses[1])
            value = self.truth[step.key]
            await pause(step.pauses[2])
            return value

        reading = asyncio.create_task(
            self.caches[step.process].get_or_load(
                f"k{step.key}", load, as_type=int, tags=[f"t{step.key}", "all"]
            )
        )
        if step.cancel:
            await pause(step.pauses[1] + 1)
            reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            assert oldest <= reading.result() <= self.truth[step.key]

    async def write(self, step: Step) -> None:
        keys = [step.key] if step.kind == "write" else list(range(KEYS))
        for key in keys:
            self.truth[key] += 1
        committed = {key: self.truth[key] for key in keys}
        await pause(step.pauses[1])
        await self.caches[step.process].invalidate(
            *(["all"] if step.kind == "all" else [f"t{step.key}"])
        )
        for key, value in committed.items():
            self.told[key] = max(self.told[key], value)


async def pause(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def scenario(url: str, bursts: list[list[Step]], *, local_ttl: float) -> None:
    caches = Caches(url)
    first = caches.make(local_ttl=local_ttl, early=1)
    second = first if local_ttl > 1 else caches.make(local_ttl=local_ttl, early=1)
    world = World([first, second])
    try:
        for burst in bursts:
            async with asyncio.TaskGroup() as group:
                for step in burst:
                    group.create_task(world.run(step))
    finally:
        await caches.close()


BURSTS = st.lists(st.lists(STEPS, min_size=1, max_size=8), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(bursts=BURSTS)
def test_memory_never_answers_with_what_is_known_to_be_old(bursts: list[list[Step]]) -> None:
    """Reads, writes, invalidations and cancellations interleaved at will: no read gives a value
    older than the last invalidation that had ended when it began, nor one that never was."""
    asyncio.run(scenario("", bursts, local_ttl=60))


@pytest.mark.redis
@pytest.mark.parametrize("local_ttl", [AT_ONCE, 60.0], ids=["two processes", "memory over redis"])
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(bursts=BURSTS)
def test_redis_never_answers_with_what_is_known_to_be_old(
    bursts: list[list[Step]], local_ttl: float
) -> None:
    """The same with Redis between: for two processes without memory, and for one with."""
    asyncio.run(scenario(shared_redis_url(), bursts, local_ttl=local_ttl))
