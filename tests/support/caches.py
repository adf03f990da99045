"""Caches for tests: over this process's memory, over Redis, and a Redis that can be hurt."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any, NoReturn

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from core.redis import LIMIT, RedisPort
from core.settings import Settings
from modules.cache.service import CacheService
from modules.cache.settings import CacheSettings

AT_ONCE = 1e-9
"""A local ttl so short that every call asks Redis."""


def missing(what: str) -> NoReturn:
    """Leave the test out, or fail it where the run requires Redis."""
    reason = f"no Redis: {what}"
    if "redis" in os.environ.get("TESSERA_TEST_REQUIRE", ""):
        pytest.fail(reason)
    pytest.skip(reason)


def shared_redis_url() -> str:
    """The Redis that the run was given."""
    return os.environ.get("TESSERA_TEST_REDIS_URL") or missing("TESSERA_TEST_REDIS_URL is not set")


def port_for(url: str = "", *, limit: float = LIMIT) -> RedisPort:
    """A process's client for that address; without one, for a deployment that has no Redis."""
    return RedisPort(Settings.for_tests(redis={"url": url}).redis, limit=limit)


class Caches:
    """Makes cache services as processes of one deployment would, and closes them all.

    They are patient with Redis unless told otherwise: a busy machine is no Redis that is down.
    """

    def __init__(self, url: str = "", *, limit: float = 10.0) -> None:
        self.url = url
        self._limit = limit
        self.prefix = f"test:{uuid.uuid4().hex}"
        self._open: list[tuple[CacheService, RedisPort]] = []

    def make(self, *, local_ttl: float = math.inf, **settings: Any) -> CacheService:
        """Another process's cache."""
        port = port_for(self.url, limit=self._limit)
        chosen = CacheSettings(**{"prefix": self.prefix, "early": 0, **settings})
        service = CacheService(chosen, port, local_ttl=local_ttl)
        self._open.append((service, port))
        return service

    def port_of(self, service: CacheService) -> RedisPort:
        """The client that a cache was made with."""
        return next(port for made, port in self._open if made is service)

    async def close(self) -> None:
        """End them all, and take what they left in Redis."""
        for service, port in self._open:
            await service.close()
            await port.close()
        if self.url:
            await self._clear()

    async def _clear(self) -> None:
        client = Redis.from_url(self.url)  # without the port's time limit: the machine may be busy
        with contextlib.suppress(RedisConnectionError):  # a Redis of one's own may be gone
            async for key in client.scan_iter(f"{self.prefix}:*"):
                await client.unlink(key)
        await client.aclose()


class RedisServer:
    """A Redis of one's own, to be killed, frozen and started again; data only in its memory."""

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("redis-server") or missing("no redis-server on the path")
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        self._process = subprocess.Popen(
            [self._program, *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Keep the connections and the data, and answer nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again, also what was asked meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Source:
    """What is loaded: counts loads, and can be slow or out of order."""

    def __init__(self, value: Any = 0) -> None:
        self.value = value
        self.loads = 0
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self) -> Any:
        """The value as it was when the load began, once the gate is open."""
        self.loads += 1
        value = self.value
        self.started.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return value
