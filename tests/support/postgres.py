"""A PostgreSQL of a test's own, which it may stop and start as it likes."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class PrivateServer:
    """A cluster in a folder of its own, on a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.data = folder / "data"
        self.port = port
        self.url = f"postgresql+asyncpg://tessera@127.0.0.1:{port}/postgres"
        self._options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        self._run("initdb", "-D", str(self.data), "-U", "tessera", "-A", "trust", "-N")

    def start(self) -> None:
        """Until it answers."""
        self._control("start", "-o", self._options, "-l", str(self.data / "log"))

    def stop(self, mode: str = "fast") -> None:
        """`mode` "immediate" is what a crash is."""
        self._control("stop", "-m", mode)

    def _control(self, action: str, *options: str) -> None:
        self._run("pg_ctl", action, "-D", str(self.data), "-w", *options)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(PROGRAMS[-1] / program), *arguments],
            user=_owner(),
            check=True,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )


def _owner() -> str | int:
    """initdb refuses root: then the server belongs to the user postgres."""
    return "postgres" if os.getuid() == 0 else os.getuid()


@contextmanager
def private_server() -> Iterator[PrivateServer]:
    """A running private server; skips where the programs are not installed."""
    if not PROGRAMS:
        if "postgres" in os.environ.get("TESSERA_TEST_REQUIRE", ""):
            pytest.fail("PostgreSQL is required, and its programs are not in /usr/lib/postgresql")
        pytest.skip("the programs of PostgreSQL are not in /usr/lib/postgresql")
    folder = Path(mkdtemp(prefix="tessera-outage-", dir="/tmp"))
    if os.getuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = PrivateServer(folder, port)
    server.start()
    try:
        yield server
    finally:
        subprocess.run(
            [PROGRAMS[-1] / "pg_ctl", "stop", "-D", server.data, "-m", "immediate"],
            user=_owner(),
            check=False,
            capture_output=True,
        )
        shutil.rmtree(folder, ignore_errors=True)
