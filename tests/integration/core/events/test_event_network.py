"""A network that swallows everything: no reset, no answer, and healthy processes beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.plants import Garden
from tests.support.processes import Installation

LIMIT = 1.0
"""Seconds for a statement; its answer is waited for a little longer."""


class BlackHole:
    """A proxy before PostgreSQL that goes silent for the connections that it has, when told to."""

    def __init__(self, url: str) -> None:
        self._to = make_url(url)
        self._age = 0
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The address through it."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield self._to.set(port=port).render_as_string(hide_password=False)
        finally:
            server.close()
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0.1)

    def swallow(self) -> None:
        """From now on the connections that are there hear nothing and are heard by nobody."""
        self._age += 1

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to.host, self._to.port)
        self._writers += [writer, back]
        for pump in (self._pump(reader, back), self._pump(there, writer)):
            self._pumps.add(asyncio.create_task(pump))

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        age = self._age
        try:
            while data := await source.read(65536):
                if age < self._age:
                    await asyncio.sleep(3600)
                to.write(data)
                await to.drain()
        except OSError:
            pass
        finally:
            to.close()


@pytest.mark.slow
@pytest.mark.postgres
async def test_connections_that_went_silent_stop_nothing(
    way: tuple[str, dict[str, Any]], garden: Garden
) -> None:
    """When the connections to PostgreSQL neither answer nor break, the same process delivers all
    once its statements' time is over."""
    url, sections = way
    if "sqlite" in url:
        pytest.skip("a file is behind no network")
    tower, ledger = towers.plant(garden, outside=False)
    hole = BlackHole(url)
    async with hole.open() as through:
        more: dict[str, Any] = {"events": towers.QUICK, **sections}
        app = app_for(
            through, "tower", "ledger", database={"statement_timeout_seconds": LIMIT}, **more
        )
        await app.start()
        bells = Bells(app, url, tower, ledger, **sections)
        await bells.strike(*range(10))
        await bells.effects(10)
        hole.swallow()
        for bell in range(100, 140):
            await struck(bells, bell)
        assert len(await bells.effects(50, seconds=60)) == 50
        await app.stop()


async def struck(bells: Bells, bell: int) -> None:
    """A stroke; while the connections are silent it is answered with an error, and done again."""
    async with asyncio.timeout(30):
        while True:
            try:
                await bells.strike(bell)
            except Exception:
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.slow
@pytest.mark.postgres
async def test_an_end_in_the_silence_takes_no_longer(
    way: tuple[str, dict[str, Any]], garden: Garden, tmp_path: Path
) -> None:
    """While nothing answers, a process ends in good order within 20 s of SIGTERM, whatever its
    statements may take."""
    url, sections = way
    if "sqlite" in url:
        pytest.skip("a file is behind no network")
    towers.plant(garden, outside=False)
    hole = BlackHole(url)
    async with hole.open() as through:
        modules = {f"modules.{name}": {"enabled": True} for name in ("tower", "ledger")}
        place = Installation(tmp_path / "place", through, **modules, **sections)
        place.environ["PYTHONPATH"] = str(garden.folder)
        done = await asyncio.to_thread(place.run, "db", "upgrade")
        assert done.returncode == 0, done.stderr
        server = place.start()
        await asyncio.to_thread(server.wait_ready)
        for bell in range(3):
            await asyncio.to_thread(server.call, "POST", f"/v1/tower/{bell}")
        hole.swallow()
        await asyncio.sleep(1)
        assert await asyncio.to_thread(lambda: server.stop(seconds=20)) == 0, server.log
