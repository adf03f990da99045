"""Redis, or Valkey in its place, by the programs of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from dev.servers.base import Missing, Running, Service, listening, spawn, wait_until


def programs() -> Path:
    """The server program."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise Missing("no redis-server on this machine")
    return Path(found)


def start(base: Path, port: int, password: str) -> Running:
    """Start Redis on `port`, in memory only. Its settings go by stdin: `ps` shows no password."""
    lines = (f"port {port}", "bind 127.0.0.1", 'save ""', "databases 64", f"requirepass {password}")
    log = base / "redis.log"
    process = spawn([str(programs()), "-"], log, config="\n".join((*lines, f"dir {base}", "")))
    wait_until(lambda: listening("127.0.0.1", port), process, log)
    return Running("local", port, password, process.pid, f"127.0.0.1:{port}")


REDIS = Service(
    name="redis",
    variable="TESSERA_TEST_REDIS_URL",
    setting="TESSERA_REDIS__URL",
    url="redis://default:{password}@127.0.0.1:{port}/0",
    first_port=56479,
    packages=("redis-server",),
    programs=programs,
    start=start,
)
