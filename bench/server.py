"""A contender as a real process: uvicorn with one worker on one core, the same options for all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from bench.machine import SERVER_CORE, RigError, cpu_seconds, free_port, memory_mib, on_core

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.003
READY = "/health"
LEFT_OUT = ("TESSERA_", "PYTHONDONTWRITEBYTECODE")
"""No settings but the bench's; and each start would compile what pip compiles when it installs."""

UVICORN = (
    "--workers=1",
    "--loop=uvloop",
    "--http=httptools",
    "--no-access-log",
    "--no-server-header",
    "--no-proxy-headers",
    "--log-level=warning",
    "--lifespan=on",
)


@dataclass(frozen=True)
class Contender:
    """An application to measure: its name in the tables, and how uvicorn finds it."""

    name: str
    app: str
    environ: Mapping[str, str] = field(default_factory=dict)
    paths: Sequence[Path] = ()
    folder: Path = ROOT
    proofs: Sequence[str] = ()
    """Addresses that must exist once it is ready: a host that lost its modules is fast too."""


@dataclass(frozen=True)
class Start:
    """How long it took to the first 200: seconds by the clock, and of CPU time."""

    wall: float
    cpu: float


class Server:
    """A running contender."""

    def __init__(self, contender: Contender, *, core: int = SERVER_CORE) -> None:
        self.contender = contender
        self._core = core
        self.port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Start:
        """Start it, wait for the first 200, and see that nothing is missing. Raises RigError."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith(LEFT_OUT)}
        search = os.pathsep.join(map(str, [*self.contender.paths, ROOT]))
        command = [sys.executable, "-m", "uvicorn", self.contender.app, f"--port={self.port}"]
        began = time.perf_counter()
        self._process = subprocess.Popen(
            on_core(self._core, *command, *UVICORN),
            cwd=self.contender.folder,
            env={**environ, "PYTHONPATH": search, **self.contender.environ},
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
        )
        try:
            self._wait(self._process, until=began + START_SECONDS)
            start = Start(time.perf_counter() - began, self.cpu_seconds())
            self._prove()
        except BaseException:
            self.stop()
            raise
        return start

    def _wait(self, process: subprocess.Popen[bytes], *, until: float) -> None:
        while not self._answers():
            if process.poll() is not None or time.perf_counter() > until:
                raise RigError(f"{self.contender.name} did not start:\n{self.log()}")
            time.sleep(POLL_SECONDS)

    def _prove(self) -> None:
        for path in self.contender.proofs:
            if self.get(path)[0] == 404:
                raise RigError(f"{self.contender.name} has no {path}:\n{self.log()}")

    def _answers(self) -> bool:
        try:
            return self.get(READY)[0] == 200
        except (OSError, HTTPException):
            return False

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of one GET."""
        return self.request("GET", path)

    def request(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        """CPU time taken so far."""
        return cpu_seconds(self.pid)

    def memory_mib(self) -> tuple[float, float]:
        """Resident and proportional set size in MiB."""
        return memory_mib(self.pid)

    def log(self) -> str:
        """The end of what it wrote."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]

    def stop(self) -> None:
        """End it, by force when it does not go."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
