"""A running application with a tower and a ledger, on both databases."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.app import Tessera
from core.errors import Unavailable
from tests.support import tower as towers
from tests.support.apps import app_for, settings_for
from tests.support.databases import KINDS, database_url, empty_database
from tests.support.kafka import broker, forget, kafka, shared_kafka, topic_prefix
from tests.support.plants import Garden

__all__ = ["broker", "database_url", "kafka", "topic_prefix"]


class Bells:
    """What the tests of delivery do with a running application."""

    def __init__(
        self, app: Tessera, url: str, tower: Any, ledger: Any, **sections: dict[str, Any]
    ) -> None:
        """`sections` are those of its settings that a swap is to keep."""
        self.app, self.url, self.tower, self.ledger = app, url, tower, ledger
        self.sections = {"events": towers.QUICK, **sections}

    @property
    def database(self) -> Any:
        """The application's database."""
        assert self.app.resources is not None
        return self.app.resources.database

    async def strike(self, *bells: int) -> None:
        """One transaction a stroke."""
        for bell in bells:
            async with self.database.write() as session:
                await self.tower.strike(session, bell)

    async def effects(self, count: int, *, seconds: float = 20) -> list[tuple[int, int]]:
        """The ledger once it has so many lines, a moment later (there may be one too many)."""
        await self.until(lambda: len(towers.lines(self.url)) >= count, seconds=seconds)
        await asyncio.sleep(0.3)
        return towers.lines(self.url)

    async def until(self, condition: Callable[[], Any], *, seconds: float = 20) -> None:
        """Until it holds."""
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(condition):
                await asyncio.sleep(0.02)

    async def dead(self, count: int, *, seconds: float = 20) -> Sequence[Any]:
        """The dead letters, once there are so many."""
        from core.events.operations import failed

        async with asyncio.timeout(seconds):
            while len(found := await failed(self.database)) < count:
                await asyncio.sleep(0.02)
        return found

    async def swap(self, *modules: str) -> None:
        """Let other modules live from now on."""
        assert self.app.lifecycle is not None
        await self.app.lifecycle.swap(settings_for(self.url, *modules, **self.sections))
        await self.app.lifecycle.settled()

    async def put(self, data: bytes, *, headers: Mapping[str, str], **where: Any) -> None:
        """A message of a stranger on the tower's topic; `where` are its key and partition."""
        from confluent_kafka import Producer

        section = self.sections["kafka"]
        producer = Producer({"bootstrap.servers": section["bootstrap_servers"]})
        topic = f"{section['topic_prefix']}.tower"
        producer.produce(topic, data, headers=[*headers.items()], **where)
        assert await asyncio.to_thread(producer.flush, 20) == 0

    def goes_wrong(self, bell: int, error: BaseException) -> list[BaseException]:
        """Let the ledger's handler raise for one bell; what it has raised so far, as it grows."""
        raised: list[BaseException] = []

        async def trouble() -> None:
            raised.append(error)
            raise error

        self.ledger.BAD[bell] = trouble
        return raised

    def is_unavailable(self, bell: int) -> list[BaseException]:
        """Let the ledger's handler meet a server that is away; as `goes_wrong`."""
        return self.goes_wrong(bell, Unavailable("away"))


WAYS = (*KINDS, pytest.param("kafka", marks=[pytest.mark.postgres, pytest.mark.kafka]))
"""The databases, with what is embedded, and PostgreSQL with a broker."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each way for events to go: an empty database's address, and settings that name a broker."""
    if request.param != "kafka":
        with empty_database(request.param, tmp_path) as url:
            yield url, {}
        return
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    servers = shared_kafka()
    section = {"bootstrap_servers": servers, "topic_prefix": prefix, "partitions": 4}
    with empty_database("postgresql", tmp_path) as url:
        yield url, {"kafka": section}
    forget(servers, prefix)


@pytest.fixture
async def all_ways(way: tuple[str, dict[str, Any]], garden: Garden) -> AsyncIterator[Bells]:
    """A tower and its ledger, started; each way once.

    The ledger only writes: Kafka's consumer gives it what comes by itself.
    """
    async with _started(way, garden, outside=False) as found:
        yield found


@pytest.fixture
async def outside_ways(way: tuple[str, dict[str, Any]], garden: Garden) -> AsyncIterator[Bells]:
    """The same with a handler outside of transactions: what comes by Kafka is left to the embedded
    consumer."""
    async with _started(way, garden, outside=True) as found:
        yield found


@asynccontextmanager
async def _started(
    way: tuple[str, dict[str, Any]], garden: Garden, *, outside: bool
) -> AsyncIterator[Bells]:
    url, sections = way
    tower, ledger = towers.plant(garden, outside=outside)
    app = app_for(url, "tower", "ledger", events=towers.QUICK, **sections)
    await app.start()
    try:
        yield Bells(app, url, tower, ledger, **sections)
    finally:
        await app.stop()


@pytest.fixture
async def bells(database_url: str, garden: Garden) -> AsyncIterator[Bells]:
    """A tower and its ledger, started."""
    tower, ledger = towers.plant(garden)
    app = app_for(database_url, "tower", "ledger", events=towers.QUICK)
    await app.start()
    try:
        yield Bells(app, database_url, tower, ledger)
    finally:
        await app.stop()


@pytest.fixture
async def kafka_bells(
    database_url: str, garden: Garden, kafka: str, topic_prefix: str
) -> AsyncIterator[Bells]:
    """A tower and its ledger that only writes, with a broker between them; four partitions."""
    tower, ledger = towers.plant(garden, outside=False)
    section = {"bootstrap_servers": kafka, "topic_prefix": topic_prefix, "partitions": 4}
    app = app_for(database_url, "tower", "ledger", events=towers.QUICK, kafka=section)
    await app.start()
    try:
        yield Bells(app, database_url, tower, ledger, kafka=section)
    finally:
        await app.stop()
